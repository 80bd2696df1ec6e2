// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls that no honest program makes.  Beside each attacker another session
 * computes before and after; nothing may reach it.
 *
 * cuda_hostile --list | SOCKET CASE
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "session.h"

#define FUNCTIONS 400u

static unsigned long long seed = 88172645463325252ull;

static unsigned long long any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static CUresult one_handle(struct raw *r, uint32_t fn, uint64_t handle)
{
	return raw_call(r, fn, &handle, sizeof(handle), NULL, 0, NULL, 0);
}

static uint64_t new_event(struct raw *r)
{
	struct vgpu_cuEventCreate_req q = {.phEvent = raw_handle(r, VGPU_CUDA_EVENT)};

	OK(raw_call(r, CUDA_FN_cuEventCreate, &q, sizeof(q), NULL, 0, NULL, 0));
	return q.phEvent;
}

static uint64_t new_stream(struct raw *r)
{
	struct vgpu_cuStreamCreate_req q = {.phStream = raw_handle(r, VGPU_CUDA_STREAM),
					    .Flags = CU_STREAM_NON_BLOCKING};

	OK(raw_call(r, CUDA_FN_cuStreamCreate, &q, sizeof(q), NULL, 0, NULL, 0));
	return q.phStream;
}

/* --------------------------------------------------------------- handles */
static const uint32_t takes_one_handle[] = {
	CUDA_FN_cuEventQuery,   CUDA_FN_cuEventSynchronize, CUDA_FN_cuEventDestroy_v2,
	CUDA_FN_cuModuleUnload, CUDA_FN_cuLibraryUnload,
};

static void forged_handles(void)
{
	struct raw *r = raw_new();
	uint64_t event = new_event(r);

	for (size_t i = 0; i < sizeof(takes_one_handle) / sizeof(*takes_one_handle); i++) {
		uint32_t fn = takes_one_handle[i];

		IS(one_handle(r, fn, 0), CUDA_ERROR_INVALID_HANDLE);
		IS(one_handle(r, fn, UINT64_MAX), CUDA_ERROR_INVALID_HANDLE);
		IS(one_handle(r, fn, (uint64_t)(uintptr_t)&event), CUDA_ERROR_INVALID_HANDLE);
		for (int type = 0; type < 256; type++)
			if (type != VGPU_CUDA_EVENT && type != VGPU_CUDA_MODULE)
				IS(one_handle(r, fn, vgpu_cuda_handle(type, 1, type)),
				   CUDA_ERROR_INVALID_HANDLE);
		for (int turn = 0; turn < 300; turn++)
			IS(one_handle(r, fn, any() | 1ull << 63), CUDA_ERROR_INVALID_HANDLE);
		/* The right type and place, never used or used more often than that. */
		IS(one_handle(r, fn, vgpu_cuda_handle(VGPU_CUDA_EVENT, 1, 0xfffff)),
		   CUDA_ERROR_INVALID_HANDLE);
	}
	IS(one_handle(r, CUDA_FN_cuEventQuery, event + (1ull << VGPU_CUDA_HANDLE_GENERATION_SHIFT)),
	   CUDA_ERROR_INVALID_HANDLE);
	IS(one_handle(r, CUDA_FN_cuEventQuery, event | 1), CUDA_ERROR_INVALID_HANDLE);
	IS(one_handle(r, CUDA_FN_cuEventQuery, event | 1ull << 60), CUDA_ERROR_INVALID_HANDLE);
	OK(one_handle(r, CUDA_FN_cuEventQuery, event));
	raw_works(r);
	raw_free(r);
}

