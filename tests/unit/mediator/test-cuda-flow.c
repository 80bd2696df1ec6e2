/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work behind a host function that does not return.  The cpu backend's streams
 * are as deep as a GPU's, so a worker that enqueued it all would block here.
 */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "cuda-program.h"
#include "cuda/entry.h"

#define MANY 3000u /* more than any queue holds */
#define LIMIT_S 60
#define STREAM HANDLE(STREAM, 20)
#define OTHER HANDLE(STREAM, 21)
#define GRAPH HANDLE(GRAPH, 30)
#define NODE HANDLE(NODE, 31)
#define EXEC HANDLE(GRAPHEXEC, 32)

static CUdeviceptr at;

static void start(void)
{
	alarm(LIMIT_S); /* what blocks in the driver does so for ever */
	program_start();
	make_stream(STREAM);
	make_stream(OTHER);
	at = allocate(8192);
}

static void stop(void)
{
	alarm(0);
	calls_stop();
}

static void fill(uint64_t stream, uint32_t value)
{
	QUIET(cuMemsetD32Async, CTX,
	      REQ(cuMemsetD32Async, .dstDevice = at, .N = 1, .ui = value, .hStream = stream));
}

static void block(uint64_t stream, uint64_t id)
{
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = stream, .id = id));
}

/* The guest's function has run, once it was asked to. */
static void unblock(uint64_t id)
{
	char *note = g_strdup_printf("3:%" G_GUINT64_FORMAT, id);

	while (!strstr(calls_notes->str, note))
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	g_free(note);
	QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = id));
}

static void send_synchronize(uint64_t stream)
{
	calls_send(CUDA_FN_cuStreamSynchronize, CTX, 0,
		   (struct part[]){REQ(cuStreamSynchronize, .hStream = stream)}, 1);
}

static uint32_t result(void)
{
	uint32_t value;

	memcpy(&value, read_bytes(at, 4), sizeof(value));
	return value;
}

/* All is done, in its order. */
static void test_behind(void)
{
	start();
	block(STREAM, 7);
	for (uint32_t i = 1; i <= MANY; i++)
		fill(STREAM, i);
	send_synchronize(STREAM);
	unblock(7);
	assert_ok(calls_wait(NULL));
	g_assert_cmpuint(result(), ==, MANY);
	g_assert_null(test_worker->cuda->flow.head);
	g_assert_cmpuint(test_worker->cuda->flow.bytes, ==, 0);
	stop();
}

/* Streams that nothing holds up go on, however much they are given. */
static void test_beside(void)
{
	start();
	block(STREAM, 7);
	for (uint32_t i = 1; i <= MANY; i++)
		fill(OTHER, i);
	send_synchronize(OTHER);
	assert_ok(calls_wait(NULL));
	g_assert_cmpuint(calls_notes->len, ==, 3);
	unblock(7);
	synchronize();
	g_assert_cmpuint(result(), ==, MANY);
	stop();
}

/* A graph runs its function at each launch. */
static void test_graph(void)
{
	start();
	QUIET(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH));
	assert_ok(CALL(vgpuGraphAddHost, CTX,
		       REQ(vgpuGraphAddHost, .node = NODE, .graph = GRAPH, .id = 9)));
	assert_ok(CALL(vgpuGraphInstantiate, CTX,
		       REQ(vgpuGraphInstantiate, .exec = EXEC, .graph = GRAPH)));
	for (unsigned int turn = 0; turn < 2; turn++) {
		QUIET(cuGraphLaunch, CTX, REQ(cuGraphLaunch, .hGraph = EXEC, .hStream = STREAM));
		for (uint32_t i = 1; i <= MANY; i++)
			fill(STREAM, i + turn);
		send_synchronize(STREAM);
		unblock(9);
		assert_ok(calls_wait(NULL));
		g_string_truncate(calls_notes, 0);
		g_assert_cmpuint(result(), ==, MANY + turn);
	}
	stop();
}

