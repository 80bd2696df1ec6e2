/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies whose data rides in the record, and bulk copies of registered guest memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "callbacks.h"
#include "contexts.h"
#include "cuda_dispatch.h"
#include "session.h"
#include "waits.h"
#include "worker.h"

/* The driver takes data from ordinary memory before it returns. */
CUresult host_vgpuWrite(struct cuda_session *s, CUdeviceptr dst, unsigned int bytes,
			CUstream stream, const void *data)
{
	if (!s->drv->cuMemcpyHtoDAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!bytes)
		return CUDA_SUCCESS;
	/* A graph would read the record again, long after it is gone. */
	if (waits_is_capturing(s, stream))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	worker_count_bytes(s->worker, bytes, 0, bytes);
	return s->drv->cuMemcpyHtoDAsync_v2(dst, data, bytes, stream);
}

/* With all slots taken: ordinary memory, where the driver copies in its own time. */
static void *read_buffer(struct cuda_session *s, struct cuda_context *c, uint32_t bytes, bool *own)
{
	void *slot = contexts_slot(s, c);

	*own = !slot;
	return slot ? slot : malloc(bytes);
}

static void read_buffer_back(struct cuda_context *c, void *buffer, bool own)
{
	if (own)
		free(buffer);
	else if (c) /* else they went with it */
		contexts_slot_back(c, buffer);
}

/* data: the buffer; arg: 0 whether it is from malloc(), 1 its bytes, 2 where they go in the reply
 */
static CUresult read_done(struct cuda_session *s, struct wait *w, CUresult r,
			  struct cuda_reply *reply)
{
	struct cuda_context *c = contexts_of(s, w->context);
	uint32_t bytes = (uint32_t)w->arg[1], offset = (uint32_t)w->arg[2];

	if (!c && r == CUDA_SUCCESS)
		r = CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (r == CUDA_SUCCESS) {
		memcpy(reply->data + offset, w->data, bytes);
		memset(reply->data + offset + bytes, 0, -bytes & 7u);
		reply->length = offset + ((bytes + 7u) & ~7u);
		worker_count_bytes(s->worker, 0, bytes, bytes);
	}
	read_buffer_back(c, w->data, w->arg[0]);
	return r;
}

CUresult host_vgpuRead(struct cuda_session *s, CUdeviceptr src, unsigned int bytes, CUstream stream,
		       void *data)
{
	struct cuda_context *c = contexts_current(s);
	struct wait *w;
	bool own;
	CUresult r;

	if (!s->drv->cuMemcpyDtoHAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!bytes)
		return CUDA_SUCCESS;
	if (bytes > SLOT_BYTES || !c)
		return CUDA_ERROR_INVALID_VALUE;
	if (waits_is_capturing(s, stream))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	/* Into ordinary memory the driver copies before it returns. */
	if (!contexts_has_slot(s, c)) {
		r = session_drain_stream(s, stream);
		if (r != CUDA_SUCCESS)
			return r;
	}
	w = waits_new(s);
	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	w->data = read_buffer(s, c, bytes, &own);
	w->arg[0] = own;
	w->arg[1] = bytes;
	w->arg[2] = (uint64_t)((uint8_t *)data - s->reply->data);
	w->finish = read_done;
	r = w->data ? s->drv->cuMemcpyDtoHAsync_v2(w->data, src, bytes, stream)
		    : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		return waits_stream(s, w, stream);
	read_buffer_back(c, w->data, own);
	waits_drop(s, w);
	return r;
}

/* ------------------------------------------------------------------- bulk */

struct bulk {
	struct buffers_hold hold;
	uint64_t bytes;
	bool to_device;
};

static CUresult bulk_done(struct cuda_session *s, struct wait *w, CUresult r,
			  struct cuda_reply *reply)
{
	struct bulk *b = w->data;
	const uint64_t bytes = b->bytes;

	(void)reply;
	if (w->arg[0])
		r = (CUresult)w->arg[0];
	if (r == CUDA_SUCCESS)
		worker_count_bytes(s->worker, b->to_device ? bytes : 0, b->to_device ? 0 : bytes,
				   0);
	buffers_let_go(&s->worker->buffers, &b->hold);
	free(b);
	return r;
}

static CUresult of_errno(int err)
{
	switch (err) {
	case 0:
		return CUDA_SUCCESS;
	case -ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case -EACCES:
		return CUDA_ERROR_NOT_PERMITTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static int get_all(struct cuda_session *s, uint32_t access, struct vgpu_operand *op)
{
	int err = 0;

	for (uint32_t i = 0; i < s->req->ndesc && !err; i++)
		err = s->req->desc[i].reserved ? -EINVAL
					       : buffers_get(&s->worker->buffers, &s->req->desc[i],
							     access, 1, &op[i]);
	return err;
}

/*
 * All before the first copy begins, as what is mapped for one may be mapped
 * again for another; and all again if the memory table changed meanwhile.
 */
static CUresult resolve_all(struct cuda_session *s, bool to_device,
			    struct vgpu_operand op[VGPU_DESCS_MAX])
{
	const uint32_t access = to_device ? VGPU_BUFFER_READ : VGPU_BUFFER_WRITE;
	int err = get_all(s, access, op);

	if (err == -EFAULT && control_handle(s->worker)) {
		buffers_release(&s->worker->buffers);
		err = get_all(s, access, op);
	}
	return of_errno(err);
}

/* Enqueues one descriptor's copy. */
static CUresult enqueue(struct cuda_session *s, const struct vgpu_operand *op, CUdeviceptr at,
			CUstream stream, bool to_device)
{
	struct worker *w = s->worker;
	uint64_t copied = 0;
	CUresult r = (CUresult)w->ops->copy(w->be, stream, at, op, to_device, &copied);

	worker_count_bytes(w, 0, 0, copied);
	return r;
}

static bool lengths_are_right(const struct cuda_request_view *req, uint64_t bytes)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < req->ndesc; i++) {
		if (__builtin_add_overflow(sum, req->desc[i].length, &sum))
			return false;
	}
	return sum == bytes;
}

CUresult host_vgpuCopy(struct cuda_session *s, unsigned int direction, CUdeviceptr address,
		       unsigned long long bytes, CUstream stream)
{
	const bool to_device = direction == VGPU_COPY_TO_DEVICE;
	struct vgpu_operand op[VGPU_DESCS_MAX];
	CUresult r = CUDA_SUCCESS;
	struct wait *w;
	struct bulk *b;

	if (!s->worker->ops->copy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if ((!to_device && direction != VGPU_COPY_FROM_DEVICE) || !bytes ||
	    !lengths_are_right(s->req, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (waits_is_capturing(s, stream))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	/* The backend may have to wait until an older copy is over. */
	if (callbacks_outstanding(s))
		r = session_drain_stream(s, stream);
	if (r != CUDA_SUCCESS)
		return r;
	b = calloc(1, sizeof(*b));
	w = b ? waits_new(s) : NULL;
	if (!w) {
		free(b);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	b->bytes = bytes;
	b->to_device = to_device;
	w->data = b;
	w->finish = bulk_done;
	r = resolve_all(s, to_device, op);
	for (uint32_t i = 0; i < s->req->ndesc && r == CUDA_SUCCESS; i++) {
		r = enqueue(s, &op[i], address, stream, to_device);
		address += s->req->desc[i].length;
	}
	/* Parts may be under way even if another failed. */
	buffers_keep(&s->worker->buffers, &b->hold, true);
	w->arg[0] = r;
	return waits_stream(s, w, stream);
}
