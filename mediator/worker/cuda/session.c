/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's side of CUDA calls: opening the driver, taking requests to the
 * dispatch, bringing answers back, now or later.
 */
#include "session.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "callbacks.h"
#include "charge.h"
#include "contexts.h"
#include "cuda_dispatch.h"
#include "entry.h"
#include "output.h"
#include "waits.h"
#include "worker.h"

/* How long to look for the GPU before sleeping. */
#define SPIN_NS 1000000u /* where there are processors to spare */
#define SPIN_FEW_CPUS_NS 50000u
/*
 * Being woken by the GPU costs most of a millisecond in a virtual machine, so
 * what has not taken long yet is looked at between naps.
 */
#define NAP_NS 20000
#define NAPS_NS 100000000u

bool cuda_is_built(void)
{
	return true;
}

static void *find_symbol(void *opaque, const char *name)
{
	struct worker *w = opaque;

	return w->ops->symbol(w->be, name);
}

/* Through a union: ISO C has no cast from an object's to a function's pointer. */
#define RESOLVE(s, w, name)                                      \
	do {                                                     \
		void *found = find_symbol(w, #name);             \
		memcpy(&(s)->extra.name, &found, sizeof(found)); \
	} while (0)

static struct cuda_session *make(struct worker *w)
{
	struct cuda_session *s = calloc(1, sizeof(*s));
	struct cuda_driver *drv = calloc(1, sizeof(*drv));

	if (!s || !drv || !w->ops->symbol) {
		free(s);
		free(drv);
		return NULL;
	}
	cuda_driver_fill(drv, find_symbol, w);
	s->drv = drv;
	s->worker = w;
	flow_init(&s->flow);
	marks_init(&s->marks);
	RESOLVE(s, w, cuThreadExchangeStreamCaptureMode);
	RESOLVE(s, w, cuCtxRecordEvent);
	RESOLVE(s, w, cuMemGetAllocationGranularity);
	RESOLVE(s, w, cuDevicePrimaryCtxRetain);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0 || waits_init(s) != CUDA_SUCCESS || callbacks_init(s) != CUDA_SUCCESS ||
	    charge_init(s) != CUDA_SUCCESS) {
		free(drv);
		free(s);
		return NULL;
	}
	worker_watch(w, s->wake_fd, EPOLLIN, WATCH_CUDA);
	return s;
}

CUresult session_open(struct cuda_session *s)
{
	CUstreamCaptureMode relaxed = CU_STREAM_CAPTURE_MODE_RELAXED;
	size_t total = 0;
	CUresult r;

	if (s->open)
		return CUDA_SUCCESS;
	if (!s->drv->cuInit || !s->drv->cuDeviceGet || !s->drv->cuCtxSetCurrent)
		return CUDA_ERROR_NO_DEVICE;
	r = s->drv->cuInit(0);
	if (r == CUDA_SUCCESS)
		r = s->drv->cuDeviceGet(&s->device, s->worker->device);
	if (r != CUDA_SUCCESS)
		return r;
	/* One thread makes the calls of all the guest's threads: what one captures
	 * must not forbid the others anything. */
	if (s->extra.cuThreadExchangeStreamCaptureMode)
		s->extra.cuThreadExchangeStreamCaptureMode(&relaxed);
	output_init(s);
	if (s->drv->cuDeviceTotalMem_v2 &&
	    s->drv->cuDeviceTotalMem_v2(&total, s->device) == CUDA_SUCCESS)
		s->worker->tenant.device_memory = total;
	s->open = true;
	return CUDA_SUCCESS;
}

CUresult session_context(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_object *o;
	CUresult r;

	if (handle == s->context && handle)
		return CUDA_SUCCESS;
	o = handles_object(&s->handles, handle, VGPU_CUDA_CONTEXT);
	if (!o)
		return CUDA_ERROR_INVALID_CONTEXT;
	r = s->drv->cuCtxSetCurrent((CUcontext)(uintptr_t)o->real);
	s->context = r == CUDA_SUCCESS ? handle : 0;
	return r;
}

