// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capturing streams.
 *
 * Frameworks ask thousands of times whether a stream is captured: while
 * nothing is, the answer is known here.
 *
 * The modes say which threads may make unsafe calls meanwhile.  All calls
 * reach the driver from one thread of the host, which could not tell ours
 * apart, so the host captures in the relaxed mode and the modes are kept here.
 */
#include "capture.h"

#include <pthread.h>
#include <stdlib.h>

#include "context.h"
#include "cuda_rpc.h"
#include "graph_objects.h"
#include "handles.h"

/* A capture that was begun and has not ended. */
struct capture {
	CUstream stream;
	const struct context *context; /* the stream's */
	CUstreamCaptureMode mode;
	pthread_t thread;
	bool broken;     /* by a call that its mode forbids */
	uint64_t id;     /* the driver's number of it, once it was asked for; 0: not yet */
	uint64_t graph;  /* its handle, once it was told; 0: not yet */
	uint64_t *nodes; /* of the latest answer, which the program may look at */
	CUgraphEdgeData *edges;
	struct capture *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct capture *captures;
static unsigned int active;
static __thread CUstreamCaptureMode thread_mode __attribute__((tls_model("initial-exec"))) =
	CU_STREAM_CAPTURE_MODE_GLOBAL;

bool capture_any(void)
{
	return __atomic_load_n(&active, __ATOMIC_ACQUIRE) != 0;
}

bool capture_has(CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (!capture_any())
		return false;
	return rpc_cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* Does this capture forbid the calling thread's unsafe calls? */
static bool forbids(const struct capture *c)
{
	if (c->mode == CU_STREAM_CAPTURE_MODE_RELAXED ||
	    thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED)
		return false;
	if (pthread_equal(c->thread, pthread_self()))
		return true;
	return c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
	       thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

CUresult capture_allows(void)
{
	CUresult r = CUDA_SUCCESS;

	if (!capture_any())
		return CUDA_SUCCESS;
	pthread_mutex_lock(&lock);
	for (struct capture *c = captures; c; c = c->next) {
		if (!forbids(c))
			continue;
		c->broken = true;
		r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	CUstreamCaptureMode old = thread_mode;

	if (!mode || (unsigned int)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	thread_mode = *mode;
	*mode = old;
	return CUDA_SUCCESS;
}

/* The host does not know of it.  A stream that has joined looks well until the end. */
static bool is_broken(CUstream stream)
{
	bool broken = false;

	pthread_mutex_lock(&lock);
	for (const struct capture *c = captures; c; c = c->next)
		broken = broken || (c->stream == stream && c->broken);
	pthread_mutex_unlock(&lock);
	return broken;
}

CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!captureStatus)
		return CUDA_ERROR_INVALID_VALUE;
	r = shim_stream(hStream, &hStream);
	if (r != CUDA_SUCCESS)
		return r;
	*captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
	if (!capture_any())
		return CUDA_SUCCESS;
	r = rpc_cuStreamIsCapturing(hStream, captureStatus);
	if (r == CUDA_SUCCESS && is_broken(hStream))
		*captureStatus = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	return r;
}

/* -------------------------------------------------------- begin and end */

static struct capture *make(CUstream stream, CUstreamCaptureMode mode, uint64_t graph)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct capture){.stream = stream,
				      .context = shim_stream_context(stream),
				      .mode = mode,
				      .thread = pthread_self(),
				      .graph = graph};
	return c;
}

static void add(struct capture *c)
{
	pthread_mutex_lock(&lock);
	c->next = captures;
	captures = c;
	__atomic_add_fetch(&active, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
}

/* Takes the stream's capture out of the list; NULL: there is none. */
static struct capture *take(CUstream stream)
{
	struct capture **c, *found;

	pthread_mutex_lock(&lock);
	for (c = &captures; *c && (*c)->stream != stream; c = &(*c)->next)
		;
	found = *c;
	if (found) {
		*c = found->next;
		__atomic_sub_fetch(&active, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

static void give_back(struct capture *c)
{
	if (!c)
		return;
	free(c->nodes);
	free(c->edges);
	free(c);
}

/* It counts if the host has begun it. */
static CUresult began(struct capture *c, CUresult r)
{
	if (r == CUDA_SUCCESS)
		add(c);
	else
		give_back(c);
	return r;
}

static CUresult enter(CUstream *stream, CUstreamCaptureMode mode)
{
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && (unsigned int)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(*stream, stream);
	if (r == CUDA_SUCCESS && (!*stream || *stream == CU_STREAM_LEGACY))
		r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return r;
}

CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)
{
	CUresult r = enter(&hStream, mode);
	struct capture *c;

	if (r != CUDA_SUCCESS)
		return r;
	c = make(hStream, mode, 0);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return began(c, rpc_cuStreamBeginCapture_v2(hStream, CU_STREAM_CAPTURE_MODE_RELAXED));
}

/* The form of CUDA 10.0, whose only mode is the global one. */
CUresult cuStreamBeginCapture(CUstream hStream)
{
	return cuStreamBeginCapture_v2(hStream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamBeginCaptureToGraph(CUstream hStream, CUgraph hGraph,
				     const CUgraphNode *dependencies,
				     const CUgraphEdgeData *dependencyData, size_t numDependencies,
				     CUstreamCaptureMode mode)
{
	CUresult r = enter(&hStream, mode);
	struct capture *c;

	if (r == CUDA_SUCCESS && !handle_valid(HANDLE_OF(hGraph), VGPU_CUDA_GRAPH))
		r = CUDA_ERROR_INVALID_HANDLE;
	if (r != CUDA_SUCCESS)
		return r;
	c = make(hStream, mode, HANDLE_OF(hGraph));
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return began(c, rpc_cuStreamBeginCaptureToGraph(hStream, hGraph, dependencies,
							dependencyData, numDependencies,
							CU_STREAM_CAPTURE_MODE_RELAXED));
}

/* Must this thread not be the one that ends it?  It ends all the same, and has no graph. */
static bool wrong_thread(const struct capture *c)
{
	return c->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
	       !pthread_equal(c->thread, pthread_self());
}

/*
 * The host is told to end it in any case.  Without `c` the stream has joined
 * another's capture, or none: the host knows which error that is.
 */
static CUresult end(const struct capture *c, CUstream stream, CUgraph *out)
{
	uint64_t graph = c && c->graph ? c->graph : handle_new(VGPU_CUDA_GRAPH, NULL);
	CUresult r;

	if (!graph)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuStreamEndCapture(stream, graph);
	if (r == CUDA_SUCCESS && c && (c->broken || wrong_thread(c))) {
		rpc_cuGraphDestroy(HANDLE_AS(CUgraph, graph));
		r = c->broken ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
			      : CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	}
	if (r == CUDA_SUCCESS)
		*out = HANDLE_AS(CUgraph, graph);
	else
		handle_drop(graph);
	return r;
}

/* Has nothing ended, for lack of memory or because the host could not be asked to? */
static bool goes_on(const struct capture *c, CUresult r)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return r != CUDA_SUCCESS && r != CUDA_ERROR_STREAM_CAPTURE_INVALIDATED &&
	       r != CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD &&
	       rpc_cuStreamIsCapturing(c->stream, &status) == CUDA_SUCCESS &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)
{
	struct capture *c;
	CUgraph graph = NULL;
	CUresult r = enter(&hStream, CU_STREAM_CAPTURE_MODE_RELAXED);

	if (r != CUDA_SUCCESS)
		return r == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED ? CUDA_ERROR_ILLEGAL_STATE : r;
	c = take(hStream);
	r = end(c, hStream, &graph);
	if (c && goes_on(c, r)) {
		add(c);
		return r;
	}
	give_back(c);
	if (phGraph)
		*phGraph = graph;
	return r;
}

/* Takes out what the stream, or all in the context, was the beginning of. */
static void forget(CUstream stream, const struct context *context)
{
	struct capture **c = &captures, *old;

	if (!capture_any())
		return;
	pthread_mutex_lock(&lock);
	while (*c) {
		old = *c;
		if (context ? old->context != context : old->stream != stream) {
			c = &old->next;
			continue;
		}
		*c = old->next;
		__atomic_sub_fetch(&active, 1, __ATOMIC_RELEASE);
		give_back(old);
	}
	pthread_mutex_unlock(&lock);
}

void capture_stream_ends(CUstream stream)
{
	forget(stream, NULL);
}

void capture_context_ends(const struct context *c)
{
	forget(NULL, c);
}

/* -------------------------------------------------------------- the state */

#define NODES_MAX 128u

static CUresult ask(CUstream stream, uint64_t graph, unsigned int room,
		    struct vgpu_capture_info *info, uint64_t *nodes, CUgraphEdgeData *edges)
{
	uint64_t fresh[NODES_MAX] = {0};
	CUresult r;

	for (unsigned int i = 0; i < room; i++)
		fresh[i] = handle_new(VGPU_CUDA_NODE, NULL);
	r = rpc_vgpuStreamCaptureInfo(stream, graph, room, fresh, info, nodes, edges);
	for (unsigned int i = 0; i < room; i++) {
		if (r == CUDA_SUCCESS && i < info->used)
			graph_owns(HANDLE_AS(CUgraph, info->graph), fresh[i]);
		else
			handle_drop(fresh[i]);
	}
	return r;
}

/* With the lock held: the number by which a stream that has joined knows it. */
static uint64_t id_of(struct capture *c)
{
	struct vgpu_capture_info info = {0};
	CUgraphEdgeData edge;
	uint64_t node;

	if (!c->id && ask(c->stream, 0, 0, &info, &node, &edge) == CUDA_SUCCESS)
		c->id = info.id;
	return c->id;
}

/* With the lock held: the capture of a stream by what the host tells of it; NULL: it has ended. */
static struct capture *find(CUstream stream, uint64_t id)
{
	struct capture *c;

	for (c = captures; c && c->stream != stream; c = c->next)
		;
	if (c) {
		c->id = id;
		return c;
	}
	for (c = captures; c && id_of(c) != id; c = c->next)
		;
	return c;
}

/* Keeps the answer where the program may look at it until the next one. */
static CUresult keep(struct capture *c, unsigned int n, const uint64_t *nodes,
		     const CUgraphEdgeData *edges)
{
	free(c->nodes);
	free(c->edges);
	c->nodes = malloc((n + 1) * sizeof(*c->nodes));
	c->edges = malloc((n + 1) * sizeof(*c->edges));
	if (!c->nodes || !c->edges)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; i < n; i++) {
		c->nodes[i] = nodes[i];
		c->edges[i] = edges[i];
	}
	return CUDA_SUCCESS;
}

CUresult cuStreamGetCaptureInfo_v3(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
				   cuuint64_t *id_out, CUgraph *graph_out,
				   const CUgraphNode **dependencies_out,
				   const CUgraphEdgeData **edgeData_out,
				   size_t *numDependencies_out)
{
	struct vgpu_capture_info info = {0};
	uint64_t nodes[NODES_MAX] = {0}, graph = 0;
	CUgraphEdgeData edges[NODES_MAX] = {0};
	bool details = graph_out || dependencies_out || numDependencies_out;
	struct capture *c;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !captureStatus_out)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r != CUDA_SUCCESS)
		return r;
	*captureStatus_out = CU_STREAM_CAPTURE_STATUS_NONE;
	if (!capture_any())
		return CUDA_SUCCESS;
	if (details)
		graph = handle_new(VGPU_CUDA_GRAPH, NULL);
	r = ask(hStream, graph, details ? NODES_MAX : 0, &info, nodes, edges);
	if (graph && (r != CUDA_SUCCESS || info.graph != graph))
		handle_drop(graph);
	if (r != CUDA_SUCCESS)
		return r;
	*captureStatus_out = is_broken(hStream) ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
						: (CUstreamCaptureStatus)info.status;
	if (*captureStatus_out != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	if (id_out)
		*id_out = info.id;
	if (!details)
		return CUDA_SUCCESS;
	if (info.dependencies > NODES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	c = find(hStream, info.id);
	r = c ? keep(c, info.dependencies, nodes, edges) : CUDA_ERROR_UNKNOWN;
	if (r == CUDA_SUCCESS) {
		c->graph = info.graph;
		if (graph_out)
			*graph_out = HANDLE_AS(CUgraph, info.graph);
		if (dependencies_out)
			*dependencies_out = (const CUgraphNode *)(void *)c->nodes;
		if (edgeData_out)
			*edgeData_out = c->edges;
		if (numDependencies_out)
			*numDependencies_out = info.dependencies;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuStreamGetCaptureInfo_v2(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
				   cuuint64_t *id_out, CUgraph *graph_out,
				   const CUgraphNode **dependencies_out,
				   size_t *numDependencies_out)
{
	return cuStreamGetCaptureInfo_v3(hStream, captureStatus_out, id_out, graph_out,
					 dependencies_out, NULL, numDependencies_out);
}

CUresult cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
				cuuint64_t *id_out)
{
	return cuStreamGetCaptureInfo_v3(hStream, captureStatus_out, id_out, NULL, NULL, NULL,
					 NULL);
}

CUresult cuStreamUpdateCaptureDependencies(CUstream hStream, CUgraphNode *dependencies,
					   size_t numDependencies, unsigned int flags)
{
	return cuStreamUpdateCaptureDependencies_v2(hStream, dependencies, NULL, numDependencies,
						    flags);
}
