/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session's turns at the GPU: CUDA calls wait for them, in their order, and come to an end. */
#include <errno.h>
#include <glib.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include "cuda-program.h"
#include "cuda/entry.h"
#include "fdio.h"

#define LIMIT_S 60
#define MS 1000000ull
#define MANY 300u
#define STREAM HANDLE(STREAM, 20)
#define MODULE HANDLE(MODULE, 2)
#define WAIT_FLAG HANDLE(FUNCTION, 3)
#define OTHER HANDLE(STREAM, 21)
#define EVENT HANDLE(EVENT, 22)
#define GRAPH HANDLE(GRAPH, 23)
#define EXEC HANDLE(GRAPHEXEC, 24)

static CUdeviceptr at;
static struct vgpu_queue_header ring; /* an empty one */

static void start(void)
{
	alarm(LIMIT_S); /* what should have ended does not */
	program_start();
	ring = (struct vgpu_queue_header){0};
	test_worker->queue.hdr = &ring;
	make_stream(STREAM);
	at = allocate(8192);
	load(MODULE);
	find(MODULE, WAIT_FLAG, "wait_flag");
	synchronize();
	test_worker->turn.poll_ns = 0;
	turn_poll(test_worker);
	g_assert_false(test_worker->turn.busy);
}

static void stop(void)
{
	alarm(0);
	calls_stop();
}

static void limit_kernels(uint64_t ns)
{
	struct tenant_limits limits = *test_worker->tenant.page;

	limits.kernel_ns = ns;
	tenant_limits_write((struct tenant_limits *)test_worker->tenant.page, &limits);
	tenant_look(&test_worker->tenant); /* as with each request */
}

static void fill_in(uint64_t stream, uint32_t value)
{
	QUIET(cuMemsetD32Async, CTX,
	      REQ(cuMemsetD32Async, .dstDevice = at, .N = 1, .ui = value, .hStream = stream));
}

static void fill(uint32_t value)
{
	fill_in(STREAM, value);
}

/* The stream stands until flag() is called. */
static void block_in(uint64_t stream)
{
	const uint32_t zero = 0;

	__atomic_store_n((uint32_t *)(uintptr_t)(at + 4096), zero, __ATOMIC_SEQ_CST);
	launch_wait(WAIT_FLAG, stream, at + 4096);
}

static void block(void)
{
	block_in(STREAM);
}

static void flag(void)
{
	__atomic_store_n((uint32_t *)(uintptr_t)(at + 4096), 1, __ATOMIC_SEQ_CST);
}

static void word(bool leased, uint64_t until, uint64_t serial)
{
	const struct ctl_turn m = {
		.type = CTL_TURN, .leased = leased, .until = until, .serial = serial};

	turn_word(test_worker, &m);
}

/* As the loop does. */
static void run(void)
{
	turn_poll(test_worker);
	g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	g_usleep(20);
}

static const struct ctl_turn_news *news(guint i)
{
	g_assert_cmpuint(i, <, calls_turns->len);
	return &g_array_index(calls_turns, struct ctl_turn_news, i);
}

static void expect_return(guint i, uint64_t serial, bool wants)
{
	while (calls_turns->len <= i)
		run();
	g_assert_cmpuint(news(i)->type, ==, CTL_RETURN);
	g_assert_cmpuint(news(i)->serial, ==, serial);
	g_assert_cmpuint(news(i)->wants, ==, wants);
}

/* Once all is done, so that there is room for the question. */
static uint32_t result(void)
{
	uint32_t value;

	while (cuda_has_held(test_worker) || test_worker->turn.busy)
		run();
	memcpy(&value, read_bytes(at, 4), sizeof(value));
	return value;
}

/* -------------------------------------------------------------------- cases */

/* Who shares the GPU with nobody says nothing, waits for nothing, and is accounted for. */
static void test_free(void)
{
	start();
	for (uint32_t i = 1; i <= MANY; i++)
		fill(i);
	g_assert_false(cuda_has_held(test_worker));
	synchronize();
	g_assert_cmpuint(result(), ==, MANY);
	while (test_worker->turn.busy)
		run();
	g_assert_cmpuint(calls_turns->len, ==, 0);
	g_assert_cmpuint(test_worker->tenant.mine->gpu_ns, >, 0);
	g_assert_cmpuint(test_worker->tenant.mine->progress, >, 0);
	g_assert_cmpuint(test_worker->tenant.mine->busy_since, ==, 0);
	stop();
}

