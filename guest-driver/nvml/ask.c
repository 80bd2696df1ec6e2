/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generated stubs of the CUDA library, over a session that lasts for one
 * round of questions.
 */
#include "ask.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "cancel.h"
#include "client.h"
#include "context.h"
#include "cuda_rpc.h"
#include "vgpu.h"
#include "vgpu_cuda.h"

#define TIMEOUT_MS 30000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one round at a time */
static int cancel; /* of the thread that asks: what it is to have again */
static struct vgpu_session *session;
static uint64_t context; /* for calls that need one */
static int lost;         /* errno of the first call that did not get through */

/* ---- what the stubs need */

uint64_t context_current(void)
{
	return context;
}

static size_t compose(uint8_t *body, uint32_t function, const struct vgpu_piece *p, size_t n)
{
	struct vgpu_cuda_call *call = (void *)body;
	size_t length = sizeof(*call);

	*call = (struct vgpu_cuda_call){.function = function, .context = context};
	for (size_t i = 0; i < n; i++) {
		if (p[i].length > VGPU_RECORD_MAX - length)
			return 0;
		if (p[i].length)
			memcpy(body + length, p[i].data, p[i].length);
		length += p[i].length;
	}
	return length;
}

CUresult client_call(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n, void *out, size_t size, size_t *got)
{
	_Alignas(8) uint8_t body[VGPU_RECORD_MAX];
	_Alignas(8) uint8_t answer[VGPU_RECORD_MAX];
	const struct vgpu_cuda_result *result = (const void *)answer;
	size_t length = compose(body, fn, p, n), unused;
	int r;

	(void)ctx;
	if (!got)
		got = &unused;
	*got = 0;
	if (!length)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_call(session, VGPU_CMD_CUDA, desc, ndesc, body, length, answer, sizeof(answer),
		      TIMEOUT_MS);
	if (r < 0 || (size_t)r < sizeof(*result) || (size_t)r > sizeof(answer)) {
		lost = r < 0 ? errno : EPROTO;
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	}
	if (result->result == CUDA_SUCCESS) {
		length = (size_t)r - sizeof(*result);
		*got = length < size ? length : size;
		memcpy(out, answer + sizeof(*result), *got);
	}
	return (CUresult)result->result;
}

/* Nothing that is asked here goes without an answer. */
CUresult client_post(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n)
{
	(void)fn, (void)ctx, (void)desc, (void)ndesc, (void)p, (void)n;
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* ---- rounds */

static nvmlReturn_t of_errno(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return NVML_ERROR_NO_PERMISSION;
	case ETIMEDOUT:
		return NVML_ERROR_TIMEOUT;
	case EBUSY:
		return NVML_ERROR_IN_USE;
	case ENOMEM:
		return NVML_ERROR_MEMORY;
	case EIO:
	case EPROTO:
		return NVML_ERROR_GPU_IS_LOST;
	default: /* no device, no daemon */
		return NVML_ERROR_DRIVER_NOT_LOADED;
	}
}

static nvmlReturn_t of_result(CUresult r)
{
	if (lost)
		return of_errno(lost);
	switch (r) {
	case CUDA_SUCCESS:
		return NVML_SUCCESS;
	case CUDA_ERROR_NOT_SUPPORTED:
		return NVML_ERROR_NOT_SUPPORTED;
	case CUDA_ERROR_OUT_OF_MEMORY:
		return NVML_ERROR_MEMORY;
	case CUDA_ERROR_NOT_PERMITTED:
		return NVML_ERROR_NO_PERMISSION;
	default:
		return NVML_ERROR_UNKNOWN;
	}
}

/* Takes the lock if it succeeds. */
static nvmlReturn_t begin(void)
{
	int error, before = cancel_disable();

	pthread_mutex_lock(&lock);
	cancel = before;
	lost = 0;
	context = 0;
	session = vgpu_session_open(NULL);
	if (session)
		return NVML_SUCCESS;
	error = errno;
	pthread_mutex_unlock(&lock);
	cancel_restore(before);
	return of_errno(error);
}

static void end(void)
{
	int before = cancel;

	vgpu_session_close(session);
	session = NULL;
	pthread_mutex_unlock(&lock);
	cancel_restore(before);
}

nvmlReturn_t ask_devices(struct vgpu_device_info info[DEVICES_MAX], unsigned int *n, int *cuda)
{
	struct vgpu_cuda_hello hello = {0};
	nvmlReturn_t ret = begin();
	CUresult r;

	if (ret != NVML_SUCCESS)
		return ret;
	r = rpc_vgpuHello(VGPU_CUDA_VERSION, &hello);
	*n = hello.devices < DEVICES_MAX ? hello.devices : DEVICES_MAX;
	*cuda = (int)hello.driver_version;
	for (unsigned int i = 0; r == CUDA_SUCCESS && i < *n; i++) {
		r = rpc_vgpuDeviceInfo((CUdevice)i, &info[i]);
		info[i].name[sizeof(info[i].name) - 1] = 0;
		info[i].pci_bus_id[sizeof(info[i].pci_bus_id) - 1] = 0;
	}
	ret = of_result(r);
	end();
	return ret;
}

/*
 * A tenant with a limit has so much, whatever the device has and others use.
 * False: there is none, or the host is older than the question.
 */
static bool ask_tenant(size_t *free, size_t *total)
{
	struct vgpu_tenant_result t;
	int r = vgpu_call(session, VGPU_CMD_TENANT, NULL, 0, NULL, 0, &t, sizeof(t), TIMEOUT_MS);

	if (r < (int)sizeof(t) || t.memory_limit == VGPU_TENANT_NO_LIMIT || !t.memory_total)
		return false;
	*total = t.memory_total;
	*free = t.memory_used < t.memory_total ? t.memory_total - t.memory_used : 0;
	return true;
}

nvmlReturn_t ask_memory(unsigned int device, size_t *free, size_t *total)
{
	CUcontext made = (CUcontext)(uintptr_t)vgpu_cuda_handle(VGPU_CUDA_CONTEXT, 1, 1);
	struct vgpu_cuda_hello hello;
	nvmlReturn_t ret = begin();
	CUresult r;

	if (ret != NVML_SUCCESS)
		return ret;
	/* Without a context, so also where a tenant may not make one; this opens the driver. */
	rpc_vgpuHello(VGPU_CUDA_VERSION, &hello);
	if (ask_tenant(free, total)) {
		end();
		return NVML_SUCCESS;
	}
	lost = 0;
	/* Both go with the session. */
	r = rpc_vgpuCtxRetainPrimary(&made, 0, (CUdevice)device);
	context = (uintptr_t)made;
	if (r == CUDA_SUCCESS)
		r = rpc_cuMemGetInfo_v2(free, total);
	ret = of_result(r);
	end();
	return ret;
}