static void stale_handles(void)
{
	struct raw *r = raw_new();
	uint64_t event = new_event(r), stream = new_stream(r), again;
	struct vgpu_cuEventCreate_req q = {0};

	OK(one_handle(r, CUDA_FN_cuEventDestroy_v2, event));
	IS(one_handle(r, CUDA_FN_cuEventQuery, event), CUDA_ERROR_INVALID_HANDLE);
	IS(one_handle(r, CUDA_FN_cuEventDestroy_v2, event), CUDA_ERROR_INVALID_HANDLE);
	/* The same place for another one: the old name stays dead. */
	again = event + (1ull << VGPU_CUDA_HANDLE_GENERATION_SHIFT);
	q.phEvent = again;
	OK(raw_call(r, CUDA_FN_cuEventCreate, &q, sizeof(q), NULL, 0, NULL, 0));
	IS(one_handle(r, CUDA_FN_cuEventQuery, event), CUDA_ERROR_INVALID_HANDLE);
	OK(one_handle(r, CUDA_FN_cuEventQuery, again));
	/* A name that is taken, and names that nothing may have. */
	REFUSED(raw_call(r, CUDA_FN_cuEventCreate, &q, sizeof(q), NULL, 0, NULL, 0));
	q.phEvent = stream;
	REFUSED(raw_call(r, CUDA_FN_cuEventCreate, &q, sizeof(q), NULL, 0, NULL, 0));
	for (uint64_t bad = 0; bad < 3; bad++) {
		q.phEvent = bad;
		REFUSED(raw_call(r, CUDA_FN_cuEventCreate, &q, sizeof(q), NULL, 0, NULL, 0));
	}
	OK(one_handle(r, CUDA_FN_cuEventQuery, again));
	raw_works(r);
	raw_free(r);
}

/* A handle of another session means nothing here, although the numbers are alike. */
static void foreign_handles(void)
{
	struct raw *a = raw_new(), *b = raw_new();
	uint64_t event;

	for (int i = 0; i < 10; i++)
		event = new_event(a);
	IS(one_handle(b, CUDA_FN_cuEventQuery, event), CUDA_ERROR_INVALID_HANDLE);
	IS(one_handle(b, CUDA_FN_cuEventDestroy_v2, event), CUDA_ERROR_INVALID_HANDLE);
	OK(one_handle(a, CUDA_FN_cuEventQuery, event));
	raw_works(a);
	raw_works(b);
	raw_free(a);
	raw_free(b);
}

/* ------------------------------------------------------------- addresses */
static CUresult copy(struct raw *r, uint64_t to, uint64_t from, uint64_t bytes)
{
	struct vgpu_cuMemcpyDtoDAsync_v2_req q = {
		.dstDevice = to, .srcDevice = from, .ByteCount = bytes};

	return raw_call(r, CUDA_FN_cuMemcpyDtoDAsync_v2, &q, sizeof(q), NULL, 0, NULL, 0);
}

static CUresult set(struct raw *r, uint64_t to, uint64_t n)
{
	struct vgpu_cuMemsetD32Async_req q = {.dstDevice = to, .N = n};

	return raw_call(r, CUDA_FN_cuMemsetD32Async, &q, sizeof(q), NULL, 0, NULL, 0);
}

static CUresult pinned_copy(struct raw *r, uint64_t device, uint64_t host, uint64_t bytes)
{
	struct vgpu_cuMemcpyHtoDAsync_v2_req q = {
		.dstDevice = device, .srcHost = host, .ByteCount = bytes};
	struct vgpu_cuMemcpyAsync_req either = {.dst = device, .src = host, .ByteCount = bytes};
	CUresult first = raw_call(r, CUDA_FN_cuMemcpyHtoDAsync_v2, &q, sizeof(q), NULL, 0, NULL, 0);
	CUresult second =
		raw_call(r, CUDA_FN_cuMemcpyAsync, &either, sizeof(either), NULL, 0, NULL, 0);

	return first == CUDA_SUCCESS ? first : second;
}

/* Addresses that a process has: its program, heap, stack and libraries. */
static void foreign_addresses(void)
{
	static const uint64_t guess[] = {0,
					 8,
					 0x1000,
					 0x400000,
					 0x10000000,
					 0x555555554000,
					 0x7ffff7dd0000,
					 0x7fffffffe000,
					 0x200000000,
					 0x7f0000000000,
					 1ull << 47,
					 UINT64_MAX - 7};
	struct raw *r = raw_new();
	char data[64];
	uint64_t p;

	OK(raw_alloc(r, 1 << 20, &p));
	for (int i = 0; i < 200; i++) {
		uint64_t at = i < (int)(sizeof(guess) / sizeof(*guess))
				      ? guess[i]
				      : 0x550000000000 + (any() & 0x2affffffffff);

		if (at >= p && at < p + (1 << 20))
			continue;
		REFUSED(raw_read(r, at, data, sizeof(data)));
		REFUSED(raw_write(r, at, data, sizeof(data)));
		REFUSED(copy(r, p, at, 64));
		REFUSED(copy(r, at, p, 64));
		REFUSED(set(r, at, 16));
		REFUSED(pinned_copy(r, p, at, 64));
		if (at) /* freeing nothing is allowed */
			REFUSED(raw_release(r, at));
	}
	/* The edges of what is its own. */
	OK(raw_read(r, p + (1 << 20) - 64, data, 64));
	REFUSED(raw_read(r, p + (1 << 20) - 63, data, 64));
	REFUSED(raw_read(r, p - 1, data, 64));
	REFUSED(raw_release(r, p + 64));
	OK(raw_release(r, p));
	REFUSED(raw_read(r, p, data, 64));
	REFUSED(raw_release(r, p));
	raw_works(r);
	raw_free(r);
}

