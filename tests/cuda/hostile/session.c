// SPDX-License-Identifier: GPL-2.0-or-later
/* A session by libvgpu alone; see session.h. */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels.h"

void wrong(const char *file, int line, const char *what, long long got)
{
	const char *slash = strrchr(file, '/');

	printf("%s:%d: %s: %lld\n", slash ? slash + 1 : file, line, what, got);
	fflush(stdout);
	_exit(1);
}

CUresult raw_body(struct raw *r, const void *body, size_t size, void *out, size_t out_size)
{
	const struct vgpu_response *rsp = NULL;
	const struct vgpu_cuda_result *result;
	uint64_t id;

	r->got = 0;
	r->error = vgpu_submit(r->s, VGPU_CMD_CUDA, NULL, 0, body, size, &id) ? errno : 0;
	while (!r->error && (!rsp || rsp->id != id)) /* beside notes */
		r->error = vgpu_receive(r->s, EACH_MS, &rsp) ? errno : 0;
	if (!r->error && (int32_t)rsp->status < 0)
		r->error = -(int32_t)rsp->status;
	else if (!r->error && rsp->length < sizeof(*rsp) + sizeof(*result))
		r->error = EPROTO;
	if (r->error)
		return NO_RESULT;
	result = (const void *)(rsp + 1);
	r->got = rsp->length - sizeof(*rsp) - sizeof(*result);
	if (out && result->result == CUDA_SUCCESS)
		memcpy(out, result + 1, r->got < out_size ? r->got : out_size);
	return (CUresult)result->result;
}

static size_t make_body(const struct raw *r, uint64_t *body, uint32_t fn, const void *fixed,
			size_t fixed_size, const void *var, size_t var_size)
{
	struct vgpu_cuda_call call = {.function = fn, .context = r->context};
	uint8_t *at = (uint8_t *)body;
	size_t size = sizeof(call) + fixed_size + ((var_size + 7) & ~(size_t)7);

	CHECK(size <= VGPU_RECORD_MAX);
	memset(body, 0, size);
	memcpy(at, &call, sizeof(call));
	if (fixed_size)
		memcpy(at + sizeof(call), fixed, fixed_size);
	if (var_size)
		memcpy(at + sizeof(call) + fixed_size, var, var_size);
	return size;
}

CUresult raw_call(struct raw *r, uint32_t fn, const void *fixed, size_t fixed_size, const void *var,
		  size_t var_size, void *out, size_t out_size)
{
	uint64_t body[VGPU_RECORD_MAX / 8];
	size_t size = make_body(r, body, fn, fixed, fixed_size, var, var_size);

	return raw_body(r, body, size, out, out_size);
}

void raw_post(struct raw *r, uint32_t fn, const void *fixed, size_t fixed_size)
{
	uint64_t body[VGPU_RECORD_MAX / 8];
	size_t size = make_body(r, body, fn, fixed, fixed_size, NULL, 0);

	CHECK(vgpu_submit_quiet(r->s, VGPU_CMD_CUDA, NULL, 0, body, size) == 0);
}

uint64_t raw_handle(struct raw *r, enum vgpu_cuda_type type)
{
	return vgpu_cuda_handle(type, 1, (uint32_t)r->next++);
}

struct raw *raw_bare(void)
{
	struct raw *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	r->s = vgpu_session_open(NULL);
	if (!r->s)
		wrong(__FILE__, __LINE__, "vgpu_session_open", errno);
	r->next = 1;
	return r;
}

struct raw *raw_new(void)
{
	struct raw *r = raw_bare();
	struct vgpu_vgpuHello_req hello = {.version = VGPU_CUDA_VERSION};
	struct vgpu_vgpuCtxRetainPrimary_req retain = {0};

	OK(raw_call(r, CUDA_FN_vgpuHello, &hello, sizeof(hello), NULL, 0, NULL, 0));
	retain.ctx = raw_handle(r, VGPU_CUDA_CONTEXT);
	OK(raw_call(r, CUDA_FN_vgpuCtxRetainPrimary, &retain, sizeof(retain), NULL, 0, NULL, 0));
	r->context = retain.ctx;
	OK(raw_load(r, kernels_ptx, strlen(kernels_ptx) + 1, &r->module));
	return r;
}

void raw_free(struct raw *r)
{
	vgpu_session_close(r->s);
	free(r);
}

