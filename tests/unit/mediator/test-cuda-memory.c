/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory in CUDA calls: windows at one address, bulk copies, images by descriptors. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "cuda-program.h"
#include "cuda/entry.h"
#include "cuda/windows.h"

#define GPA 0x100000ull
#define RAM ((size_t)1 << 20)
#define DATA 0x10000ull          /* from here on, offset in RAM */
#define WINDOW 0x551000000000ull /* what every sanitizer leaves to programs, below all of ours */

/* One region of guest RAM, a buffer table at its beginning, a segment page after it. */
static uint8_t *ram;
static struct vgpu_buffer_entry *table;

static void make_ram(void)
{
	const struct vgpu_mem_region region = {.guest_addr = GPA, .size = RAM};
	int fd = memfd_create("test-ram", MFD_CLOEXEC);
	unsigned int bad;

	g_assert_cmpint(ftruncate(fd, (off_t)RAM), ==, 0);
	g_assert_cmpint(memory_replace(&test_worker->mem, &region, &fd, 1, &bad), ==, 0);
	close(fd);
	ram = memory_at(&test_worker->mem, GPA, RAM);
	table = (void *)ram;
	g_assert_cmpint(buffers_init(&test_worker->buffers, &test_worker->mem, table, 16), ==, 0);
}

/* Buffer `index`: `n` pages, backwards in RAM, so that no two of them touch in order. */
static void make_buffer(uint32_t index, uint32_t n)
{
	struct vgpu_segment_page *page = (void *)(ram + VGPU_PAGE * (1 + index));

	memset(page, 0, sizeof(*page));
	page->count = n;
	for (uint32_t i = 0; i < n; i++)
		page->seg[i] = (struct vgpu_segment){.addr = GPA + DATA + (n - 1 - i) * 0x2000ull,
						     .length = VGPU_PAGE};
	table[index] = (struct vgpu_buffer_entry){.flags = VGPU_BUFFER_READ | VGPU_BUFFER_WRITE,
						  .length = (uint64_t)n * VGPU_PAGE,
						  .list = GPA + VGPU_PAGE * (1 + index),
						  .nsegments = n};
	__atomic_store_n(&table[index].generation, 1, __ATOMIC_RELEASE);
}

static uint8_t *buffer_page(uint32_t n, uint32_t i)
{
	return ram + DATA + (n - 1 - i) * 0x2000ull;
}

static void start(void)
{
	calls_start();
	make_ram();
	g_assert_cmpint(CALL(vgpuHello, 0, REQ(vgpuHello, .version = VGPU_CUDA_VERSION))->result,
			==, CUDA_SUCCESS);
	calls_own_output();
	g_assert_cmpint(
		CALL(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = CTX))->result, ==,
		CUDA_SUCCESS);
}

static void stop(void)
{
	buffers_free(&test_worker->buffers);
	memory_clear(&test_worker->mem);
	calls_stop();
}

static struct outcome *map(uint64_t address, uint64_t bytes, const struct vgpu_desc *desc,
			   unsigned int n)
{
	return calls_make_with(
		desc, n, CUDA_FN_vgpuHostMap, CTX,
		(struct part[]){REQ(vgpuHostMap, .address = address, .bytes = bytes)}, 1);
}

static CUresult unmap(uint64_t address, uint64_t bytes)
{
	return CALL(vgpuHostUnmap, CTX, REQ(vgpuHostUnmap, .address = address, .bytes = bytes))
		->result;
}

