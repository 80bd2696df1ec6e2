// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What lives as long as graphs do: handles of nodes, and user objects.
 *
 * User objects never reach the host: they are only counted, and their last
 * owner calls a function of the program's.
 */
#include "graph_objects.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "capture.h"
#include "context.h"
#include "cuda_rpc.h"
#include "graph_node.h"
#include "handles.h"
#include "stream.h"

/* Of the program, with a handle whose data it is; or one of the library's own, with none. */
struct object {
	CUhostFn fn;
	void *data;
	uint64_t handle;
	unsigned int owned; /* by the program */
	unsigned int held;  /* by graphs */
};

struct hold {
	struct object *object;
	unsigned int count;
};

/* The data of a graph's or an executable graph's handle. */
struct holder {
	uint64_t *nodes;
	size_t nnodes, nodes_room;
	struct hold *holds;
	size_t nholds, holds_room;
	CUstream launched_in; /* the latest, if `launched` */
	bool launched;
	bool answered; /* its launches: they may be refused */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ----------------------------------------------------------------- holders */

/* Called with the lock held.  NULL: no such graph, or no memory. */
static struct holder *holder_of(uint64_t h, bool make)
{
	uint32_t type = vgpu_cuda_handle_type(h);
	struct holder *o;

	if ((type != VGPU_CUDA_GRAPH && type != VGPU_CUDA_GRAPHEXEC) || !handle_valid(h, type))
		return NULL;
	o = handle_data(h, type);
	if (!o && make) {
		o = calloc(1, sizeof(*o));
		if (o)
			handle_set_data(h, o);
	}
	return o;
}

/* Room for one more element; false: no memory. */
static bool grow(void **array, size_t size, size_t n, size_t *room)
{
	size_t more = *room ? *room * 2 : 16;
	void *p;

	if (n < *room)
		return true;
	p = realloc(*array, more * size);
	if (!p)
		return false;
	*array = p;
	*room = more;
	return true;
}

void graph_owns(CUgraph graph, uint64_t node)
{
	struct holder *o;

	pthread_mutex_lock(&lock);
	o = holder_of(HANDLE_OF(graph), true);
	if (o && grow((void **)&o->nodes, sizeof(o->nodes[0]), o->nnodes, &o->nodes_room))
		o->nodes[o->nnodes++] = node;
	pthread_mutex_unlock(&lock);
}

struct search {
	uint64_t node, graph;
};

/* Called with the lock held. */
static void look_for_node(uint64_t graph, void *data, void *arg)
{
	const struct holder *o = data;
	struct search *s = arg;

	for (size_t i = 0; o && i < o->nnodes; i++)
		if (o->nodes[i] == s->node)
			s->graph = graph;
}

/* Rarely asked, and never while graphs are launched. */
uint64_t node_graph(CUgraphNode node)
{
	struct search s = {.node = HANDLE_OF(node)};

	pthread_mutex_lock(&lock);
	handle_each(VGPU_CUDA_GRAPH, look_for_node, &s);
	pthread_mutex_unlock(&lock);
	return s.graph;
}

/* Called with the lock held. */
static struct hold *find_hold(struct holder *o, const struct object *object)
{
	for (size_t i = 0; i < o->nholds; i++)
		if (o->holds[i].object == object)
			return &o->holds[i];
	return NULL;
}

/* Called with the lock held. */
static CUresult hold(struct holder *o, struct object *object, unsigned int count)
{
	struct hold *h = find_hold(o, object);

	if (!h) {
		if (!grow((void **)&o->holds, sizeof(o->holds[0]), o->nholds, &o->holds_room))
			return CUDA_ERROR_OUT_OF_MEMORY;
		h = &o->holds[o->nholds++];
		*h = (struct hold){.object = object};
	}
	h->count += count;
	object->held += count;
	return CUDA_SUCCESS;
}

CUresult graph_shares(uint64_t from, uint64_t to)
{
	struct holder *a, *b;
	CUresult r = CUDA_SUCCESS;

	pthread_mutex_lock(&lock);
	a = holder_of(from, false);
	if (a && a->nholds && from != to) {
		b = holder_of(to, true);
		r = b ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
		for (size_t i = 0; r == CUDA_SUCCESS && i < a->nholds; i++)
			r = hold(b, a->holds[i].object, 1);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult graph_answers(uint64_t exec)
{
	struct holder *o;

	pthread_mutex_lock(&lock);
	o = holder_of(exec, true);
	if (o)
		o->answered = true;
	pthread_mutex_unlock(&lock);
	return o ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* ----------------------------------------------------------------- objects */

/* Called without the lock, when nobody has the object any more. */
static void end_object(struct object *o)
{
	o->fn(o->data);
	if (o->handle)
		handle_drop(o->handle);
	else
		free(o);
}

CUresult graph_keeps(uint64_t graph, CUhostFn fn, void *data)
{
	struct object *object = calloc(1, sizeof(*object));
	struct holder *o;
	CUresult r;

	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*object = (struct object){.fn = fn, .data = data};
	pthread_mutex_lock(&lock);
	o = holder_of(graph, true);
	r = o ? hold(o, object, 1) : CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_unlock(&lock);
	if (r != CUDA_SUCCESS)
		free(object);
	return r;
}

/* Lets go of all that a graph has, and of its handle. */
static void end_holder(uint64_t h)
{
	struct holder *o, old = {0};

	pthread_mutex_lock(&lock);
	o = holder_of(h, false);
	if (o) {
		old = *o;
		*o = (struct holder){0};
	}
	for (size_t i = 0; i < old.nholds; i++) {
		struct object *object = old.holds[i].object;

		object->held -= old.holds[i].count;
		if (object->held || object->owned)
			old.holds[i].object = NULL; /* goes on */
	}
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < old.nholds; i++)
		if (old.holds[i].object)
			end_object(old.holds[i].object);
	for (size_t i = 0; i < old.nnodes; i++)
		handle_drop(old.nodes[i]);
	free(old.holds);
	free(old.nodes);
	pthread_mutex_lock(&lock); /* others may just be looking at it */
	handle_drop(h);
	pthread_mutex_unlock(&lock);
}

CUresult cuUserObjectCreate(CUuserObject *object_out, void *ptr, CUhostFn destroy,
			    unsigned int initialRefcount, unsigned int flags)
{
	struct object *o;
	uint64_t h;

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!object_out || !destroy || !initialRefcount || initialRefcount > INT32_MAX ||
	    flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*o = (struct object){.fn = destroy, .data = ptr, .owned = initialRefcount};
	h = handle_new(VGPU_CUDA_USEROBJECT, o);
	if (!h) {
		free(o);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	o->handle = h;
	*object_out = HANDLE_AS(CUuserObject, h);
	return CUDA_SUCCESS;
}

/* Called with the lock held. */
static struct object *object_of(CUuserObject object, unsigned int count)
{
	if (!count || count > INT32_MAX)
		return NULL;
	return handle_data(HANDLE_OF(object), VGPU_CUDA_USEROBJECT);
}

CUresult cuUserObjectRetain(CUuserObject object, unsigned int count)
{
	struct object *o;
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	pthread_mutex_lock(&lock);
	o = object_of(object, count);
	if (o && o->owned + count <= INT32_MAX) {
		o->owned += count;
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuUserObjectRelease(CUuserObject object, unsigned int count)
{
	struct object *o;
	bool over = false;
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	pthread_mutex_lock(&lock);
	o = object_of(object, count);
	if (o && o->owned >= count) {
		o->owned -= count;
		over = !o->owned && !o->held;
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	if (over)
		end_object(o);
	return r;
}

CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned int count,
				 unsigned int flags)
{
	bool move = flags & CU_GRAPH_USER_OBJECT_MOVE;
	struct holder *h;
	struct object *o;
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	if ((flags & ~(unsigned int)CU_GRAPH_USER_OBJECT_MOVE) ||
	    !handle_valid(HANDLE_OF(graph), VGPU_CUDA_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	o = object_of(object, count);
	if (o && (!move || o->owned >= count)) {
		h = holder_of(HANDLE_OF(graph), true);
		r = h ? hold(h, o, count) : CUDA_ERROR_OUT_OF_MEMORY;
		if (r == CUDA_SUCCESS && move)
			o->owned -= count;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned int count)
{
	struct holder *h;
	struct object *o;
	struct hold *held;
	bool over = false;
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	if (!handle_valid(HANDLE_OF(graph), VGPU_CUDA_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	o = object_of(object, count);
	h = holder_of(HANDLE_OF(graph), false);
	held = o && h ? find_hold(h, o) : NULL;
	if (held && held->count >= count) {
		held->count -= count;
		o->held -= count;
		if (!held->count)
			*held = h->holds[--h->nholds];
		over = !o->owned && !o->held;
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	if (over)
		end_object(o);
	return r;
}

/* ------------------------------------------------------- graphs as a whole */

static CUresult enter(uint64_t h, enum vgpu_cuda_type type)
{
	CUresult r = shim_enter_object(h);

	if (r != CUDA_SUCCESS)
		return r;
	return handle_valid(h, type) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphDestroy(CUgraph hGraph)
{
	CUresult r = enter(HANDLE_OF(hGraph), VGPU_CUDA_GRAPH);

	if (r == CUDA_SUCCESS)
		r = rpc_cuGraphDestroy(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	end_holder(HANDLE_OF(hGraph));
	return CUDA_SUCCESS;
}

CUresult cuGraphClone(CUgraph *phGraphClone, CUgraph originalGraph)
{
	CUgraph made;
	CUresult r = enter(HANDLE_OF(originalGraph), VGPU_CUDA_GRAPH);

	if (r == CUDA_SUCCESS && !phGraphClone)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	made = HANDLE_AS(CUgraph, handle_new(VGPU_CUDA_GRAPH, NULL));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_cuGraphClone(&made, originalGraph);
	if (r != CUDA_SUCCESS) {
		handle_drop(HANDLE_OF(made));
		return r;
	}
	r = graph_shares(HANDLE_OF(originalGraph), HANDLE_OF(made));
	if (r == CUDA_SUCCESS)
		*phGraphClone = made;
	else
		cuGraphDestroy(made);
	return r;
}

/* A graph with memory is refused while that is there: the program is to know at once. */
static CUresult launch(CUgraphExec exec, CUstream stream)
{
	struct holder *o;
	bool answered;

	pthread_mutex_lock(&lock);
	o = holder_of(HANDLE_OF(exec), false);
	answered = o && o->answered;
	pthread_mutex_unlock(&lock);
	return answered ? rpc_vgpuGraphLaunch(exec, stream) : rpc_cuGraphLaunch(exec, stream);
}

CUresult cuGraphLaunch(CUgraphExec hGraph, CUstream hStream)
{
	struct holder *o;
	CUresult r = enter(HANDLE_OF(hGraph), VGPU_CUDA_GRAPHEXEC);

	if (r == CUDA_SUCCESS)
		r = shim_enter_object(HANDLE_OF(hStream));
	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r == CUDA_SUCCESS)
		r = launch(hGraph, hStream);
	if (r != CUDA_SUCCESS)
		return r;
	o = handle_data(HANDLE_OF(hGraph), VGPU_CUDA_GRAPHEXEC);
	if (o) { /* it keeps something */
		pthread_mutex_lock(&lock);
		o->launched_in = hStream;
		o->launched = true;
		pthread_mutex_unlock(&lock);
	}
	return CUDA_SUCCESS;
}

/*
 * What a graph keeps must stay until its launches are over, which run one
 * after the other: waits for the latest.  False: it could not be waited for.
 */
static bool launches_over(uint64_t exec)
{
	struct holder *o;
	CUstream stream = NULL;
	bool wait;

	pthread_mutex_lock(&lock);
	o = holder_of(exec, false);
	wait = o && o->nholds && o->launched;
	if (wait)
		stream = o->launched_in;
	pthread_mutex_unlock(&lock);
	if (!wait)
		return true;
	if (capture_has(stream))
		return false;
	if (stream && stream != CU_STREAM_LEGACY &&
	    !handle_valid(HANDLE_OF(stream), VGPU_CUDA_STREAM))
		return rpc_vgpuCtxSynchronize() == CUDA_SUCCESS;
	return stream_wait(stream) == CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec hGraphExec)
{
	uint64_t h = HANDLE_OF(hGraphExec);
	bool over;
	CUresult r = enter(h, VGPU_CUDA_GRAPHEXEC);

	if (r != CUDA_SUCCESS)
		return r;
	over = launches_over(h);
	r = rpc_cuGraphExecDestroy(hGraphExec);
	if (r != CUDA_SUCCESS)
		return r;
	if (over)
		end_holder(h);
	else
		handle_drop(h);
	return CUDA_SUCCESS;
}

/* ---------------------------------------------------------- graphs as nodes */

CUresult cuGraphAddChildGraphNode(CUgraphNode *phGraphNode, CUgraph hGraph,
				  const CUgraphNode *dependencies, size_t numDependencies,
				  CUgraph childGraph)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	CUgraphNode made;
	CUresult r = enter(HANDLE_OF(childGraph), VGPU_CUDA_GRAPH);

	if (r == CUDA_SUCCESS)
		r = node_begin(&at, phGraphNode, &made);
	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuGraphAddChildGraphNode(&made, hGraph, dependencies, node_first(&at), childGraph);
	if (r == CUDA_SUCCESS) {
		r = graph_shares(HANDLE_OF(childGraph), HANDLE_OF(hGraph));
		if (r != CUDA_SUCCESS)
			rpc_cuGraphDestroyNode(made);
	}
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
					    CUgraph childGraph)
{
	CUresult r = enter(HANDLE_OF(hGraphExec), VGPU_CUDA_GRAPHEXEC);

	if (r == CUDA_SUCCESS)
		r = rpc_cuGraphExecChildGraphNodeSetParams(hGraphExec, hNode, childGraph);
	if (r == CUDA_SUCCESS)
		r = graph_shares(HANDLE_OF(childGraph), HANDLE_OF(hGraphExec));
	return r;
}

/* The node's own copy of the graph that it was made of; it goes with the node. */
CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode hNode, CUgraph *phGraph)
{
	unsigned long long fresh, graph = 0;
	CUresult r = enter(HANDLE_OF(hNode), VGPU_CUDA_NODE);

	if (r == CUDA_SUCCESS && !phGraph)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	fresh = handle_new(VGPU_CUDA_GRAPH, NULL);
	if (!fresh)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuGraphChild(hNode, fresh, &graph);
	if (r != CUDA_SUCCESS || graph != fresh)
		handle_drop(fresh);
	if (r == CUDA_SUCCESS)
		*phGraph = HANDLE_AS(CUgraph, graph);
	return r;
}