/* Time in which the worker did other things, or slept, is not the GPU's. */
static void test_began(void)
{
	uint64_t before;

	start();
	turn_poll(test_worker);
	g_usleep(20000);
	before = fdio_now_ns();
	block();
	g_assert_cmpuint(test_worker->tenant.mine->busy_since, >=, before);
	flag();
	while (test_worker->turn.busy)
		run();
	stop();
}

static CUresult (*query)(CUevent event);
static unsigned int queries;

static CUresult count_queries(CUevent event)
{
	queries++;
	return query(event);
}

/* What lies behind something in its stream that is not done is not asked about. */
static void test_one_question(void)
{
	const struct cuda_driver *drv;
	struct cuda_driver counting;

	start();
	drv = test_worker->cuda->drv;
	counting = *drv;
	query = drv->cuEventQuery;
	counting.cuEventQuery = count_queries;
	block();
	while (test_worker->cuda->marks.n < 4) {
		g_usleep(300);
		run();
		fill(9);
	}
	test_worker->cuda->drv = &counting;
	test_worker->turn.poll_ns = 0;
	queries = 0;
	turn_poll(test_worker);
	g_assert_cmpuint(queries, ==, 1);
	test_worker->cuda->drv = drv;
	flag();
	g_assert_cmpuint(result(), ==, 9);
	while (test_worker->turn.busy)
		run();
	g_assert_cmpuint(test_worker->cuda->marks.n, ==, 0);
	stop();
}

/* While calls come, looks leave marks to when they are due. */
static void test_looks_mark_little(void)
{
	struct marks *m;

	start();
	m = &test_worker->cuda->marks;
	do { /* a call that is not marked: none is due yet */
		flag();
		synchronize();
		while (test_worker->turn.busy)
			run();
		m->least_ns = 0;
		m->marked_ns = fdio_now_ns();
		block();
	} while (m->n);
	for (int more = 0; more < 2; more++) {
		m->seen = 0; /* as if there were more than at the last look */
		marks_poll(test_worker->cuda, m->marked_ns);
		g_assert_cmpuint(m->n, ==, 0);
		g_assert_cmpuint(m->outstanding, ==, 1);
	}
	marks_poll(test_worker->cuda, m->marked_ns);
	g_assert_cmpuint(m->n, ==, 1);
	flag();
	stop();
}

/* Without a lease: it asks once; what comes is held back, and made in its order. */
static void test_held(void)
{
	start();
	word(true, 0, 0);
	for (uint32_t i = 1; i <= MANY; i++)
		fill(i);
	g_assert_true(cuda_is_full(test_worker));
	for (int i = 0; i < 100; i++)
		run();
	g_assert_cmpuint(calls_turns->len, ==, 1);
	g_assert_cmpuint(news(0)->type, ==, CTL_WANT);
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, ==, 0);
	word(true, CTL_TURN_OPEN, 1);
	while (cuda_has_held(test_worker))
		run();
	g_assert_cmpuint(result(), ==, MANY);
	g_assert_cmpuint(test_worker->tenant.mine->throttled_ns, >, 0);
	/* Of no use any more: it goes back by itself. */
	expect_return(1, 1, false);
	stop();
}

/* Questions need no lease. */
static void test_questions(void)
{
	start();
	word(true, 0, 0);
	assert_ok(CALL(cuStreamQuery, CTX, REQ(cuStreamQuery, .hStream = STREAM)));
	synchronize();
	allocate(100);
	g_assert_cmpuint(calls_turns->len, ==, 0);
	g_assert_false(cuda_has_held(test_worker));
	stop();
}

/* However much comes, only so much is on its way to the GPU. */
static void test_outstanding(void)
{
	start();
	word(true, CTL_TURN_OPEN, 1);
	block();
	for (uint32_t i = 1; i <= MANY; i++)
		fill(i);
	for (int i = 0; i < 100; i++)
		run();
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, <=, 8);
	g_assert_true(cuda_has_held(test_worker));
	flag();
	while (cuda_has_held(test_worker))
		run();
	g_assert_cmpuint(result(), ==, MANY);
	stop();
}