static void test_window(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = 4ull * VGPU_PAGE};
	volatile uint8_t *at = (void *)(uintptr_t)(WINDOW + 0x4000);
	const uint64_t bytes = 4ull * VGPU_PAGE;

	start();
	make_buffer(3, 4);
	g_assert_cmpint(
		CALL(vgpuHostReserve, 0, REQ(vgpuHostReserve, .address = WINDOW, .bytes = 0x100000))
			->result,
		==, CUDA_SUCCESS);
	/* Taken. */
	g_assert_cmpint(CALL(vgpuHostReserve, 0,
			     REQ(vgpuHostReserve, .address = WINDOW + 0x1000, .bytes = 0x1000))
				->result,
			!=, CUDA_SUCCESS);
	g_assert_cmpint(map(WINDOW + 0x4000, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpuint(table[3].users, ==, 1);
	for (uint32_t i = 0; i < 4; i++) {
		buffer_page(4, i)[7] = (uint8_t)(i + 1);
		g_assert_cmpuint(at[i * VGPU_PAGE + 7], ==, i + 1);
		at[i * VGPU_PAGE + 9] = (uint8_t)(i + 50);
		g_assert_cmpuint(buffer_page(4, i)[9], ==, i + 50);
	}
	/* The session's own now, from the first byte to the last. */
	g_assert_cmpint(
		CALL(vgpuRead, CTX, REQ(vgpuRead, .src = WINDOW + 0x4000 + 7, .bytes = 1))->data[0],
		==, 1);
	g_assert_true(ranges_check(test_worker->cuda, WINDOW + 0x4000, bytes));
	g_assert_false(ranges_check(test_worker->cuda, WINDOW + 0x4000, bytes + 1));
	g_assert_cmpint(map(WINDOW + 0x5000, bytes, &desc, 1)->result, !=, CUDA_SUCCESS);
	g_assert_cmpint(unmap(WINDOW + 0x4000, bytes - VGPU_PAGE), !=, CUDA_SUCCESS);
	g_assert_cmpint(unmap(WINDOW + 0x4000, bytes), ==, CUDA_SUCCESS);
	g_assert_cmpuint(table[3].users, ==, 0);
	g_assert_false(ranges_check(test_worker->cuda, WINDOW + 0x4000, 1));
	g_assert_cmpint(
		CALL(vgpuHostRelease, 0, REQ(vgpuHostRelease, .address = WINDOW, .bytes = 0x100000))
			->result,
		==, CUDA_SUCCESS);
	stop();
}

/* Pages that the guest's program may only read: mapped for reading or not at all. */
static void test_window_read_only(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = VGPU_PAGE};
	const uint64_t word = 0;

	start();
	make_buffer(3, 1);
	table[3].flags = VGPU_BUFFER_READ;
	buffer_page(1, 0)[0] = 42;
	g_assert_cmpint(map(WINDOW, VGPU_PAGE, &desc, 1)->result, !=, CUDA_SUCCESS);
	g_assert_cmpint(calls_make_with(&desc, 1, CUDA_FN_vgpuHostMap, CTX,
					(struct part[]){REQ(vgpuHostMap, .address = WINDOW,
							    .bytes = VGPU_PAGE,
							    .flags = CU_MEMHOSTREGISTER_READ_ONLY)},
					1)
				->result,
			==, CUDA_SUCCESS);
	g_assert_cmpint(CALL(vgpuRead, CTX, REQ(vgpuRead, .src = WINDOW, .bytes = 1))->data[0], ==,
			42);
	/* Neither by the driver nor by anything else in the worker. */
	QUIET(vgpuWrite, CTX, REQ(vgpuWrite, .dst = WINDOW, .bytes = sizeof(word)),
	      {&word, sizeof(word)});
	g_assert_cmpint(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0)->deferred, ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(getrandom((void *)(uintptr_t)WINDOW, 1, 0), ==, -1);
	g_assert_cmpint(errno, ==, EFAULT);
	g_assert_cmpuint(buffer_page(1, 0)[0], ==, 42);
	g_assert_cmpint(unmap(WINDOW, VGPU_PAGE), ==, CUDA_SUCCESS);
	stop();
}