/* Data on its way back has so much room; beyond that the driver copies before it returns. */
static void test_reads(void)
{
	start();
	fill(STREAM, 5);
	block(STREAM, 7);
	for (unsigned int i = 0; i < 200; i++)
		calls_send(CUDA_FN_vgpuRead, CTX, 0,
			   (struct part[]){REQ(vgpuRead, .src = at, .stream = STREAM, .bytes = 4)},
			   1);
	unblock(7);
	for (unsigned int i = 0; i < 200; i++)
		g_assert_cmpuint(calls_wait(NULL)->data[0], ==, 5);
	stop();
}

/* Each call that waits takes an event of ours. */
static void test_waits(void)
{
	start();
	block(STREAM, 7);
	for (unsigned int i = 0; i < MANY; i++)
		send_synchronize(STREAM);
	unblock(7);
	for (unsigned int i = 0; i < MANY; i++)
		assert_ok(calls_wait(NULL));
	stop();
}

/* The driver blocks when it makes more streams than it has queues for, while some are busy. */
static void test_streams(void)
{
	start();
	block(STREAM, 7);
	for (unsigned int i = 0; i < 22; i++)
		g_assert_cmpint(QUIET(cuStreamCreate, CTX,
				      REQ(cuStreamCreate, .phStream = HANDLE(STREAM, 40 + i)))
					->status,
				==, 1);
	g_assert_null(test_worker->cuda->flow.head);
	for (unsigned int i = 0; i < 22; i++)
		QUIET(cuStreamCreate, CTX, REQ(cuStreamCreate, .phStream = HANDLE(STREAM, 70 + i)));
	g_assert_nonnull(test_worker->cuda->flow.head);
	fill(HANDLE(STREAM, 91), 6);
	send_synchronize(HANDLE(STREAM, 91));
	unblock(7);
	assert_ok(calls_wait(NULL));
	g_assert_cmpuint(result(), ==, 6);
	stop();
}

/* What is held back has a limit: beyond it calls fail, as others without memory do. */
static void test_exhaustion(void)
{
	static const uint8_t data[7680];

	start();
	block(STREAM, 7);
	for (unsigned int i = 0; i < 12000; i++)
		QUIET(vgpuWrite, CTX,
		      REQ(vgpuWrite, .dst = at, .stream = STREAM, .bytes = sizeof(data)),
		      {data, sizeof(data)});
	g_assert_cmpuint(test_worker->cuda->flow.bytes, <=, 64 << 20);
	unblock(7);
	while (test_worker->cuda->flow.head)
		cuda_poll(test_worker);
	g_assert_cmpint(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0)->deferred, ==,
			CUDA_ERROR_OUT_OF_MEMORY);
	synchronize();
	stop();
}

/* Very small ones count with all that is kept of them. */
static void test_small(void)
{
	const struct vgpu_desc desc[VGPU_DESCS_MAX] = {{0}};
	struct flow *f;

	start();
	block(STREAM, 7);
	f = &test_worker->cuda->flow;
	while (!f->head)
		fill(STREAM, 1);
	for (unsigned int i = 0; i < 64; i++) {
		calls_give(desc, VGPU_DESCS_MAX);
		QUIET(vgpuBlobEnd, 0, REQ(vgpuBlobEnd, .blob = 1));
	}
	g_assert_cmpuint(f->bytes, >, 64 * sizeof(desc));
	unblock(7);
	while (f->head)
		cuda_poll(test_worker);
	g_assert_cmpuint(f->bytes, ==, 0);
	stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda-flow/behind", test_behind);
	g_test_add_func("/mediator/cuda-flow/beside", test_beside);
	g_test_add_func("/mediator/cuda-flow/graph", test_graph);
	g_test_add_func("/mediator/cuda-flow/reads", test_reads);
	g_test_add_func("/mediator/cuda-flow/waits", test_waits);
	g_test_add_func("/mediator/cuda-flow/streams", test_streams);
	g_test_add_func("/mediator/cuda-flow/exhaustion", test_exhaustion);
	g_test_add_func("/mediator/cuda-flow/small", test_small);
	return g_test_run();
}