int session_operand(struct cuda_session *s, uint32_t i, uint32_t access, struct vgpu_operand *op)
{
	struct worker *w = s->worker;
	int err = s->req->desc[i].reserved
			  ? -EINVAL
			  : buffers_get(&w->buffers, &s->req->desc[i], access, 1, op);

	if (err == -EFAULT && control_handle(w))
		err = buffers_get(&w->buffers, &s->req->desc[i], access, 1, op);
	return err;
}

void session_release_backend(struct cuda_session *s)
{
	const struct vgpu_backend_ops *ops = s->worker->ops;

	if (ops->release)
		ops->release(s->worker->be);
	session_forget_context(s);
}

/* ---------------------------------------------------------------- answers */

/* The program learns of it from a later call, and whose fault it was only from here. */
static void note_quiet_failure(struct worker *w, uint64_t id, CUresult r)
{
	char text[96];

	if (!w->setup.verbose)
		return;
	snprintf(text, sizeof(text), "call %u, which has no answer, failed: %d", w->cuda->function,
		 r);
	control_warning(w, id, text);
}

/*
 * Calls that wait, ask or read may end with the error of earlier ones.  Those
 * that make something may not: the program would not know that it is there.
 */
static bool tells_of_others(uint32_t function)
{
	switch (function) {
	case CUDA_FN_vgpuCtxSynchronize:
	case CUDA_FN_vgpuRead:
	case CUDA_FN_vgpuCopy:
	case CUDA_FN_cuStreamQuery:
	case CUDA_FN_cuStreamSynchronize:
	case CUDA_FN_cuEventQuery:
	case CUDA_FN_cuEventSynchronize:
		return true;
	default:
		return false;
	}
}

/* `tells`: may the error of an earlier call go with it?  False: the call was a quiet one. */
static bool answer(struct worker *w, uint64_t id, bool quiet, bool tells, int status,
		   const struct cuda_reply *reply)
{
	struct cuda_session *s = w->cuda;
	struct vgpu_response *h = &w->rsp.header;
	struct vgpu_cuda_result *res = (void *)(h + 1);
	CUresult r = reply->result;

	if (status) {
		queue_count(&w->page->errors, 1);
		r = CUDA_ERROR_INVALID_VALUE;
	}
	if (s)
		session_note_result(s, r);
	if (quiet) {
		if (r != CUDA_SUCCESS && s && s->deferred == CUDA_SUCCESS) {
			s->deferred = r;
			note_quiet_failure(w, id, r);
		}
		return false;
	}
	*h = (struct vgpu_response){.length = sizeof(*h),
				    .status = (uint32_t)status,
				    .id = id,
				    .command = VGPU_CMD_CUDA};
	if (status)
		return true;
	res->result = (uint32_t)r;
	res->deferred = CUDA_SUCCESS;
	if (s && tells && r == CUDA_SUCCESS) { /* else it would be lost beside the call's own */
		res->deferred = (uint32_t)s->deferred;
		s->deferred = CUDA_SUCCESS;
	}
	h->length += (uint32_t)sizeof(*res) + (r == CUDA_SUCCESS ? reply->length : 0);
	return true;
}

/* Its number; 0: it is too short to have one. */
static uint32_t function_of(const struct cuda_request_view *req)
{
	const struct vgpu_cuda_call *call = (const void *)req->body;

	return req->length >= sizeof(*call) ? call->function : 0;
}

static struct cuda_reply reply_in(struct worker *w)
{
	const size_t before = sizeof(struct vgpu_response) + sizeof(struct vgpu_cuda_result);

	return (struct cuda_reply){.data = w->rsp.bytes + before, .room = CUDA_REPLY_MAX};
}