static void overflowing_sizes(void)
{
	static const uint64_t size[] = {(1 << 20) + 1,     1ull << 31,      1ull << 32,
					(1ull << 32) + 64, 1ull << 47,      1ull << 62,
					1ull << 63,        UINT64_MAX - 64, UINT64_MAX};
	struct raw *r = raw_new();
	uint64_t p, q;

	OK(raw_alloc(r, 1 << 20, &p));
	OK(raw_alloc(r, 1 << 20, &q));
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		struct vgpu_cuMemsetD2D8Async_req d2 = {
			.dstDevice = p, .dstPitch = size[i], .Width = 16, .Height = 3};
		struct vgpu_vgpuCopy_req bulk = {.address = p, .bytes = size[i], .direction = 1};
		struct vgpu_vgpuHostReserve_req reserve = {.address = 0x600000000000,
							   .bytes = size[i]};
		struct vgpu_vgpuBlobBegin_req blob = {.blob = 1000 + i, .bytes = size[i]};
		uint64_t got;

		REFUSED(copy(r, p, q, size[i]));
		REFUSED(set(r, p, size[i]));
		REFUSED(raw_call(r, CUDA_FN_cuMemsetD2D8Async, &d2, sizeof(d2), NULL, 0, NULL, 0));
		d2.dstPitch = 16;
		d2.Height = size[i];
		REFUSED(raw_call(r, CUDA_FN_cuMemsetD2D8Async, &d2, sizeof(d2), NULL, 0, NULL, 0));
		d2.Height = 1;
		d2.Width = size[i];
		REFUSED(raw_call(r, CUDA_FN_cuMemsetD2D8Async, &d2, sizeof(d2), NULL, 0, NULL, 0));
		REFUSED(raw_call(r, CUDA_FN_vgpuCopy, &bulk, sizeof(bulk), NULL, 0, NULL, 0));
		if (size[i] >= 1ull << 47) {
			REFUSED(raw_alloc(r, size[i], &got));
			REFUSED(raw_call(r, CUDA_FN_vgpuHostReserve, &reserve, sizeof(reserve),
					 NULL, 0, NULL, 0));
			REFUSED(raw_call(r, CUDA_FN_vgpuBlobBegin, &blob, sizeof(blob), NULL, 0,
					 NULL, 0));
		}
	}
	/* n * 4 wraps to 64. */
	REFUSED(set(r, p, (1ull << 62) + 16));
	raw_works(r);
	raw_free(r);
}

