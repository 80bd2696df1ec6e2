/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the generated dispatch is made of: taking arguments out of a record
 * that may hold anything, and giving room for results.
 *
 * Two kinds of refusal: a record that is malformed (`bad`: -EINVAL, no call
 * was understood) and an argument that is wrong (`error`: what the driver
 * would say).  Both are sticky, so that a call's code reads straight down and
 * looks once, in all_taken(), before anything is called.
 */
#ifndef CUDA_DISPATCH_SUPPORT_H
#define CUDA_DISPATCH_SUPPORT_H

#pragma GCC diagnostic ignored "-Wunused-function"

struct call {
	struct cuda_session *s;
	const struct cuda_request_view *req;
	struct cuda_reply *reply;
	uint32_t function;
	uint64_t context;
	uint64_t implied; /* context of an object that the call names, 0: none yet */
	uint32_t at;      /* bytes of the request taken */
	uint32_t used;    /* bytes of the reply given */
	bool bad;
	CUresult error;
};

static bool open_call(struct call *c)
{
	const struct vgpu_cuda_call *head = (const void *)c->req->body;

	if (c->req->length < sizeof(*head) || head->reserved)
		return false;
	c->function = head->function;
	c->context = head->context;
	c->at = sizeof(*head);
	return true;
}

static uint64_t padded(uint64_t n)
{
	return (n + 7) & ~7ull;
}

/* `count` elements of the request; NULL and `bad` if they are not there. */
static const void *take(struct call *c, uint64_t count, size_t size)
{
	uint64_t left = c->req->length - c->at;
	uint64_t bytes = vgpu_cuda_product(count, size);
	const void *p = c->req->body + c->at;

	if (c->bad || bytes > left || padded(bytes) > left) {
		c->bad = true;
		return NULL;
	}
	for (uint32_t i = c->at + bytes; i < c->at + padded(bytes); i++)
		c->bad |= c->req->body[i] != 0;
	c->at += padded(bytes);
	return p;
}

static const char *take_string(struct call *c, uint32_t length)
{
	const char *s = take(c, length, 1);

	if (!s || !length || memchr(s, 0, length) != s + length - 1) {
		c->bad = true;
		return NULL;
	}
	return s;
}

/* Zeroed room for `count` elements of the reply; NULL and `bad` if there is none. */
static void *give(struct call *c, uint64_t count, size_t size)
{
	uint64_t left = c->reply->room - c->used;
	uint64_t bytes = vgpu_cuda_product(count, size);
	void *p = c->reply->data + c->used;

	if (c->bad || bytes > left || padded(bytes) > left) {
		c->bad = true;
		return NULL;
	}
	memset(p, 0, padded(bytes));
	c->used += padded(bytes);
	return p;
}

__attribute__((weak)) CUresult session_drain(struct cuda_session *s)
{
	(void)s;
	return CUDA_SUCCESS;
}

__attribute__((weak)) CUresult flow_room(struct cuda_session *s, CUstream stream)
{
	(void)s;
	(void)stream;
	return CUDA_SUCCESS;
}

static void refuse(struct call *c, CUresult error)
{
	if (c->error == CUDA_SUCCESS)
		c->error = error;
}

static void must_be_zero(struct call *c, uint32_t value)
{
	if (value)
		c->bad = true;
}

static void check_range(struct call *c, uint64_t address, uint64_t length)
{
	if (length && !ranges_check(c->s, address, length))
		refuse(c, CUDA_ERROR_INVALID_VALUE);
}

/* The driver's object behind a handle. */
static void *real(struct call *c, uint64_t handle, enum vgpu_cuda_type type)
{
	void *p = NULL;
	CUresult r = handles_get(c->s, handle, type, &p);

	if (r != CUDA_SUCCESS)
		refuse(c, r);
	else if (!c->implied)
		c->implied = handles_context(c->s, handle);
	return p;
}

static void *real_either(struct call *c, uint64_t handle, enum vgpu_cuda_type a,
			 enum vgpu_cuda_type b)
{
	return real(c, handle, vgpu_cuda_handle_type(handle) == b ? b : a);
}

/*
 * NULL and the legacy stream pass; the guest turns the per-thread one into a stream of its own.
 * The call is made in the stream's context, as the driver does it by itself: what we keep for a
 * wait belongs there, too.
 */
static void *real_stream(struct call *c, uint64_t handle)
{
	void *stream;

	if (handle <= (uintptr_t)CU_STREAM_LEGACY)
		return (void *)(uintptr_t)handle;
	stream = real(c, handle, VGPU_CUDA_STREAM);
	if (stream)
		c->context = handles_parent(c->s, handle);
	return stream;
}