int session_make_call(struct cuda_session *s, const struct cuda_request_view *req,
		      struct cuda_reply *reply)
{
	struct buffers *b = &s->worker->buffers;
	int err;

	waits_pin(s);
	s->req = req;
	s->function = function_of(req);
	s->reply = reply;
	err = cuda_dispatch(s, req, reply);
	if (s->marks.calls)
		marks_made(s);
	s->req = NULL;
	s->reply = NULL;
	s->new_parent = 0;
	s->new_second = 0;
	s->new_data = NULL;
	if (s->new_charged) /* what it was to be for was not kept */
		charge_give(s, s->new_charged);
	s->new_charged = 0;
	if (b->nheld)
		buffers_release(b);
	return err;
}

static bool refuse(struct worker *w, const struct cuda_request_view *req)
{
	const uint32_t function = function_of(req);

	TENANT_COUNT(&w->tenant, refused, 1);
	control_refused(w, CTL_REFUSED_CLASS, req->id,
			cuda_function_classes(function) & ~w->tenant.limits.classes,
			cuda_function_name(function));
	return false;
}

/*
 * May the tenant do this?  Asked once, when the request comes: what was taken
 * is done, also if it is held back for a while.
 */
static bool is_allowed(struct worker *w, const struct cuda_request_view *req)
{
	return tenant_allows(&w->tenant, cuda_function_classes(function_of(req))) || refuse(w, req);
}

static bool is_launch(uint32_t function)
{
	return function == CUDA_FN_vgpuLaunch || function == CUDA_FN_cuGraphLaunch ||
	       function == CUDA_FN_vgpuGraphLaunch;
}

static int dispatch(struct worker *w, const struct cuda_request_view *req, struct cuda_reply *reply)
{
	CUresult r;

	if (!is_allowed(w, req)) {
		reply->result = CUDA_ERROR_NOT_PERMITTED;
		return 0;
	}
	if (is_launch(function_of(req)))
		TENANT_COUNT(&w->tenant, launches, 1);
	if (!w->cuda)
		w->cuda = make(w);
	if (!w->cuda)
		return -EOPNOTSUPP;
	if (!flow_is_closed(w->cuda, function_of(req)))
		return session_make_call(w->cuda, req, reply);
	r = flow_hold(w->cuda, req);
	if (r == (CUresult)HOST_PENDING)
		return HOST_PENDING;
	reply->result = r;
	return 0;
}

/* The next of the calls that were held back. */
static enum cuda_progress make_held(struct worker *w, const struct cuda_request_view *req)
{
	struct cuda_session *s = w->cuda;
	struct cuda_reply reply = reply_in(w);
	const uint64_t id = req->id;
	const bool quiet = req->quiet;
	int err = session_make_call(s, req, &reply);

	if (!flow_after(s))
		return CUDA_NOTHING;
	if (err == HOST_PENDING)
		return CUDA_PROGRESS;
	return answer(w, id, quiet, tells_of_others(s->function), err, &reply) ? CUDA_RESPONSE
									       : CUDA_PROGRESS;
}

bool cuda_request(struct worker *w, const void *record, uint32_t length)
{
	const struct vgpu_request *h = record;
	const size_t before = sizeof(*h) + h->ndesc * sizeof(struct vgpu_desc);
	const struct cuda_request_view req = {.body = (const uint8_t *)record + before,
					      .length = length - (uint32_t)before,
					      .desc = (const void *)(h + 1),
					      .ndesc = h->ndesc,
					      .id = h->id,
					      .quiet = h->flags & VGPU_REQUEST_QUIET};
	struct cuda_reply reply = reply_in(w);
	int err = -EINVAL;

	if (h->length == length && !(h->flags & ~VGPU_REQUEST_QUIET) && !h->reserved0 &&
	    !h->reserved1 && !h->reserved2 && h->ndesc <= VGPU_DESCS_MAX && before <= length)
		err = dispatch(w, &req, &reply);
	if (err == HOST_PENDING)
		return false;
	return answer(w, req.id, req.quiet, w->cuda && tells_of_others(w->cuda->function), err,
		      &reply);
}