/* Claims that a record holds more than it does. */
static void lying_lengths(void)
{
	struct raw *r = raw_new();
	uint32_t length[] = {1, 65, 4096, 7680, 7681, 8192, 65536, 1u << 31, UINT32_MAX};
	uint64_t p;

	OK(raw_alloc(r, 1 << 20, &p));
	for (size_t i = 0; i < sizeof(length) / sizeof(*length); i++) {
		struct vgpu_vgpuWrite_req w = {.dst = p, .bytes = length[i]};
		struct vgpu_vgpuRead_req q = {.src = p, .bytes = length[i]};
		struct vgpu_vgpuBlobData_req b = {.blob = 1, .bytes = length[i]};
		struct vgpu_vgpuModuleGetFunction_req f = {.module = r->module};
		struct vgpu_vgpuLaunch_req l = {
			.gx = 1, .gy = 1, .gz = 1, .bx = 1, .by = 1, .bz = 1};

		REFUSED(raw_call(r, CUDA_FN_vgpuWrite, &w, sizeof(w), NULL, 0, NULL, 0));
		if (length[i] > VGPU_RECORD_MAX)
			REFUSED(raw_call(r, CUDA_FN_vgpuRead, &q, sizeof(q), NULL, 0, NULL, 0));
		REFUSED(raw_call(r, CUDA_FN_vgpuBlobData, &b, sizeof(b), NULL, 0, NULL, 0));
		f.f = raw_handle(r, VGPU_CUDA_FUNCTION);
		f.name_length = length[i];
		REFUSED(raw_call(r, CUDA_FN_vgpuModuleGetFunction, &f, sizeof(f), NULL, 0, NULL,
				 0));
		/* A name without its end. */
		f.name_length = 4;
		REFUSED(raw_call(r, CUDA_FN_vgpuModuleGetFunction, &f, sizeof(f), "fill", 4, NULL,
				 0));
		OK(raw_function(r, "fill", &l.function));
		l.bytes = length[i];
		REFUSED(raw_call(r, CUDA_FN_vgpuLaunch, &l, sizeof(l), NULL, 0, NULL, 0));
		l.bytes = 0;
		l.attributes = length[i];
		REFUSED(raw_call(r, CUDA_FN_vgpuLaunch, &l, sizeof(l), NULL, 0, NULL, 0));
	}
	raw_works(r);
	raw_free(r);
}

/* ---------------------------------------------------------------- launches */
static void wrong_parameters(void)
{
	struct raw *r = raw_new();
	struct {
		uint64_t p;
		uint32_t value, n;
		uint8_t more[4096];
	} params = {0, 1, 4, {0}};
	uint64_t f, stream = new_stream(r);

	OK(raw_alloc(r, 64, &params.p));
	OK(raw_function(r, "fill", &f));
	for (uint32_t bytes = 0; bytes < 16; bytes++)
		REFUSED(raw_launch(r, f, stream, 1, &params, bytes));
	/* More than it takes does no harm, refused or not. */
	for (uint32_t bytes = 17; bytes <= 4096; bytes *= 2)
		raw_launch(r, f, stream, 1, &params, bytes);
	REFUSED(raw_launch(r, f, 12345, 1, &params, 16));
	REFUSED(raw_launch(r, f, r->module, 1, &params, 16));
	REFUSED(raw_launch(r, stream, stream, 1, &params, 16));
	REFUSED(raw_launch(r, f, stream, 0, &params, 16));
	REFUSED(raw_launch(r, f, stream, 1u << 30, &params, 16));
	OK(raw_launch(r, f, stream, 4, &params, 16));
	OK(raw_synchronize(r));
	raw_works(r);
	raw_free(r);
}

/* ----------------------------------------------------------------- modules */
static void garbage_modules(void)
{
	struct raw *r = raw_new();
	unsigned char *junk = malloc(1 << 20);
	struct vgpu_vgpuBlobBegin_req huge = {.blob = 77};
	uint64_t module;

	CHECK(junk != NULL);
	for (int turn = 0; turn < 12; turn++) {
		size_t bytes = turn < 6 ? 1u << (2 * turn) : 100000;

		for (size_t i = 0; i < bytes; i++)
			junk[i] = (unsigned char)any();
		/* Beginnings that look like something: a cubin, a fatbin, PTX. */
		if (turn % 4 == 1)
			memcpy(junk, "\177ELF\2\1\1", bytes < 7 ? bytes : 7);
		if (turn % 4 == 2)
			memcpy(junk, "\x50\xed\x55\xba\x01\x00\x10\x00", bytes < 8 ? bytes : 8);
		if (turn % 4 == 3)
			memcpy(junk, ".version 8.0\n.target sm_90\n", bytes < 27 ? bytes : 27);
		REFUSED(raw_load(r, junk, bytes, &module));
	}
	/* A good one with its end cut off, and one with a hole. */
	huge.bytes = 1ull << 40;
	REFUSED(raw_call(r, CUDA_FN_vgpuBlobBegin, &huge, sizeof(huge), NULL, 0, NULL, 0));
	raw_works(r);
	free(junk);
	raw_free(r);
}