/* The end of a turn: nothing more begins, and it goes back when what had begun is done. */
static void test_end(void)
{
	start();
	word(true, CTL_TURN_OPEN, 1);
	block();
	run();
	word(true, fdio_now_ns() - 1, 1); /* revoked */
	fill(7);
	for (int i = 0; i < 100; i++)
		run();
	g_assert_cmpuint(calls_turns->len, ==, 0);
	flag();
	expect_return(0, 1, true);
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, ==, 0);
	/* Words about that lease are too late. */
	word(true, CTL_TURN_OPEN, 1);
	run();
	g_assert_true(cuda_has_held(test_worker));
	word(true, CTL_TURN_OPEN, 2);
	while (cuda_has_held(test_worker))
		run();
	g_assert_cmpuint(result(), ==, 7);
	stop();
}

/*
 * What is on the GPU waits for what the guest has yet to send: the lease goes
 * back all the same, and the next one brings it to its end.
 */
static void test_no_deadlock(void)
{
	const uint64_t began = fdio_now_ns();
	const uint32_t one = 1;

	start();
	word(true, began + 20 * MS, 1);
	block();
	/* Held back, as the turn is over by then. */
	while (fdio_now_ns() < began + 20 * MS)
		run();
	QUIET(vgpuWrite, CTX, REQ(vgpuWrite, .dst = at + 4096, .bytes = 4, .stream = 0), {&one, 4});
	g_assert_true(cuda_has_held(test_worker));
	expect_return(0, 1, true);
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, >, 0);
	word(true, CTL_TURN_OPEN, 2);
	while (cuda_has_held(test_worker) || test_worker->turn.busy)
		run();
	stop();
}

/*
 * ... also if much comes before it: what stands still does not count, so that the
 * guest gets the answer that it waits for before it lets the stream go on.
 */
static void stand_still(uint64_t until)
{
	uint64_t serial = 1;

	start();
	word(true, until ? fdio_now_ns() + until : CTL_TURN_OPEN, serial);
	block();
	for (uint32_t i = 1; i <= MANY; i++)
		fill(i);
	/* Held back as well, behind all of them. */
	calls_send(CUDA_FN_cuStreamQuery, CTX, 0,
		   (struct part[]){REQ(cuStreamQuery, .hStream = STREAM)}, 1);
	while (cuda_poll(test_worker) != CUDA_RESPONSE) {
		turn_poll(test_worker);
		if (calls_turns->len == serial)
			word(true, fdio_now_ns() + until, ++serial);
		g_usleep(20);
	}
	flag();
	word(true, CTL_TURN_OPEN, ++serial);
	g_assert_cmpuint(result(), ==, MANY);
	g_assert_cmpuint(test_worker->cuda->marks.stuck, ==, 0);
	stop();
}

static void test_stands_still(void)
{
	stand_still(0);
}

static void test_stands_still_in_turns(void)
{
	stand_still(4 * MS);
}

/* The daemon goes: nobody waits. */
static void test_alone(void)
{
	start();
	word(true, 0, 0);
	fill(5);
	g_assert_true(cuda_has_held(test_worker));
	turn_alone(test_worker);
	while (cuda_has_held(test_worker))
		run();
	g_assert_cmpuint(result(), ==, 5);
	stop();
}

/* ... and that may be found out by asking, or by giving back. */
static void test_gone(void)
{
	start();
	calls_no_daemon = true;
	word(true, 0, 0);
	fill(5);
	g_assert_false(cuda_has_held(test_worker));
	g_assert_cmpuint(result(), ==, 5);
	word(true, fdio_now_ns() - 1, 1);
	fill(6);
	while (cuda_has_held(test_worker))
		run();
	g_assert_cmpuint(result(), ==, 6);
	calls_no_daemon = false;
	/* The next one begins to count anew. */
	word(true, CTL_TURN_OPEN, 1);
	fill(7);
	while (cuda_has_held(test_worker))
		run();
	expect_return(0, 1, false);
	stop();
}

