/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runtime's calls.
 */
#include "fake_cuda.h"

#include <glib.h>
#include <string.h>

#define DEVICE_MEMORY ((uint64_t)8 << 30)
#define VERSION 13000

struct job {
	void (*work)(void *data);
	void *data;
};

struct transfer {
	void *to;
	const void *from; /* NULL: zeros */
	size_t size;
	enum cudaMemcpyKind kind;
};

static GQueue jobs = G_QUEUE_INIT;

#define ENTER()                                          \
	do {                                             \
		cudaError_t err_ = fake_enter(__func__); \
		if (err_ != cudaSuccess)                 \
			return err_;                     \
	} while (0)

void fake_enqueue(cudaStream_t stream, void (*work)(void *data), void *data)
{
	struct job *job = g_new(struct job, 1);

	g_assert_nonnull(stream);
	*job = (struct job){work, data};
	g_queue_push_tail(&jobs, job);
}

void fake_finish(void)
{
	struct job *job;

	while ((job = g_queue_pop_head(&jobs))) {
		job->work(job->data);
		g_free(job->data);
		g_free(job);
	}
}

unsigned int fake_cuda_pending(void)
{
	return g_queue_get_length(&jobs);
}

const char *cudaGetErrorName(cudaError_t err)
{
	static const char *const name[] = {
		"success",       "invalid value",   "out of memory",    "insufficient driver",
		"no device",     "invalid device",  "device is in use", "not ready",
		"not supported", "illegal address",
	};

	return err < G_N_ELEMENTS(name) ? name[err] : "?";
}

const char *cudaGetErrorString(cudaError_t err)
{
	return cudaGetErrorName(err);
}

cudaError_t cudaDriverGetVersion(int *version)
{
	ENTER();
	*version = VERSION;
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	ENTER();
	*version = VERSION;
	return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
	ENTER();
	*count = 1;
	return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
	ENTER();
	if (device != 0)
		return cudaErrorInvalidDevice;
	*properties = (struct cudaDeviceProp){
		.name = "no GPU: a stand-in for tests",
		.totalGlobalMem = DEVICE_MEMORY,
		.major = 7,
		.multiProcessorCount = 1,
	};
	return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
	ENTER();
	*total = DEVICE_MEMORY;
	*free_bytes = DEVICE_MEMORY - fake_block_bytes(FAKE_DEVICE);
	return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
	ENTER();
	return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaDeviceReset(void)
{
	ENTER();
	fake_finish();
	return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
	ENTER();
	fake_finish();
	return cudaSuccess;
}

static cudaError_t new_block(enum fake_space space, void **at, size_t size)
{
	if (fake_block_bytes(FAKE_DEVICE) + size > DEVICE_MEMORY)
		return cudaErrorMemoryAllocation;
	*at = g_malloc(size + 1);
	memset(*at, 0xdb, size);
	return fake_block_add(space, *at, size);
}

/* What frees memory waits for the work that may use it. */
static cudaError_t drop_block(enum fake_space space, void *at)
{
	fake_finish();
	if (at && !fake_block_remove(space, at))
		g_error("fake cuda: %p is freed, but was not allocated so", at);
	g_free(at);
	return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t size)
{
	ENTER();
	return new_block(FAKE_DEVICE, at, size);
}

cudaError_t cudaFree(void *at)
{
	cudaError_t err = fake_enter(__func__);

	drop_block(FAKE_DEVICE, at);
	return err;
}

cudaError_t cudaHostAlloc(void **at, size_t size, unsigned int flags)
{
	ENTER();
	g_assert_cmphex(flags, ==, cudaHostAllocDefault);
	return new_block(FAKE_PINNED, at, size);
}

cudaError_t cudaFreeHost(void *at)
{
	cudaError_t err = fake_enter(__func__);

	drop_block(FAKE_PINNED, at);
	return err;
}

cudaError_t cudaHostRegister(void *at, size_t size, unsigned int flags)
{
	ENTER();
	g_assert_cmphex(flags, ==, cudaHostRegisterMapped | cudaHostRegisterPortable);
	return fake_block_add(FAKE_REGISTERED, at, size);
}

cudaError_t cudaHostUnregister(void *at)
{
	cudaError_t err = fake_enter(__func__);

	fake_finish();
	if (!fake_block_remove(FAKE_REGISTERED, at))
		g_error("fake cuda: %p is unregistered, but was not registered", at);
	return err;
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned int flags)
{
	ENTER();
	g_assert_cmphex(flags, ==, 0);
	if (!fake_block_holds(FAKE_REGISTERED, host, 1))
		return cudaErrorInvalidValue;
	*device = (void *)((uintptr_t)host + FAKE_HOST_SHIFT);
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
	ENTER();
	g_assert_cmphex(flags, ==, cudaStreamNonBlocking);
	return new_block(FAKE_PINNED, (void **)stream, 64);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	cudaError_t err = fake_enter(__func__);

	drop_block(FAKE_PINNED, stream);
	return err;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	ENTER();
	g_assert_nonnull(stream);
	fake_finish();
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
	ENTER();
	g_assert_cmphex(flags & ~cudaEventBlockingSync, ==, cudaEventDisableTiming);
	return new_block(FAKE_PINNED, (void **)event, 64);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	cudaError_t err = fake_enter(__func__);

	drop_block(FAKE_PINNED, event);
	return err;
}

struct mark {
	uint8_t *flag;
};

static void reach_mark(void *data)
{
	struct mark *mark = data;

	*mark->flag -= 1;
}

/* The first byte of an event counts the marks that the work has not reached. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	struct mark *mark;

	ENTER();
	g_assert_nonnull(event);
	mark = g_new(struct mark, 1);
	mark->flag = (uint8_t *)event;
	if (*mark->flag == 0xdb)
		*mark->flag = 0;
	*mark->flag += 1;
	fake_enqueue(stream, reach_mark, mark);
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	const uint8_t *flag = (const uint8_t *)event;

	ENTER();
	g_assert_nonnull(event);
	while (*flag != 0 && *flag != 0xdb) { /* no further than to the mark */
		struct job *job = g_queue_pop_head(&jobs);

		job->work(job->data);
		g_free(job->data);
		g_free(job);
	}
	return cudaSuccess;
}