static void blobs(void)
{
	struct raw *r = raw_new();
	struct vgpu_vgpuBlobBegin_req begin = {.bytes = 64 << 20};
	struct vgpu_vgpuBlobData_req data = {.blob = 5, .offset = UINT64_MAX - 3, .bytes = 8};
	struct vgpu_vgpuModuleLoad_req load = {.blob = 5};
	char bytes[8] = "xxxxxxx";
	int n = 0;

	/* Pieces beside it, pieces of none, loading what is not whole. */
	REFUSED(raw_call(r, CUDA_FN_vgpuBlobData, &data, sizeof(data), bytes, 8, NULL, 0));
	begin.blob = 5;
	begin.bytes = 64;
	OK(raw_call(r, CUDA_FN_vgpuBlobBegin, &begin, sizeof(begin), NULL, 0, NULL, 0));
	REFUSED(raw_call(r, CUDA_FN_vgpuBlobData, &data, sizeof(data), bytes, 8, NULL, 0));
	data.offset = 60;
	REFUSED(raw_call(r, CUDA_FN_vgpuBlobData, &data, sizeof(data), bytes, 8, NULL, 0));
	load.module = raw_handle(r, VGPU_CUDA_MODULE);
	REFUSED(raw_call(r, CUDA_FN_vgpuModuleLoad, &load, sizeof(load), NULL, 0, NULL, 0));
	/* Any number of unfinished ones: refused at some point, or of no consequence. */
	begin.bytes = 64 << 20;
	for (begin.blob = 100; begin.blob < 1100; begin.blob++)
		n += raw_call(r, CUDA_FN_vgpuBlobBegin, &begin, sizeof(begin), NULL, 0, NULL, 0) ==
		     CUDA_SUCCESS;
	printf("  %d unfinished images of 64 MiB were taken\n", n);
	raw_works(r);
	raw_free(r);
}

/* --------------------------------------------------------------- malformed */
/* Every function with every short length, of zeros and of anything. */
static void short_records(void)
{
	struct raw *r = raw_new();
	uint64_t body[32];

	for (uint32_t fn = 0; fn < FUNCTIONS; fn++)
		for (size_t size = 0; size <= 96; size += size < 24 ? 4 : 8) {
			struct vgpu_cuda_call *call = (void *)body;

			/* These wait for what never comes, or end the context on purpose. */
			if (fn >= CUDA_FN_vgpuCtxReleasePrimary && fn <= CUDA_FN_vgpuCtxDestroy)
				continue;
			for (size_t i = 0; i < 32; i++)
				body[i] = fn % 2 ? any() : 0;
			*call = (struct vgpu_cuda_call){.function = fn, .context = r->context};
			raw_body(r, body, size, NULL, 0);
			if (r->error == EIO) {
				printf("  function %u with %zu bytes ended the session\n", fn,
				       size);
				wrong(__FILE__, __LINE__, "the worker is gone", fn);
			}
		}
	raw_works(r);
	raw_free(r);
}

/* Anything at all, from a session of its own each thousand. */
static void random_records(void)
{
	uint64_t body[256];

	for (int session = 0; session < 10; session++) {
		struct raw *r = raw_new();
		bool lost = false;

		for (int i = 0; i < 1000 && !lost; i++) {
			struct vgpu_cuda_call *call = (void *)body;
			size_t size = 16 + any() % 256;

			for (size_t j = 0; j < 256; j++)
				body[j] = any() >> (any() % 64);
			*call = (struct vgpu_cuda_call){.function = any() % FUNCTIONS,
							.context = r->context};
			/* Reserving and waiting for values is what it may do to itself. */
			if (raw_body(r, body, size, NULL, 0) == NO_RESULT && r->error == ETIMEDOUT)
				break;
			lost = r->error == EIO;
		}
		if (lost)
			printf("  session %d was ended\n", session);
		raw_free(r);
	}
}