/* A capture is no work for the GPU. */
static void test_capture(void)
{
	start();
	word(true, 0, 0);
	assert_ok(CALL(cuStreamBeginCapture_v2, CTX,
		       REQ(cuStreamBeginCapture_v2, .hStream = STREAM,
			   .mode = CU_STREAM_CAPTURE_MODE_RELAXED)));
	fill(3);
	g_assert_false(cuda_has_held(test_worker));
	g_assert_cmpuint(calls_turns->len, ==, 0);
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, ==, 0);
	assert_ok(CALL(vgpuStreamEndCapture, CTX,
		       REQ(vgpuStreamEndCapture, .stream = STREAM, .graph = HANDLE(GRAPH, 9))));
	stop();
}

static void expect_too_long(void)
{
	jmp_buf end;

	calls_broken = &end;
	if (!setjmp(end)) {
		for (;;)
			run();
	}
	g_assert_cmpint(calls_broken_status, ==, -ETIME);
	calls_broken = NULL;
	flag();
}

/* A kernel that takes longer than it may is the end of the session. */
static void test_too_long(void)
{
	start();
	limit_kernels(50 * MS);
	for (uint32_t i = 1; i <= MANY; i++) /* short ones are none of it */
		fill(i);
	synchronize();
	block();
	expect_too_long();
	stop();
}

/* One that ends in time is not, nor many of them in a row. */
static void test_long_enough(void)
{
	start();
	limit_kernels(10000 * MS);
	block();
	for (int i = 0; i < 1000; i++)
		run();
	g_assert_cmpuint(test_worker->tenant.mine->busy_since, >, 0);
	flag();
	while (test_worker->turn.busy)
		run();
	g_assert_cmpuint(test_worker->tenant.mine->busy_since, ==, 0);
	stop();
}

/* STREAM stands; in another one work was done just before that, and is after it. */
static void block_beside(void)
{
	make_stream(OTHER);
	fill_in(OTHER, 1);
	block();
	g_usleep(1000);
	fill_in(OTHER, 2);
}

/* Work of a stream that has begun is not done because other streams' work is. */
static void test_streams(void)
{
	start();
	block_beside();
	for (int i = 0; i < 1000; i++)
		run();
	g_assert_true(test_worker->turn.busy);
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, >, 0);
	/* Nor if the stream goes. */
	QUIET(cuStreamDestroy_v2, CTX, REQ(cuStreamDestroy_v2, .hStream = STREAM));
	fill_in(OTHER, 1);
	for (int i = 0; i < 1000; i++)
		run();
	g_assert_true(test_worker->turn.busy);
	flag();
	while (test_worker->turn.busy)
		run();
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, ==, 0);
	stop();
}

/* ... and ends the session if it takes too long, however much goes on beside it. */
static void test_too_long_beside(void)
{
	start();
	limit_kernels(50 * MS);
	block_beside();
	expect_too_long();
	stop();
}

static void call_function(uint64_t id)
{
	char note[32];

	g_snprintf(note, sizeof(note), "3:%u", (unsigned int)id);
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = STREAM, .id = id));
	while (!strstr(calls_notes->str, note))
		run();
}

static void function_is_done(uint64_t id)
{
	QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = id));
}

/* Functions of the guest's program take the time that they take, and what waits for them too. */
static void test_excused(void)
{
	start();
	make_stream(OTHER);
	QUIET(cuEventCreate, CTX, REQ(cuEventCreate, .phEvent = EVENT));
	limit_kernels(1 * MS);
	call_function(7);
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, ==, 0);
	for (uint32_t i = 1; i <= 100; i++)
		fill(i);
	QUIET(cuEventRecord, CTX, REQ(cuEventRecord, .hEvent = EVENT, .hStream = STREAM));
	QUIET(cuStreamWaitEvent, CTX,
	      REQ(cuStreamWaitEvent, .hStream = OTHER, .hEvent = EVENT, .Flags = 0));
	for (uint32_t i = 1; i <= 100; i++)
		fill_in(OTHER, i);
	for (int i = 0; i < 1000; i++)
		run();
	g_assert_cmpuint(test_worker->cuda->marks.outstanding, >, 0);
	function_is_done(7);
	while (test_worker->turn.busy)
		run();
	stop();
}