CUresult raw_alloc(struct raw *r, uint64_t bytes, uint64_t *address)
{
	struct vgpu_cuMemAlloc_v2_req q = {.bytesize = bytes};
	struct vgpu_cuMemAlloc_v2_rsp a = {0};
	CUresult result = raw_call(r, CUDA_FN_cuMemAlloc_v2, &q, sizeof(q), NULL, 0, &a, sizeof(a));

	*address = a.dptr;
	return result;
}

CUresult raw_release(struct raw *r, uint64_t address)
{
	struct vgpu_cuMemFree_v2_req q = {.dptr = address};

	return raw_call(r, CUDA_FN_cuMemFree_v2, &q, sizeof(q), NULL, 0, NULL, 0);
}

CUresult raw_write(struct raw *r, uint64_t to, const void *data, uint32_t bytes)
{
	struct vgpu_vgpuWrite_req q = {.dst = to, .bytes = bytes};

	return raw_call(r, CUDA_FN_vgpuWrite, &q, sizeof(q), data, bytes, NULL, 0);
}

CUresult raw_read(struct raw *r, uint64_t from, void *data, uint32_t bytes)
{
	struct vgpu_vgpuRead_req q = {.src = from, .bytes = bytes};

	return raw_call(r, CUDA_FN_vgpuRead, &q, sizeof(q), NULL, 0, data, bytes);
}

CUresult raw_load(struct raw *r, const void *image, size_t bytes, uint64_t *module)
{
	static uint64_t numbers;
	struct vgpu_vgpuBlobBegin_req begin = {.blob = ++numbers, .bytes = bytes};
	struct vgpu_vgpuBlobEnd_req end = {.blob = begin.blob};
	struct vgpu_vgpuModuleLoad_req load = {.blob = begin.blob};
	CUresult result =
		raw_call(r, CUDA_FN_vgpuBlobBegin, &begin, sizeof(begin), NULL, 0, NULL, 0);

	if (result != CUDA_SUCCESS)
		return result;
	for (size_t at = 0; at < bytes && result == CUDA_SUCCESS; at += 4096) {
		struct vgpu_vgpuBlobData_req data = {.blob = begin.blob, .offset = at};

		data.bytes = bytes - at < 4096 ? bytes - at : 4096;
		result = raw_call(r, CUDA_FN_vgpuBlobData, &data, sizeof(data),
				  (const char *)image + at, data.bytes, NULL, 0);
	}
	load.module = raw_handle(r, VGPU_CUDA_MODULE);
	if (result == CUDA_SUCCESS)
		result = raw_call(r, CUDA_FN_vgpuModuleLoad, &load, sizeof(load), NULL, 0, NULL, 0);
	raw_call(r, CUDA_FN_vgpuBlobEnd, &end, sizeof(end), NULL, 0, NULL, 0);
	*module = load.module;
	return result;
}

CUresult raw_function(struct raw *r, const char *name, uint64_t *function)
{
	struct vgpu_vgpuModuleGetFunction_req q = {.module = r->module};
	struct vgpu_function_info info;

	q.f = *function = raw_handle(r, VGPU_CUDA_FUNCTION);
	q.name_length = strlen(name) + 1;
	return raw_call(r, CUDA_FN_vgpuModuleGetFunction, &q, sizeof(q), name, q.name_length, &info,
			sizeof(info));
}

CUresult raw_launch(struct raw *r, uint64_t function, uint64_t stream, unsigned int threads,
		    const void *params, uint32_t bytes)
{
	struct vgpu_vgpuLaunch_req q = {.function = function,
					.stream = stream,
					.gx = 1,
					.gy = 1,
					.gz = 1,
					.bx = threads,
					.by = 1,
					.bz = 1,
					.bytes = bytes};

	return raw_call(r, CUDA_FN_vgpuLaunch, &q, sizeof(q), params, bytes, NULL, 0);
}

CUresult raw_synchronize(struct raw *r)
{
	return raw_call(r, CUDA_FN_vgpuCtxSynchronize, NULL, 0, NULL, 0, NULL, 0);
}

void raw_works(struct raw *r)
{
	struct {
		uint64_t p;
		uint32_t value, n;
	} params = {0, 0xabcd0123, 64};
	uint32_t words[64] = {0};
	uint64_t function;

	OK(raw_alloc(r, sizeof(words), &params.p));
	OK(raw_function(r, "fill", &function));
	OK(raw_write(r, params.p, words, sizeof(words)));
	OK(raw_launch(r, function, 0, 64, &params, sizeof(params)));
	OK(raw_read(r, params.p, words, sizeof(words)));
	for (int i = 0; i < 64; i++)
		CHECK(words[i] == params.value);
	OK(raw_release(r, params.p));
}
