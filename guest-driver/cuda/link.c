// SPDX-License-Identifier: GPL-2.0-or-later
/* Linking device code: pieces are added, the whole comes back as an image. */
#include <stdlib.h>
#include <string.h>

#include "blob.h"
#include "context.h"
#include "cuda_rpc.h"
#include "handles.h"
#include "image.h"
#include "jit.h"

#define PIECE 4096u

/* The image and the logs' places belong to the state until it is destroyed. */
struct state {
	struct jit jit;
	void *image;
};

static void fetch_log(CUlinkState state, const struct jit *j, int i)
{
	static const unsigned int which[2] = {VGPU_LOG_INFO, VGPU_LOG_ERROR};
	unsigned int at = 0, total = 0, room = j->room[i];

	if (!room--)
		return;
	do {
		unsigned int now = room - at < PIECE ? room - at : PIECE;
		char text[PIECE];

		if (rpc_vgpuLinkLog(state, which[i], at, now, text, &total) != CUDA_SUCCESS)
			break;
		if (total > room)
			total = room;
		if (now > total - at)
			now = total - at;
		memcpy(j->log[i] + at, text, now);
		at += now;
	} while (at < total);
	j->log[i][at] = 0;
	if (j->filled[i])
		*j->filled[i] = (void *)(uintptr_t)(at ? at + 1 : 0);
}

static void fetch_logs(CUlinkState state, const struct state *s)
{
	fetch_log(state, &s->jit, 0);
	fetch_log(state, &s->jit, 1);
}

CUresult cuLinkCreate_v2(unsigned int numOptions, CUjit_option *options, void **optionValues,
			 CUlinkState *stateOut)
{
	struct state *s;
	CUlinkState made;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	s = stateOut ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return stateOut ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
	r = jit_parse(&s->jit, numOptions, options, optionValues);
	if (r != CUDA_SUCCESS) {
		free(s);
		return r;
	}
	made = HANDLE_AS(CUlinkState, handle_new(VGPU_CUDA_LINK, s));
	if (!made) {
		free(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	r = rpc_vgpuLinkCreate(&made, s->jit.n, s->jit.option, s->jit.room[0], s->jit.room[1]);
	if (r == CUDA_SUCCESS)
		*stateOut = made;
	else
		handle_drop(HANDLE_OF(made));
	return r;
}

static CUresult enter(CUlinkState state, struct state **s)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	*s = handle_data(HANDLE_OF(state), VGPU_CUDA_LINK);
	return *s ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size,
			  const char *name, unsigned int numOptions, CUjit_option *options,
			  void **optionValues)
{
	unsigned long long blob;
	struct state *s;
	struct jit j;
	CUresult r = enter(state, &s);

	if (r == CUDA_SUCCESS && (!data || !size))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = jit_parse(&j, numOptions, options, optionValues);
	if (r == CUDA_SUCCESS)
		r = blob_send(data, size, &blob);
	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_vgpuLinkAdd(state, (unsigned int)type, blob, name, j.n, j.option);
	rpc_vgpuBlobEnd(blob);
	fetch_logs(state, s);
	return r;
}

CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path,
			  unsigned int numOptions, CUjit_option *options, void **optionValues)
{
	struct image file;
	struct state *s;
	CUresult r = enter(state, &s);

	if (r == CUDA_SUCCESS)
		r = image_read_file(path, &file);
	if (r != CUDA_SUCCESS)
		return r;
	/* The NUL behind it counts for PTX only. */
	if (type != CU_JIT_INPUT_PTX)
		file.size--;
	r = cuLinkAddData_v2(state, type, (void *)(uintptr_t)file.data, file.size, path, numOptions,
			     options, optionValues);
	image_free_file(&file);
	return r;
}

static CUresult fetch_image(CUlinkState state, char *image, unsigned long long bytes)
{
	CUresult r = CUDA_SUCCESS;

	for (unsigned long long at = 0; at < bytes && r == CUDA_SUCCESS; at += PIECE) {
		unsigned int now = bytes - at < PIECE ? (unsigned int)(bytes - at) : PIECE;

		r = rpc_vgpuLinkData(state, at, now, image + at);
	}
	return r;
}

CUresult cuLinkComplete(CUlinkState state, void **cubinOut, size_t *sizeOut)
{
	unsigned long long bytes = 0;
	struct state *s;
	void *image;
	CUresult r = enter(state, &s);

	if (r == CUDA_SUCCESS && (!cubinOut || !sizeOut))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_vgpuLinkComplete(state, &bytes);
	fetch_logs(state, s);
	if (r != CUDA_SUCCESS)
		return r;
	image = malloc(bytes + 1);
	if (!image)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = fetch_image(state, image, bytes);
	if (r != CUDA_SUCCESS) {
		free(image);
		return r;
	}
	free(s->image);
	s->image = image;
	*cubinOut = image;
	*sizeOut = bytes;
	return CUDA_SUCCESS;
}

CUresult cuLinkDestroy(CUlinkState state)
{
	struct state *s;
	CUresult r = enter(state, &s);

	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuLinkDestroy(state);
	free(s->image);
	handle_drop(HANDLE_OF(state));
	return r;
}