/* `out` holds as many as a record can. */
static void real_array(struct call *c, void **out, uint64_t count, enum vgpu_cuda_type type)
{
	const uint64_t *handle = take(c, count, sizeof(*handle));

	if (!handle || count > VGPU_RECORD_MAX / 8) {
		c->bad = true;
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		out[i] = real(c, handle[i], type);
}

static CUdevice real_device(struct call *c, CUdevice guest)
{
	CUdevice device = 0;
	CUresult r = session_device(c->s, guest, &device);

	if (r != CUDA_SUCCESS)
		refuse(c, r);
	return device;
}

static void check_new(struct call *c, uint64_t handle, enum vgpu_cuda_type type)
{
	CUresult r = handles_free(c->s, handle, type);

	if (r != CUDA_SUCCESS)
		refuse(c, r);
}

/* Memory of the host itself is not a guest's to allocate from. */
static void fix_location(struct call *c, CUmemLocation *l)
{
	if (l->type != CU_MEM_LOCATION_TYPE_DEVICE)
		refuse(c, CUDA_ERROR_NOT_SUPPORTED);
	else
		l->id = real_device(c, l->id);
}

/*
 * Structures of which a part is translated: a copy of the elements in the
 * reply's unused tail would be overwritten, so they are fixed in scratch room
 * of the call.
 */
#define CUDA_SCRATCH_MAX 64

static CUmemLocation *take_location(struct call *c, uint64_t count)
{
	static __thread CUmemLocation copy[CUDA_SCRATCH_MAX];
	const CUmemLocation *in = take(c, count, sizeof(*in));

	if (!in || count > CUDA_SCRATCH_MAX) {
		c->bad = true;
		return NULL;
	}
	memcpy(copy, in, count * sizeof(*in));
	for (uint64_t i = 0; i < count; i++)
		fix_location(c, &copy[i]);
	return copy;
}

static CUmemAccessDesc *take_access(struct call *c, uint64_t count)
{
	static __thread CUmemAccessDesc copy[CUDA_SCRATCH_MAX];
	const CUmemAccessDesc *in = take(c, count, sizeof(*in));

	if (!in || count > CUDA_SCRATCH_MAX) {
		c->bad = true;
		return NULL;
	}
	memcpy(copy, in, count * sizeof(*in));
	for (uint64_t i = 0; i < count; i++)
		fix_location(c, &copy[i].location);
	return copy;
}

/* No shareable handles, which would be file descriptors of the worker. */
static CUmemAllocationProp *take_allocation(struct call *c, uint64_t count)
{
	static __thread CUmemAllocationProp copy;
	const CUmemAllocationProp *in = take(c, count, sizeof(*in));

	if (!in || count != 1) {
		c->bad = true;
		return NULL;
	}
	copy = *in;
	fix_location(c, &copy.location);
	if (copy.requestedHandleTypes || copy.win32HandleMetaData)
		refuse(c, CUDA_ERROR_NOT_SUPPORTED);
	return &copy;
}

static CUmemPoolProps *take_pool_props(struct call *c, uint64_t count)
{
	static __thread CUmemPoolProps copy;
	const CUmemPoolProps *in = take(c, count, sizeof(*in));

	if (!in || count != 1) {
		c->bad = true;
		return NULL;
	}
	copy = *in;
	fix_location(c, &copy.location);
	if (copy.handleTypes || copy.win32SecurityAttributes)
		refuse(c, CUDA_ERROR_NOT_SUPPORTED);
	return &copy;
}

/* The driver would wait for the object's context, whichever is the caller's. */
static void in_own_context(struct call *c)
{
	if (c->implied)
		c->context = c->implied;
}

/*
 * Last of the checks, since it may make a context.  A thread that has none may
 * still use a stream or an event, which has one of its own.
 */
static void use_context(struct call *c)
{
	CUresult r;

	if (c->bad || c->error != CUDA_SUCCESS)
		return;
	r = session_context(c->s, c->context ? c->context : c->implied);
	if (r != CUDA_SUCCESS)
		refuse(c, r);
}

/* May the call be made?  Nothing may be left over in the record. */
static bool all_taken(struct call *c)
{
	if (c->at != c->req->length)
		c->bad = true;
	return !c->bad && c->error == CUDA_SUCCESS;
}

static int respond(struct call *c, CUresult result)
{
	if (c->bad)
		return -EINVAL;
	if (result == (CUresult)HOST_PENDING)
		return (int)HOST_PENDING;
	c->reply->result = result;
	c->reply->length = result == CUDA_SUCCESS ? c->used : 0;
	return 0;
}

#endif /* CUDA_DISPATCH_SUPPORT_H */