/* -------------------------------------------------------------- exhaustion */
static void many_handles(void)
{
	struct raw *r = raw_new();
	struct vgpu_vgpuHello_req q = {.version = VGPU_CUDA_VERSION};
	struct vgpu_cuEventCreate_req create = {.Flags = CU_EVENT_DISABLE_TIMING};
	struct vgpu_cuda_hello hello = {0};
	uint32_t n;

	OK(raw_call(r, CUDA_FN_vgpuHello, &q, sizeof(q), NULL, 0, &hello, sizeof(hello)));
	n = hello.handles && hello.handles < 200000 ? hello.handles : 200000;
	for (uint32_t i = 0; i < n; i++) {
		create.phEvent = raw_handle(r, VGPU_CUDA_EVENT);
		raw_post(r, CUDA_FN_cuEventCreate, &create, sizeof(create));
	}
	raw_synchronize(r); /* with what was refused among them */
	create.phEvent =
		vgpu_cuda_handle(VGPU_CUDA_EVENT, 1, (1u << VGPU_CUDA_HANDLE_INDEX_BITS) - 1);
	if (hello.handles < 1u << VGPU_CUDA_HANDLE_INDEX_BITS)
		REFUSED(raw_call(r, CUDA_FN_cuEventCreate, &create, sizeof(create), NULL, 0, NULL,
				 0));
	printf("  %u events, of %u handles\n", n, hello.handles);
	raw_works(r);
	raw_free(r);
}

static void much_memory(void)
{
	struct raw *r = raw_new();
	struct vgpu_cuMemGetInfo_v2_rsp info = {0};
	uint64_t p, piece;
	unsigned int n = 0;

	OK(raw_call(r, CUDA_FN_cuMemGetInfo_v2, NULL, 0, NULL, 0, &info, sizeof(info)));
	piece = info.total / 16;
	while (n < 100 && raw_alloc(r, piece, &p) == CUDA_SUCCESS)
		n++;
	CHECK(n < 17);
	raw_free(r);
}

/* Quiet calls that all fail, more than fit into the queue; their errors do not pile up. */
static void failing_quietly(void)
{
	struct raw *r = raw_new();
	struct vgpu_cuEventRecord_req q = {.hEvent = 12345};

	for (int i = 0; i < 20000; i++)
		raw_post(r, CUDA_FN_cuEventRecord, &q, sizeof(q));
	raw_synchronize(r);
	raw_works(r);
	raw_free(r);
}

/* More work than queues hold behind a host function that is not answered: others are, all the same.
 */
static void behind_host_function(void)
{
	struct raw *r = raw_new();
	struct vgpu_vgpuCallback_req due = {.stream = new_stream(r), .id = 7};
	struct vgpu_cuMemsetD32Async_req fill = {.N = 1, .hStream = due.stream};
	uint64_t wrong_id = 8;
	CUresult done;

	OK(raw_alloc(r, 64, &fill.dstDevice));
	raw_post(r, CUDA_FN_vgpuCallback, &due, sizeof(due));
	for (fill.ui = 0; fill.ui < 5000; fill.ui++)
		raw_post(r, CUDA_FN_cuMemsetD32Async, &fill, sizeof(fill));
	IS(one_handle(r, CUDA_FN_vgpuCallbackDone, wrong_id), CUDA_ERROR_INVALID_VALUE);
	do
		done = one_handle(r, CUDA_FN_vgpuCallbackDone, due.id);
	while (done == CUDA_ERROR_INVALID_VALUE); /* it is not due yet */
	OK(done);
	OK(raw_synchronize(r));
	OK(raw_read(r, fill.dstDevice, &fill.ui, 4));
	CHECK(fill.ui == 4999);
	raw_works(r);
	/* And one that never is. */
	raw_post(r, CUDA_FN_vgpuCallback, &due, sizeof(due));
	for (fill.ui = 0; fill.ui < 5000; fill.ui++)
		raw_post(r, CUDA_FN_cuMemsetD32Async, &fill, sizeof(fill));
	raw_free(r);
}

/* ------------------------------------------------------------------ others */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* A kernel without an end: its session's end is its end, and others compute meanwhile. */
static void endless_kernel(void)
{
	struct raw *r = raw_new(), *other = raw_new();
	unsigned long long for_ever = ~0ull;
	uint64_t f, stream = new_stream(r);
	double began;

	OK(raw_function(r, "delay", &f));
	OK(raw_launch(r, f, stream, 1, &for_ever, 8));
	raw_works(other);
	began = now();
	raw_free(r);
	raw_works(other);
	printf("  the other session computed again %.2f s later\n", now() - began);
	r = raw_new();
	raw_works(r);
	raw_free(r);
	raw_free(other);
}

