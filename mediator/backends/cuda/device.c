/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What there is to know about the device: the gate at the daemon's start, and
 * GPU_INFO.
 */
#include "session.h"

#include <errno.h>
#include <string.h>

#define GATE_BYTES ((size_t)1 << 20)

static const char *version_text(int version, char text[16])
{
	g_snprintf(text, 16, "%d.%d", version / 1000, version % 1000 / 10);
	return text;
}

/* Doubles a few floats: the module's code fits this device and the device computes. */
static cudaError_t compute(float *at, gboolean *right)
{
	float host[4] = {1, 2, 3, 4};
	cudaError_t err = cudaMemcpy(at, host, sizeof(host), cudaMemcpyHostToDevice);

	if (err == cudaSuccess)
		err = vgpu_kernel_vector_add(at, at, G_N_ELEMENTS(host), cudaStreamPerThread);
	if (err == cudaSuccess)
		err = cudaStreamSynchronize(cudaStreamPerThread);
	if (err == cudaSuccess)
		err = cudaMemcpy(host, at, sizeof(host), cudaMemcpyDeviceToHost);
	*right = host[0] == 2 && host[1] == 4 && host[2] == 6 && host[3] == 8;
	return err;
}

static cudaError_t try_device(int device, gboolean *right)
{
	cudaError_t err = cudaSetDevice(device), freed;
	float *at = NULL;

	if (err == cudaSuccess)
		err = cudaMalloc((void **)&at, GATE_BYTES);
	if (err != cudaSuccess)
		return err;
	err = compute(at, right);
	freed = cudaFree(at);
	return err == cudaSuccess ? freed : err;
}

static int fail(GError **err, cudaError_t cause, const char *what)
{
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s (%s)", what,
		    cudaGetErrorString(cause), cudaGetErrorName(cause));
	cudaGetLastError();
	return cause == cudaErrorMemoryAllocation ? -ENOMEM : -ENODEV;
}

static int find_device(unsigned int device, int *driver, int *runtime, int *count, GError **err)
{
	cudaError_t cause;

	cudaRuntimeGetVersion(runtime);
	cause = cudaDriverGetVersion(driver);
	if (cause != cudaSuccess || *driver == 0) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			    "no NVIDIA driver here: libcuda.so.1 is missing or does not load");
		return -ENODEV;
	}
	cause = cudaGetDeviceCount(count);
	if (cause != cudaSuccess)
		return fail(err, cause, "counting devices");
	if (device >= (unsigned int)*count) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			    "device %u was asked for, the driver shows %d", device, *count);
		return -ENODEV;
	}
	return 0;
}

int cuda_probe(unsigned int device, char **description, GError **err)
{
	struct cudaDeviceProp properties;
	int driver = 0, runtime = 0, count = 0, rc;
	char driver_text[16], runtime_text[16];
	cudaError_t cause;
	gboolean right = FALSE;

	rc = find_device(device, &driver, &runtime, &count, err);
	if (rc)
		return rc;
	cause = cudaGetDeviceProperties(&properties, (int)device);
	if (cause != cudaSuccess)
		return fail(err, cause, "reading the device's properties");
	cause = try_device((int)device, &right);
	if (cause != cudaSuccess)
		return fail(err, cause, "trying the device");
	/* The process may live on, but it needs no context before its first command. */
	cudaDeviceReset();
	if (!right) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			    "device %u (%s) computed a wrong result", device, properties.name);
		return -EIO;
	}
	if (description)
		*description = g_strdup_printf(
			"%s, compute %d.%d, %zu MiB, device %u of %d, CUDA driver %s, runtime %s",
			properties.name, properties.major, properties.minor,
			properties.totalGlobalMem >> 20, device, count,
			version_text(driver, driver_text), version_text(runtime, runtime_text));
	return 0;
}

int cuda_identity(struct vgpu_backend *be, char name[128], uint64_t *memory)
{
	struct cudaDeviceProp properties = {0};
	int rc = session_check(be, cudaGetDeviceProperties(&properties, (int)be->device),
			       "reading the device's properties");

	if (rc)
		return rc;
	g_strlcpy(name, properties.name, 128);
	*memory = properties.totalGlobalMem;
	return 0;
}

int cuda_info(struct vgpu_backend *be, struct vgpu_info_result *out)
{
	struct vgpu_work work = {0};
	struct cudaDeviceProp properties = {0};
	size_t free_bytes = 0, total = 0;
	int driver = 0, runtime = 0;
	int rc = session_begin(be);

	memset(out, 0, sizeof(*out));
	if (!rc)
		rc = session_check(be, cudaGetDeviceProperties(&properties, (int)be->device),
				   "reading the device's properties");
	if (!rc)
		rc = session_check(be, cudaMemGetInfo(&free_bytes, &total), "asking for memory");
	if (!rc)
		rc = session_check(be, cudaDriverGetVersion(&driver), "asking for versions");
	if (!rc)
		rc = session_check(be, cudaRuntimeGetVersion(&runtime), "asking for versions");
	rc = session_end(be, rc, &work);
	if (rc)
		return rc;

	out->backend = VGPU_BACKEND_CUDA;
	out->compute_major = (uint32_t)properties.major;
	out->compute_minor = (uint32_t)properties.minor;
	out->multiprocessors = (uint32_t)properties.multiProcessorCount;
	out->driver_version = (uint32_t)driver;
	out->runtime_version = (uint32_t)runtime;
	out->memory_total = total;
	out->memory_free = free_bytes;
	g_strlcpy(out->name, properties.name, sizeof(out->name));
	return 0;
}