enum cuda_progress cuda_poll(struct worker *w)
{
	struct cuda_session *s = w->cuda;
	struct cuda_reply reply = reply_in(w);
	enum cuda_progress p = CUDA_NOTHING;
	struct cuda_request_view held;
	struct wait *wait;
	uint64_t id;
	bool quiet, tells;

	if (!s)
		return CUDA_NOTHING;
	if (__atomic_load_n(&s->notified, __ATOMIC_ACQUIRE) && callbacks_send(s))
		return CUDA_PROGRESS;
	if (flow_next(s, &held))
		p = make_held(w, &held);
	if (p != CUDA_NOTHING)
		return p;
	wait = s->waits->n ? waits_look(s) : NULL;
	if (!wait)
		return CUDA_NOTHING;
	if (!output_drain(s)) {
		waits_put_back(s, wait);
		return CUDA_NOTHING;
	}
	reply.result = wait->result;
	if (wait->finish)
		reply.result = wait->finish(s, wait, wait->result, &reply);
	id = wait->id;
	quiet = wait->quiet;
	tells = !wait->only_later; /* that is a call that was put off */
	waits_end(s, wait);
	if (reply.result == (CUresult)HOST_PENDING)
		return CUDA_PROGRESS;
	return answer(w, id, quiet, tells, 0, &reply) ? CUDA_RESPONSE : CUDA_PROGRESS;
}

/* What waits for its turn waits for the daemon, and turn.c sees to that. */
static bool is_waiting(const struct cuda_session *s)
{
	return s->waits->n || (s->flow.head && !turn_is_shut(s->worker));
}

bool cuda_is_busy(const struct worker *w)
{
	const struct cuda_session *s = w->cuda;

	return s && (is_waiting(s) || __atomic_load_n(&s->notified, __ATOMIC_RELAXED));
}

static uint64_t spin_ns(void)
{
	static long cpus;

	if (!cpus)
		cpus = sysconf(_SC_NPROCESSORS_ONLN);
	return cpus > 2 ? SPIN_NS : SPIN_FEW_CPUS_NS;
}

/* How long nothing that is waited for has happened. */
static uint64_t waited_ns(const struct cuda_session *s)
{
	return (uint64_t)g_get_monotonic_time() * 1000 - s->waits->moved;
}

uint64_t cuda_spin_ns(const struct worker *w)
{
	uint64_t waited;

	if (!w->cuda || !is_waiting(w->cuda))
		return 0;
	waited = waited_ns(w->cuda);
	return waited < spin_ns() ? spin_ns() - waited : 0;
}

int64_t cuda_nap_ns(const struct worker *w)
{
	if (!w->cuda || !is_waiting(w->cuda) || waited_ns(w->cuda) > NAPS_NS)
		return 0;
	return NAP_NS;
}

int cuda_sleep(struct worker *w)
{
	int ms = w->cuda && w->cuda->waits->n ? waits_sleep(w->cuda) : -1;

	/* Nobody tells when there is room for a call. */
	return w->cuda && w->cuda->flow.head && !turn_is_shut(w) ? 1 : ms;
}

void cuda_woken(struct worker *w)
{
	uint64_t count;

	if (w->cuda && read(w->cuda->wake_fd, &count, sizeof(count)) < 0)
		return; /* somebody was faster */
}

void cuda_disturbed(struct worker *w)
{
	if (!w->cuda)
		return;
	session_forget_context(w->cuda);
	if (w->cuda->open)
		contexts_settle(w->cuda);
}

bool cuda_has_held(const struct worker *w)
{
	return w->cuda && w->cuda->flow.head;
}

bool cuda_is_full(const struct worker *w)
{
	return w->cuda && flow_is_full(w->cuda);
}