static void need_device(const void *at, size_t size)
{
	if (!fake_block_holds(FAKE_DEVICE, at, size))
		g_error("fake cuda: %zu bytes at %p are not device memory", size, at);
}

static void need_host(const void *at, size_t size)
{
	if (!fake_block_holds(FAKE_PINNED, at, size) &&
	    !fake_block_holds(FAKE_REGISTERED, at, size))
		g_error("fake cuda: %zu bytes at %p are not pinned in one piece", size, at);
}

static void transfer(void *data)
{
	const struct transfer *t = data;

	if (!t->from) {
		need_device(t->to, t->size);
		memset(t->to, 0, t->size);
		return;
	}
	need_device(t->kind == cudaMemcpyHostToDevice ? t->to : t->from, t->size);
	need_host(t->kind == cudaMemcpyHostToDevice ? t->from : t->to, t->size);
	memcpy(t->to, t->from, t->size);
}

static void enqueue_transfer(cudaStream_t stream, struct transfer t)
{
	fake_enqueue(stream, transfer, g_memdup2(&t, sizeof(t)));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, enum cudaMemcpyKind kind,
			    cudaStream_t stream)
{
	ENTER();
	enqueue_transfer(stream, (struct transfer){to, from, size, kind});
	return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t size, cudaStream_t stream)
{
	ENTER();
	g_assert_cmpint(value, ==, 0);
	enqueue_transfer(stream, (struct transfer){.to = at, .size = size});
	return cudaSuccess;
}

/* The blocking one takes any host memory. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind)
{
	ENTER();
	fake_finish();
	need_device(kind == cudaMemcpyHostToDevice ? to : from, size);
	memcpy(to, from, size);
	return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	const uint8_t *flag = (const uint8_t *)event;

	ENTER();
	g_assert_nonnull(event);
	/* 0xdb: never recorded, which counts as reached */
	return *flag != 0 && *flag != 0xdb ? cudaErrorNotReady : cudaSuccess;
}