/* Two maps of one buffer: its pages stay until the last of them is gone. */
static void test_window_twice(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = 2ull * VGPU_PAGE};
	const uint64_t bytes = 2ull * VGPU_PAGE;

	start();
	make_buffer(3, 2);
	g_assert_cmpint(map(WINDOW, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(map(WINDOW + 0x10000, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(unmap(WINDOW, bytes), ==, CUDA_SUCCESS);
	g_assert_cmpuint(table[3].users, ==, 1);
	g_assert_cmpint(unmap(WINDOW + 0x10000, bytes), ==, CUDA_SUCCESS);
	g_assert_cmpuint(table[3].users, ==, 0);
	stop();
}

/* ---- a program that never pauses */

static volatile uint32_t *flags;
static CUresult (*real_unregister)(void *p);

/* All kernels end, as they do by themselves in a program: this may wait for them. */
static CUresult unregister(void *p)
{
	for (unsigned int i = 0; i < 100; i++)
		__atomic_store_n(&flags[i], 1, __ATOMIC_RELEASE);
	return real_unregister(p);
}

/* Pages come back although others launch without end, so that the context is never idle. */
static void test_unmap_amid_work(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = 2ull * VGPU_PAGE};
	const uint64_t bytes = 2ull * VGPU_PAGE, stream = HANDLE(STREAM, 7);
	enum cuda_progress p = CUDA_NOTHING;
	unsigned int i = 0;
	CUdeviceptr at;

	start();
	make_buffer(3, 2);
	load(HANDLE(MODULE, 4));
	find(HANDLE(MODULE, 4), HANDLE(FUNCTION, 5), "wait_flag");
	at = allocate(400);
	flags = (void *)(uintptr_t)at; /* as the cpu backend has it */
	memset((void *)(uintptr_t)at, 0, 400);
	make_stream(stream);
	make_stream(stream + 16);
	g_assert_cmpint(map(WINDOW, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	real_unregister = driver()->cuMemHostUnregister;
	driver()->cuMemHostUnregister = unregister;
	launch_wait(HANDLE(FUNCTION, 5), stream, at);
	calls_send(CUDA_FN_vgpuHostUnmap, CTX, 0,
		   (struct part[]){REQ(vgpuHostUnmap, .address = WINDOW, .bytes = bytes)}, 1);
	while (p != CUDA_RESPONSE && ++i < 100) {
		launch_wait(HANDLE(FUNCTION, 5), stream + 16 * (i % 2), at + 4ull * i);
		__atomic_store_n(&flags[i - 1], 1, __ATOMIC_RELEASE);
		for (unsigned int n = 0; n < 50 && p != CUDA_RESPONSE; n++) {
			p = cuda_poll(test_worker);
			g_usleep(100);
		}
	}
	g_assert_cmpuint(i, <, 100);
	g_assert_cmpuint(table[3].users, ==, 0);
	driver()->cuMemHostUnregister = real_unregister;
	stop();
}

static void test_window_refused(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = 2ull * VGPU_PAGE};
	struct vgpu_desc other = desc;
	const uint64_t bytes = 2ull * VGPU_PAGE;
	uint64_t own;

	start();
	own = (uintptr_t)ram;
	make_buffer(3, 2);
	/* Over what the worker has there; not on pages; more than the pages; unknown buffers. */
	g_assert_cmpint(map(own, bytes, &desc, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(WINDOW + 8, bytes, &desc, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(0, bytes, &desc, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(UINT64_MAX - 4095, bytes, &desc, 1)->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(WINDOW, 3ull * VGPU_PAGE, &desc, 1)->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(WINDOW, VGPU_PAGE, &desc, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	other.buffer = 4;
	g_assert_cmpint(map(WINDOW, bytes, &other, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	other = (struct vgpu_desc){.buffer = 3, .offset = 100, .length = VGPU_PAGE};
	g_assert_cmpint(map(WINDOW, VGPU_PAGE, &other, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	/* Nothing is left behind by any of them. */
	g_assert_cmpuint(table[3].users, ==, 0);
	g_assert_cmpint(map(WINDOW, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	stop();
}

static struct outcome *copy(unsigned int direction, CUdeviceptr at, uint64_t bytes,
			    const struct vgpu_desc *desc, unsigned int n)
{
	return calls_make_with(desc, n, CUDA_FN_vgpuCopy, CTX,
			       (struct part[]){REQ(vgpuCopy, .direction = direction, .address = at,
						   .bytes = bytes)},
			       1);
}

static void test_bulk(void)
{
	const struct vgpu_desc desc[] = {{.buffer = 5, .offset = 100, .length = 5000},
					 {.buffer = 5, .offset = 0, .length = 100}};
	CUdeviceptr at;

	start();
	make_buffer(5, 3);
	for (uint32_t i = 0; i < 3 * VGPU_PAGE; i++)
		buffer_page(3, i / VGPU_PAGE)[i % VGPU_PAGE] = (uint8_t)(i * 7 + i / 256);
	at = allocate(5100);
	g_assert_cmpint(copy(VGPU_COPY_TO_DEVICE, at, 5100, desc, 2)->result, ==, CUDA_SUCCESS);
	g_assert_cmpuint(table[5].users, ==, 0);
	for (uint32_t i = 0; i < 3; i++)
		memset(buffer_page(3, i), 0, VGPU_PAGE);
	g_assert_cmpint(copy(VGPU_COPY_FROM_DEVICE, at, 5100, desc, 2)->result, ==, CUDA_SUCCESS);
	for (uint32_t i = 0; i < 3 * VGPU_PAGE; i++)
		g_assert_cmpuint(buffer_page(3, i / VGPU_PAGE)[i % VGPU_PAGE], ==,
				 i < 5100 ? (uint8_t)(i * 7 + i / 256) : 0);
	/* Sums that are wrong, addresses that are foreign, buffers that are not writable. */
	g_assert_cmpint(copy(VGPU_COPY_TO_DEVICE, at, 5099, desc, 2)->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(copy(VGPU_COPY_TO_DEVICE, at + 1, 5100, desc, 2)->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(copy(7, at, 5100, desc, 2)->result, ==, CUDA_ERROR_INVALID_VALUE);
	table[5].flags = VGPU_BUFFER_READ;
	__atomic_store_n(&table[5].generation, 2, __ATOMIC_RELEASE);
	g_assert_cmpint(copy(VGPU_COPY_FROM_DEVICE, at, 5100, desc, 2)->result, ==,
			CUDA_ERROR_NOT_PERMITTED);
	g_assert_cmpuint(table[5].users, ==, 0);
	stop();
}

/* May something of the worker's own come to lie there? */
static bool is_free(uint64_t address, uint64_t bytes)
{
	void *at = (void *)(uintptr_t)address;

	if (mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    at)
		return false;
	munmap(at, bytes);
	return true;
}

#define GRAPH HANDLE(GRAPH, 20)

static void graph_uses(uint64_t address, uint32_t number)
{
	const struct vgpu_memset_node set = {
		.dst = address, .pitch = VGPU_PAGE, .width = VGPU_PAGE, .height = 1, .element = 1};

	g_assert_cmpint(
		CALL(vgpuGraphAddMemset, CTX,
		     REQ(vgpuGraphAddMemset, .node = HANDLE(NODE, 21 + number), .graph = GRAPH),
		     {&set, sizeof(set)})
			->result,
		==, CUDA_SUCCESS);
}

/* Addresses in a graph stay taken when the pages go; the guest may have them again. */
static void test_window_in_graph(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = 2ull * VGPU_PAGE};
	const struct vgpu_desc more = {.buffer = 4, .length = 8ull * VGPU_PAGE};
	const uint64_t a = WINDOW + 0x2000000, bytes = 2ull * VGPU_PAGE, b = a + 4ull * VGPU_PAGE;

	start();
	make_buffer(3, 2);
	make_buffer(4, 8);
	g_assert_cmpint(map(a, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(unmap(a, bytes), ==, CUDA_SUCCESS);
	g_assert_true(is_free(a, bytes));
	g_assert_cmpint(CALL(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH))->result, ==,
			CUDA_SUCCESS);
	g_assert_cmpint(map(a, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(map(b, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	graph_uses(a, 0);
	graph_uses(b, 1);
	g_assert_cmpint(unmap(a, bytes), ==, CUDA_SUCCESS);
	g_assert_cmpint(unmap(b, bytes), ==, CUDA_SUCCESS);
	g_assert_cmpuint(table[3].users, ==, 0);
	g_assert_false(ranges_check(test_worker->cuda, a, 1));
	for (uint64_t at = a; at < a + bytes; at += VGPU_PAGE) {
		g_assert_false(is_free(at, VGPU_PAGE));
		g_assert_false(is_free(b + at - a, VGPU_PAGE));
	}
	g_assert_true(is_free(a + bytes, bytes));
	/* Not the guest's to give back; once more; over both and what lies around them. */
	g_assert_cmpint(CALL(vgpuHostRelease, 0, REQ(vgpuHostRelease, .address = a, .bytes = bytes))
				->result,
			==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(a, bytes, &desc, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(unmap(a, bytes), ==, CUDA_SUCCESS);
	g_assert_false(is_free(a, VGPU_PAGE));
	g_assert_cmpint(map(a - VGPU_PAGE, 8ull * VGPU_PAGE, &more, 1)->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(unmap(a - VGPU_PAGE, 8ull * VGPU_PAGE), ==, CUDA_SUCCESS);
	g_assert_false(is_free(b + VGPU_PAGE, VGPU_PAGE));
	g_assert_cmpuint(test_worker->cuda->windows->n, ==, 1);
	stop();
}

/* What lies between is the worker's: nothing is taken, nothing lost. */
static void test_window_in_graph_blocked(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = VGPU_PAGE};
	const struct vgpu_desc more = {.buffer = 4, .length = 8ull * VGPU_PAGE};
	const uint64_t a = WINDOW + 0x3000000, wide = 8ull * VGPU_PAGE;
	void *own = (void *)(uintptr_t)(a + 5ull * VGPU_PAGE);

	start();
	make_buffer(3, 1);
	make_buffer(4, 8);
	g_assert_cmpint(CALL(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH))->result, ==,
			CUDA_SUCCESS);
	g_assert_cmpint(CALL(vgpuHostReserve, 0,
			     REQ(vgpuHostReserve, .address = a - VGPU_PAGE, .bytes = VGPU_PAGE))
				->result,
			==, CUDA_SUCCESS);
	g_assert_cmpint(map(a + VGPU_PAGE, VGPU_PAGE, &desc, 1)->result, ==, CUDA_SUCCESS);
	graph_uses(a + VGPU_PAGE, 0);
	g_assert_cmpint(unmap(a + VGPU_PAGE, VGPU_PAGE), ==, CUDA_SUCCESS);
	g_assert_true(mmap(own, VGPU_PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == own);
	g_assert_cmpint(map(a, wide, &more, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_true(is_free(a, VGPU_PAGE));
	g_assert_true(is_free(a + 2ull * VGPU_PAGE, VGPU_PAGE));
	munmap(own, VGPU_PAGE);
	/* Nor does it grow over what the guest has reserved. */
	g_assert_cmpint(map(a - VGPU_PAGE, wide, &more, 1)->result, ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(map(a, wide, &more, 1)->result, ==, CUDA_SUCCESS);
	stop();
}

/* A stream of a context of its own that stands still until hold_over(). */
#define OTHER HANDLE(CONTEXT, 8)
#define HELD HANDLE(STREAM, 9)

static CUdeviceptr gate;

static void hold_stream(void)
{
	gate = allocate(4);
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = OTHER)));
	assert_ok(CALL(cuStreamCreate, OTHER,
		       REQ(cuStreamCreate, .phStream = HELD, .Flags = CU_STREAM_NON_BLOCKING)));
	QUIET(cuMemsetD8Async, CTX, REQ(cuMemsetD8Async, .dstDevice = gate, .N = 4));
	assert_ok(CALL(cuStreamSynchronize, CTX, REQ(cuStreamSynchronize, .hStream = 0)));
	QUIET(cuStreamWaitValue32_v2, OTHER,
	      REQ(cuStreamWaitValue32_v2, .stream = HELD, .addr = gate, .value = 1));
}

static void hold_over(void)
{
	QUIET(cuStreamWriteValue32_v2, CTX, REQ(cuStreamWriteValue32_v2, .addr = gate, .value = 1));
	assert_ok(calls_wait(NULL));
}

static void no_answer_yet(void)
{
	/* Something else, before which the wait gets an event of its own. */
	g_assert_cmpint(CALL(cuStreamQuery, CTX, REQ(cuStreamQuery, .hStream = 0))->result, ==,
			CUDA_SUCCESS);
	for (int i = 0; i < 100; i++)
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
}

/* Pages are held until the copy is over, whichever context the caller says it has. */
static void test_bulk_elsewhere(void)
{
	const struct vgpu_desc desc = {.buffer = 5, .length = VGPU_PAGE};
	CUdeviceptr at;

	start();
	make_buffer(5, 1);
	at = allocate(VGPU_PAGE);
	hold_stream();
	calls_give(&desc, 1);
	calls_send(CUDA_FN_vgpuCopy, CTX, 0,
		   (struct part[]){REQ(vgpuCopy, .direction = VGPU_COPY_TO_DEVICE, .address = at,
				       .bytes = VGPU_PAGE, .stream = HELD)},
		   1);
	no_answer_yet();
	g_assert_cmpuint(table[5].users, ==, 1);
	hold_over();
	g_assert_cmpuint(table[5].users, ==, 0);
	stop();
}

static CUresult no_registering(void *p, size_t bytes, unsigned int how)
{
	(void)p;
	(void)bytes;
	(void)how;
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Reading waits in the loop, not in the driver, also where memory cannot be registered. */
static void test_read_unregistered(void)
{
	CUdeviceptr at;

	start();
	driver()->cuMemHostRegister_v2 = no_registering;
	at = allocate(VGPU_PAGE);
	hold_stream();
	calls_send(CUDA_FN_vgpuRead, OTHER, 0,
		   (struct part[]){REQ(vgpuRead, .src = at, .bytes = 64, .stream = HELD)}, 1);
	no_answer_yet();
	hold_over();
	stop();
}

/* Likewise a window, while any context has work. */
static void test_unmap_elsewhere(void)
{
	const struct vgpu_desc desc = {.buffer = 3, .length = VGPU_PAGE};
	const uint64_t at = WINDOW + 0x1000000;

	start();
	make_buffer(3, 1);
	g_assert_cmpint(map(at, VGPU_PAGE, &desc, 1)->result, ==, CUDA_SUCCESS);
	hold_stream();
	QUIET(cuMemsetD8Async, OTHER,
	      REQ(cuMemsetD8Async, .dstDevice = at, .N = VGPU_PAGE, .hStream = HELD));
	calls_send(CUDA_FN_vgpuHostUnmap, CTX, 0,
		   (struct part[]){REQ(vgpuHostUnmap, .address = at, .bytes = VGPU_PAGE)}, 1);
	no_answer_yet();
	g_assert_cmpuint(table[3].users, ==, 1);
	hold_over();
	g_assert_cmpuint(table[3].users, ==, 0);
	stop();
}

/* Likewise an array of a context that is not the caller's. */
static void test_array_elsewhere(void)
{
	const uint64_t array = HANDLE(ARRAY, 4);
	const CUDA_ARRAY_DESCRIPTOR desc = {
		.Width = 16, .Height = 16, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};

	start();
	hold_stream();
	assert_ok(CALL(cuArrayCreate_v2, OTHER, REQ(cuArrayCreate_v2, .pHandle = array),
		       {&desc, sizeof(desc)}));
	calls_send(CUDA_FN_cuArrayDestroy, CTX, 0,
		   (struct part[]){REQ(cuArrayDestroy, .hArray = array)}, 1);
	no_answer_yet();
	hold_over();
	stop();
}

/* Behind a host function a bulk copy is put off, with all that it names. */
static void test_bulk_behind(void)
{
	const struct vgpu_desc desc[] = {{.buffer = 5, .offset = 100, .length = 300},
					 {.buffer = 5, .offset = 0, .length = 100}};
	const uint64_t stream = HANDLE(STREAM, 7);
	CUdeviceptr at;

	start();
	make_buffer(5, 1);
	for (uint32_t i = 0; i < 400; i++)
		buffer_page(1, 0)[i] = (uint8_t)(i * 7);
	at = allocate(400);
	make_stream(stream);
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = stream, .id = 9));
	calls_send_with(desc, 2, CUDA_FN_vgpuCopy, CTX,
			(struct part[]){REQ(vgpuCopy, .direction = VGPU_COPY_TO_DEVICE,
					    .address = at, .bytes = 400, .stream = stream)},
			1);
	while (!calls_notes->len)
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	g_assert_cmpuint(table[5].users, ==, 0); /* not begun */
	QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = 9));
	assert_ok(calls_wait(NULL));
	g_assert_cmpuint(table[5].users, ==, 0); /* let go of at once, not with the next call */
	for (uint32_t i = 0; i < 400; i++)
		g_assert_cmpuint(((const uint8_t *)read_bytes(at, 400))[i], ==,
				 buffer_page(1, 0)[i < 300 ? i + 100 : i - 300]);
	stop();
}

/* ... and so are many, which are made one after the other with no call between them. */
static void test_bulk_many(void)
{
	const struct vgpu_desc desc = {.buffer = 5, .length = 64};
	const uint64_t stream = HANDLE(STREAM, 7);
	CUdeviceptr at;

	start();
	make_buffer(5, 1);
	at = allocate(64);
	make_stream(stream);
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = stream, .id = 9));
	for (unsigned int i = 0; i < 2 * VGPU_DESCS_MAX; i++)
		calls_send_with(&desc, 1, CUDA_FN_vgpuCopy, CTX,
				(struct part[]){REQ(vgpuCopy, .direction = VGPU_COPY_TO_DEVICE,
						    .address = at, .bytes = 64, .stream = stream)},
				1);
	while (!calls_notes->len)
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = 9));
	for (unsigned int i = 0; i < 2 * VGPU_DESCS_MAX; i++)
		assert_ok(calls_wait(NULL));
	g_assert_cmpuint(table[5].users, ==, 0);
	stop();
}

/* Work in other streams does not wait for a host function that waits for it, in the program. */
static void test_bulk_beside(void)
{
	const struct vgpu_desc desc = {.buffer = 5, .length = 64};
	const uint64_t stream = HANDLE(STREAM, 7), beside = HANDLE(STREAM, 6);
	CUdeviceptr at, freed;

	start();
	make_buffer(5, 1);
	at = allocate(64);
	freed = allocate(64);
	make_stream(stream);
	make_stream(beside);
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = stream, .id = 9));
	QUIET(cuMemFree_v2, CTX, REQ(cuMemFree_v2, .dptr = freed));
	calls_send_with(&desc, 1, CUDA_FN_vgpuCopy, CTX,
			(struct part[]){REQ(vgpuCopy, .direction = VGPU_COPY_TO_DEVICE,
					    .address = at, .bytes = 64, .stream = stream)},
			1);
	assert_ok(
		calls_make_with(&desc, 1, CUDA_FN_vgpuCopy, CTX,
				(struct part[]){REQ(vgpuCopy, .direction = VGPU_COPY_TO_DEVICE,
						    .address = at, .bytes = 64, .stream = beside)},
				1));
	while (!calls_notes->len)
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = 9));
	assert_ok(calls_wait(NULL));
	stop();
}

static void test_image(void)
{
	static const char text[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
				   ".visible .entry empty()\n{\nret;\n}\n";
	const struct vgpu_desc desc = {.buffer = 2, .length = sizeof(text)};
	const uint32_t lies[] = {0xBA55ED50, 0x00100001, 0x7fffffff, 0};

	start();
	make_buffer(2, 1);
	memcpy(buffer_page(1, 0), text, sizeof(text));
	QUIET(vgpuBlobBegin, 0, REQ(vgpuBlobBegin, .blob = 1, .bytes = sizeof(text)));
	g_assert_cmpint(
		calls_make_with(
			&desc, 1, CUDA_FN_vgpuBlobCopy, 0,
			(struct part[]){REQ(vgpuBlobCopy, .blob = 1, .bytes = sizeof(text))}, 1)
			->result,
		==, CUDA_SUCCESS);
	g_assert_cmpint(CALL(vgpuModuleLoad, CTX,
			     REQ(vgpuModuleLoad, .module = HANDLE(MODULE, 3), .blob = 1))
				->result,
			==, CUDA_SUCCESS);
	/* Spent; and a fatbin that says it is larger than it is. */
	g_assert_cmpint(CALL(vgpuModuleLoad, CTX,
			     REQ(vgpuModuleLoad, .module = HANDLE(MODULE, 4), .blob = 1))
				->result,
			==, CUDA_ERROR_INVALID_IMAGE);
	QUIET(vgpuBlobBegin, 0, REQ(vgpuBlobBegin, .blob = 2, .bytes = sizeof(lies)));
	QUIET(vgpuBlobData, 0, REQ(vgpuBlobData, .blob = 2, .bytes = sizeof(lies)),
	      {lies, sizeof(lies)});
	g_assert_cmpint(CALL(vgpuModuleLoad, CTX,
			     REQ(vgpuModuleLoad, .module = HANDLE(MODULE, 4), .blob = 2))
				->result,
			==, CUDA_ERROR_INVALID_IMAGE);
	/* More than a session may have. */
	QUIET(vgpuBlobBegin, 0, REQ(vgpuBlobBegin, .blob = 3, .bytes = 1ull << 40));
	g_assert_cmpint(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0)->deferred, ==,
			CUDA_ERROR_OUT_OF_MEMORY);
	stop();
}

/* ---- memory of graphs: of a driver that has it, which the cpu backend's has not */

#define POOL ((CUdeviceptr)0x7a0000000000)
#define EXEC HANDLE(GRAPHEXEC, 51)

static CUresult add_alloc(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
			  size_t n, CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	p->dptr = POOL;
	return driver()->cuGraphAddEmptyNode(node, graph, dependencies, n);
}

static CUresult free_any(CUdeviceptr at)
{
	return at == POOL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static bool is_ours(void)
{
	return ranges_check(test_worker->cuda, POOL, 4096);
}

static void start_graph(void)
{
	const CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};

	start();
	driver()->cuGraphAddMemAllocNode = add_alloc;
	driver()->cuMemFree_v2 = free_any;
	QUIET(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH));
	g_assert_false(is_ours());
	assert_ok(CALL(
		vgpuGraphAddAlloc, CTX,
		REQ(vgpuGraphAddAlloc, .node = HANDLE(NODE, 52), .graph = GRAPH, .bytes = 4096),
		{NULL, 0}, {&props, sizeof(props)}));
	g_assert_true(is_ours());
}

static void instantiate(void)
{
	assert_ok(CALL(vgpuGraphInstantiate, CTX,
		       REQ(vgpuGraphInstantiate, .exec = EXEC, .graph = GRAPH)));
}

static void end_graph(void)
{
	assert_ok(CALL(cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = GRAPH)));
}

static void end_exec(void)
{
	assert_ok(CALL(cuGraphExecDestroy, CTX, REQ(cuGraphExecDestroy, .hGraphExec = EXEC)));
}

/* Addresses are the session's while a graph can put memory there, and no longer. */
static void test_graph_memory(void)
{
	start_graph();
	end_graph();
	g_assert_false(is_ours());
	stop();
	start_graph();
	instantiate();
	end_graph();
	g_assert_true(is_ours());
	end_exec();
	g_assert_false(is_ours());
	stop();
}

/* What a launch allocated stays until it is freed; the next launch allocates it anew. */
static void test_graph_launched(void)
{
	start_graph();
	instantiate();
	assert_ok(CALL(cuGraphLaunch, CTX, REQ(cuGraphLaunch, .hGraph = EXEC)));
	assert_ok(CALL(vgpuGraphFree, CTX, REQ(vgpuGraphFree, .address = POOL)));
	assert_ok(CALL(cuGraphLaunch, CTX, REQ(cuGraphLaunch, .hGraph = EXEC)));
	g_assert_true(is_ours());
	end_graph();
	end_exec();
	g_assert_true(is_ours());
	assert_ok(CALL(vgpuGraphFree, CTX, REQ(vgpuGraphFree, .address = POOL)));
	g_assert_false(is_ours());
	stop();
}

/* ---- memory that a captured stream allocates */

#define CAPTURED HANDLE(STREAM, 53)

static CUresult alloc_async(CUdeviceptr *at, size_t bytes, CUstream stream)
{
	(void)bytes;
	(void)stream;
	*at = POOL;
	return CUDA_SUCCESS;
}

static CUresult type_of_alloc(CUgraphNode node, CUgraphNodeType *type)
{
	(void)node;
	*type = CU_GRAPH_NODE_TYPE_MEM_ALLOC;
	return CUDA_SUCCESS;
}

static CUresult params_of_alloc(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	(void)node;
	p->dptr = POOL;
	return CUDA_SUCCESS;
}

static void start_capture(void)
{
	CUdeviceptr at;

	start();
	at = allocate(1);
	driver()->cuMemAllocAsync = alloc_async;
	driver()->cuGraphNodeGetType = type_of_alloc;
	driver()->cuGraphMemAllocNodeGetParams = params_of_alloc;
	make_stream(CAPTURED);
	assert_ok(CALL(cuStreamBeginCapture_v2, CTX,
		       REQ(cuStreamBeginCapture_v2, .hStream = CAPTURED,
			   .mode = CU_STREAM_CAPTURE_MODE_RELAXED)));
	assert_ok(CALL(cuMemAllocAsync, CTX,
		       REQ(cuMemAllocAsync, .bytesize = 4096, .hStream = CAPTURED)));
	assert_ok(CALL(cuMemsetD8Async, CTX,
		       REQ(cuMemsetD8Async, .dstDevice = at, .N = 1, .hStream = CAPTURED)));
	g_assert_true(is_ours());
}

static CUresult end_capture(void)
{
	return CALL(vgpuStreamEndCapture, CTX,
		    REQ(vgpuStreamEndCapture, .stream = CAPTURED, .graph = GRAPH))
		->result;
}

/* Addresses that only a capture knew go with it, unless its graph has them. */
static void test_capture_memory(void)
{
	start_capture();
	g_assert_cmpint(end_capture(), ==, CUDA_SUCCESS);
	g_assert_true(is_ours());
	end_graph();
	g_assert_false(is_ours());
	stop();
	start_capture();
	g_assert_cmpint(CALL(cuStreamQuery, CTX, REQ(cuStreamQuery, .hStream = CAPTURED))->result,
			==, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	g_assert_cmpint(end_capture(), ==, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	g_assert_false(is_ours());
	stop();
	start_capture();
	assert_ok(CALL(cuStreamDestroy_v2, CTX, REQ(cuStreamDestroy_v2, .hStream = CAPTURED)));
	g_assert_false(is_ours());
	stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda-memory/window", test_window);
	g_test_add_func("/mediator/cuda-memory/window-read-only", test_window_read_only);
	g_test_add_func("/mediator/cuda-memory/window-twice", test_window_twice);
	g_test_add_func("/mediator/cuda-memory/unmap-amid-work", test_unmap_amid_work);
	g_test_add_func("/mediator/cuda-memory/window-refused", test_window_refused);
	g_test_add_func("/mediator/cuda-memory/window-in-graph", test_window_in_graph);
	g_test_add_func("/mediator/cuda-memory/window-in-graph-blocked",
			test_window_in_graph_blocked);
	g_test_add_func("/mediator/cuda-memory/bulk", test_bulk);
	g_test_add_func("/mediator/cuda-memory/bulk-elsewhere", test_bulk_elsewhere);
	g_test_add_func("/mediator/cuda-memory/unmap-elsewhere", test_unmap_elsewhere);
	g_test_add_func("/mediator/cuda-memory/array-elsewhere", test_array_elsewhere);
	g_test_add_func("/mediator/cuda-memory/read-unregistered", test_read_unregistered);
	g_test_add_func("/mediator/cuda-memory/bulk-behind", test_bulk_behind);
	g_test_add_func("/mediator/cuda-memory/bulk-many", test_bulk_many);
	g_test_add_func("/mediator/cuda-memory/bulk-beside", test_bulk_beside);
	g_test_add_func("/mediator/cuda-memory/image", test_image);
	g_test_add_func("/mediator/cuda-memory/graph-memory", test_graph_memory);
	g_test_add_func("/mediator/cuda-memory/graph-launched", test_graph_launched);
	g_test_add_func("/mediator/cuda-memory/capture-memory", test_capture_memory);
	return g_test_run();
}