/* One session's secret by its address: host-side calls refuse, kernels fault or see nothing. */
static void others_memory(void)
{
	struct raw *a = raw_new(), *b = raw_new();
	uint32_t secret[16], got[16];
	struct {
		uint64_t from, to;
	} params;
	uint64_t p, q, f;
	CUresult result;

	for (int i = 0; i < 16; i++)
		secret[i] = 0x5ec7e700 + i;
	OK(raw_alloc(a, 8 << 20, &p));
	OK(raw_write(a, p, secret, sizeof(secret)));
	OK(raw_synchronize(a));
	REFUSED(raw_read(b, p, got, sizeof(got)));
	OK(raw_alloc(b, 4096, &q));
	memset(got, 0, sizeof(got));
	OK(raw_write(b, q, got, sizeof(got)));
	if (q <= p + 63 && p <= q + 4095) {
		/* Two address spaces that happen to be laid out alike: nothing of a is seen. */
		OK(raw_read(b, q, got, sizeof(got)));
		CHECK(memcmp(got, secret, sizeof(got)));
	}
	REFUSED(copy(b, q, p + (4 << 20), 64));
	OK(raw_function(b, "load_at", &f));
	params.from = p;
	params.to = q;
	OK(raw_launch(b, f, 0, 1, &params, sizeof(params)));
	result = raw_synchronize(b);
	if (result == CUDA_SUCCESS) {
		OK(raw_read(b, q, got, 4));
		CHECK(got[0] != secret[0]);
	} else {
		printf("  the reading kernel ended with %d\n", result);
	}
	OK(raw_read(a, p, got, sizeof(got)));
	CHECK(!memcmp(got, secret, sizeof(got)));
	raw_works(a);
	raw_free(a);
	raw_free(b);
}

/* What one session leaves in memory, another does not find there. */
static void leftovers(void)
{
	struct raw *a = raw_new(), *b;
	uint32_t page[1024], got[1024];
	uint64_t p;
	unsigned int seen = 0;

	for (int i = 0; i < 1024; i++)
		page[i] = 0x1ef70e75;
	OK(raw_alloc(a, 4 << 20, &p));
	for (int i = 0; i < 1024; i++)
		OK(raw_write(a, p + i * 4096, page, 4096));
	OK(raw_synchronize(a));
	raw_free(a);
	b = raw_new();
	OK(raw_alloc(b, 4 << 20, &p));
	for (int i = 0; i < 1024; i++) {
		OK(raw_read(b, p + i * 4096, got, 4096));
		for (int j = 0; j < 1024; j++)
			seen += got[j] == page[0];
	}
	CHECK(seen == 0);
	raw_free(b);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"forged_handles", forged_handles},
	{"stale_handles", stale_handles},
	{"foreign_handles", foreign_handles},
	{"foreign_addresses", foreign_addresses},
	{"overflowing_sizes", overflowing_sizes},
	{"lying_lengths", lying_lengths},
	{"wrong_parameters", wrong_parameters},
	{"garbage_modules", garbage_modules},
	{"blobs", blobs},
	{"short_records", short_records},
	{"random_records", random_records},
	{"many_handles", many_handles},
	{"much_memory", much_memory},
	{"failing_quietly", failing_quietly},
	{"behind_host_function", behind_host_function},
	{"endless_kernel", endless_kernel},
	{"others_memory", others_memory},
	{"leftovers", leftovers},
};

int main(int argc, char **argv)
{
	char transport[256];
	struct raw *bystander;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
			puts(cases[i].name);
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: %s --list | SOCKET CASE\n", argv[0]);
		return 2;
	}
	snprintf(transport, sizeof(transport), "unix:%s", argv[1]);
	setenv("VGPU_TRANSPORT", transport, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (strcmp(cases[i].name, argv[2]))
			continue;
		bystander = raw_new();
		raw_works(bystander);
		cases[i].run();
		raw_works(bystander);
		raw_free(bystander);
		printf("%s: ok\n", argv[2]);
		return 0;
	}
	fprintf(stderr, "%s: no case %s\n", argv[0], argv[2]);
	return 2;
}