/* What runs beside such a function, or behind it once it has come, is not excused. */
static void test_not_excused(void)
{
	start();
	make_stream(OTHER);
	limit_kernels(50 * MS);
	call_function(8);
	for (uint32_t i = 1; i <= 100; i++)
		fill(i);
	block_in(OTHER);
	expect_too_long();
	function_is_done(8);
	stop();

	start();
	limit_kernels(50 * MS);
	call_function(9);
	block();
	for (int i = 0; i < 1000; i++)
		run();
	function_is_done(9);
	expect_too_long();
	stop();
}

/* A graph is one piece of work, and its functions are part of it; what comes behind is another. */
static void test_graph_function(void)
{
	start();
	limit_kernels(50 * MS);
	assert_ok(CALL(cuStreamBeginCapture_v2, CTX,
		       REQ(cuStreamBeginCapture_v2, .hStream = STREAM,
			   .mode = CU_STREAM_CAPTURE_MODE_RELAXED)));
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = STREAM, .id = 6));
	assert_ok(CALL(vgpuStreamEndCapture, CTX,
		       REQ(vgpuStreamEndCapture, .stream = STREAM, .graph = GRAPH)));
	assert_ok(CALL(vgpuGraphInstantiate, CTX,
		       REQ(vgpuGraphInstantiate, .exec = EXEC, .graph = GRAPH)));
	QUIET(cuGraphLaunch, CTX, REQ(cuGraphLaunch, .hGraph = EXEC, .hStream = STREAM));
	while (!strstr(calls_notes->str, "3:6"))
		run();
	function_is_done(6);
	fill(4);
	g_assert_cmpuint(result(), ==, 4);
	block();
	expect_too_long();
	synchronize();
	QUIET(cuGraphLaunch, CTX, REQ(cuGraphLaunch, .hGraph = EXEC, .hStream = STREAM));
	expect_too_long();
	function_is_done(6);
	stop();
}

/* A limit that comes when work waits for a function already: nobody knows when that begins. */
static void test_late_limit(void)
{
	start();
	call_function(4);
	for (uint32_t i = 1; i <= 100; i++)
		fill(i);
	limit_kernels(1 * MS);
	for (int i = 0; i < 1000; i++)
		run();
	function_is_done(4);
	g_assert_cmpuint(result(), ==, 100);
	stop();
}

/* Nor what was there before it, in the same stream. */
static void test_before_function(void)
{
	start();
	limit_kernels(50 * MS);
	block();
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = STREAM, .id = 5));
	expect_too_long();
	while (!strstr(calls_notes->str, "3:5"))
		run();
	function_is_done(5);
	stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cuda-turns/free", test_free);
	g_test_add_func("/cuda-turns/began", test_began);
	g_test_add_func("/cuda-turns/one-question", test_one_question);
	g_test_add_func("/cuda-turns/held", test_held);
	g_test_add_func("/cuda-turns/questions", test_questions);
	g_test_add_func("/cuda-turns/outstanding", test_outstanding);
	g_test_add_func("/cuda-turns/end", test_end);
	g_test_add_func("/cuda-turns/no-deadlock", test_no_deadlock);
	g_test_add_func("/cuda-turns/stands-still", test_stands_still);
	g_test_add_func("/cuda-turns/stands-still-in-turns", test_stands_still_in_turns);
	g_test_add_func("/cuda-turns/alone", test_alone);
	g_test_add_func("/cuda-turns/gone", test_gone);
	g_test_add_func("/cuda-turns/capture", test_capture);
	g_test_add_func("/cuda-turns/too-long", test_too_long);
	g_test_add_func("/cuda-turns/long-enough", test_long_enough);
	g_test_add_func("/cuda-turns/streams", test_streams);
	g_test_add_func("/cuda-turns/too-long-beside", test_too_long_beside);
	g_test_add_func("/cuda-turns/looks-mark-little", test_looks_mark_little);
	g_test_add_func("/cuda-turns/excused", test_excused);
	g_test_add_func("/cuda-turns/not-excused", test_not_excused);
	g_test_add_func("/cuda-turns/before-function", test_before_function);
	g_test_add_func("/cuda-turns/graph-function", test_graph_function);
	g_test_add_func("/cuda-turns/late-limit", test_late_limit);
	return g_test_run();
}
