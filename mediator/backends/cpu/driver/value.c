/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values in memory that streams write and wait for.
 */
#include <string.h>
#include <time.h>

#include "driver.h"

#define BATCH_MAX 256u
#define REST_FIRST_NS 1000
#define REST_LAST_NS 200000

static bool is_wait(const CUstreamBatchMemOpParams *op)
{
	return op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
	       op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64;
}

static bool is_write(const CUstreamBatchMemOpParams *op)
{
	return op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_32 ||
	       op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static size_t size_of(const CUstreamBatchMemOpParams *op)
{
	return op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
			       op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64
		       ? 8
		       : 4;
}

static uint64_t load(uintptr_t address, size_t size)
{
	return size == 8 ? __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE)
			 : __atomic_load_n((const uint32_t *)address, __ATOMIC_ACQUIRE);
}

static bool is_met(uint64_t have, uint64_t want, size_t size, unsigned int flags)
{
	switch (flags & 3u) {
	case CU_STREAM_WAIT_VALUE_GEQ: /* cyclically */
		return size == 8 ? (int64_t)(have - want) >= 0
				 : (int32_t)((uint32_t)have - (uint32_t)want) >= 0;
	case CU_STREAM_WAIT_VALUE_EQ:
		return have == want;
	case CU_STREAM_WAIT_VALUE_AND:
		return (have & want) != 0;
	default: /* CU_STREAM_WAIT_VALUE_NOR */
		return (size == 8 ? ~(have | want) : (uint32_t) ~(have | want)) != 0;
	}
}

static bool has_failed(void)
{
	bool failed;

	pthread_mutex_lock(&drv.lock);
	failed = drv.sticky != CUDA_SUCCESS;
	pthread_mutex_unlock(&drv.lock);
	return failed;
}

/* Polls, more and more rarely, for the memory may belong to another process. */
static void wait_value(const CUstreamBatchMemOpParams *op)
{
	size_t size = size_of(op);
	uint64_t want = size == 8 ? op->waitValue.value64 : op->waitValue.value;
	struct timespec t = {.tv_nsec = REST_FIRST_NS};

	while (!is_met(load(op->waitValue.address, size), want, size, op->waitValue.flags) &&
	       !has_failed()) {
		nanosleep(&t, NULL);
		t.tv_nsec = MIN(t.tv_nsec * 2, REST_LAST_NS);
	}
}

static void write_value(const CUstreamBatchMemOpParams *op)
{
	if (size_of(op) == 8)
		__atomic_store_n((uint64_t *)op->writeValue.address, op->writeValue.value64,
				 __ATOMIC_RELEASE);
	else
		__atomic_store_n((uint32_t *)op->writeValue.address, op->writeValue.value,
				 __ATOMIC_RELEASE);
}

CUresult value_run(const struct value_work *v)
{
	for (unsigned int i = 0; i < v->n; i++) {
		const CUstreamBatchMemOpParams *op = &v->op[i];
		struct pins pins = PINS_INIT;
		bool ok = true;

		if (!is_wait(op) && !is_write(op))
			continue; /* barriers: every store here is one */
		ok = pins_add(&pins, op->waitValue.address, size_of(op),
			      is_wait(op) ? ACCESS_READ : ACCESS_WRITE);
		if (ok && is_wait(op))
			wait_value(op);
		else if (ok)
			write_value(op);
		pins_drop(&pins);
		if (!ok)
			return CUDA_ERROR_ILLEGAL_ADDRESS;
	}
	return CUDA_SUCCESS;
}

static CUresult check(const CUstreamBatchMemOpParams *op)
{
	size_t size = size_of(op);

	switch (op->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		if (op->waitValue.flags & ~(3u | CU_STREAM_WAIT_VALUE_FLUSH))
			return CUDA_ERROR_INVALID_VALUE;
		if (op->waitValue.flags & CU_STREAM_WAIT_VALUE_FLUSH)
			return CUDA_ERROR_NOT_SUPPORTED;
		break;
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		if (op->writeValue.flags & ~(unsigned int)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)
			return CUDA_ERROR_INVALID_VALUE;
		break;
	case CU_STREAM_MEM_OP_BARRIER:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	if (op->waitValue.address % size ||
	    !span_is_valid(op->waitValue.address, size, is_wait(op) ? ACCESS_READ : ACCESS_WRITE))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult submit(CUstream stream, unsigned int n, const CUstreamBatchMemOpParams *op)
{
	struct work *w;
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!n || n > BATCH_MAX || !op)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, stream, &s);
	for (unsigned int i = 0; i < n && !enter_error; i++)
		enter_error = check(&op[i]);
	if (enter_error)
		return enter_error;
	w = work_new(WORK_VALUE);
	w->value.n = n;
	w->value.op = g_memdup2(op, n * sizeof(*op));
	return stream_submit_or_capture(s, w);
}

static CUresult CUDAAPI cpu_cuStreamWaitValue32_v2(CUstream s, CUdeviceptr address,
						   cuuint32_t value, unsigned int flags)
{
	const CUstreamBatchMemOpParams op = {
		.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
			      .address = address,
			      .value = value,
			      .flags = flags}};

	return submit(s, 1, &op);
}

static CUresult CUDAAPI cpu_cuStreamWaitValue64_v2(CUstream s, CUdeviceptr address,
						   cuuint64_t value, unsigned int flags)
{
	const CUstreamBatchMemOpParams op = {
		.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_64,
			      .address = address,
			      .value64 = value,
			      .flags = flags}};

	return submit(s, 1, &op);
}

static CUresult CUDAAPI cpu_cuStreamWriteValue32_v2(CUstream s, CUdeviceptr address,
						    cuuint32_t value, unsigned int flags)
{
	const CUstreamBatchMemOpParams op = {
		.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
			       .address = address,
			       .value = value,
			       .flags = flags}};

	return submit(s, 1, &op);
}

static CUresult CUDAAPI cpu_cuStreamWriteValue64_v2(CUstream s, CUdeviceptr address,
						    cuuint64_t value, unsigned int flags)
{
	const CUstreamBatchMemOpParams op = {
		.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64,
			       .address = address,
			       .value64 = value,
			       .flags = flags}};

	return submit(s, 1, &op);
}

static CUresult CUDAAPI cpu_cuStreamBatchMemOp_v2(CUstream s, unsigned int n,
						  CUstreamBatchMemOpParams *op, unsigned int flags)
{
	return flags ? CUDA_ERROR_INVALID_VALUE : submit(s, n, op);
}

CPU_SYMBOLS(cpu_value_symbols, CPU_FN(cuStreamWaitValue32_v2), CPU_FN(cuStreamWaitValue64_v2),
	    CPU_FN(cuStreamWriteValue32_v2), CPU_FN(cuStreamWriteValue64_v2),
	    CPU_FN(cuStreamBatchMemOp_v2));
