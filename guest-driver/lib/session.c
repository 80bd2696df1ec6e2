// SPDX-License-Identifier: GPL-2.0-or-later
/* libvgpu: sessions, requests and responses, whichever way they travel. */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vgpu_stub.h"

#define ROOM_MS 100     /* how often a submit looks for room by itself */
#define SUBMIT_MS 30000 /* how long vgpu_submit() waits for room */

/* ------------------------------------------------------------ open and close */

static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static char reason[VGPU_REASON_TEXT_MAX];

const char *vgpu_open_reason(void)
{
	return reason;
}

void open_reason(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size && text[i] && n < sizeof(reason) - 1; i++) {
		if (text[i] >= ' ' && text[i] <= '~')
			reason[n++] = text[i];
	}
	reason[n] = '\0';
}

static int start(struct vgpu_session *s, const char *where)
{
	const char *path;

	if (!where)
		where = secure_getenv("VGPU_TRANSPORT");
	if (!where || !*where || strcmp(where, "device") == 0)
		return device_open(s, VGPU_DEVICE_PATH);
	path = after(where, "unix:");
	if (path)
		return unix_open(s, path);
	path = after(where, "device:");
	return device_open(s, path ? path : where);
}

struct vgpu_session *vgpu_session_open(const char *where)
{
	struct vgpu_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->next_id = 1;
	s->kicked = 1ull << 63; /* never */
	s->fd = -1;
	open_reason("", 0);
	if (start(s, where) < 0) {
		int error = errno;

		vgpu_session_close(s);
		errno = error;
		return NULL;
	}
	vgpu_session_set_wait(s, VGPU_WAIT_ADAPTIVE);
	return s;
}

void vgpu_session_close(struct vgpu_session *s)
{
	if (!s)
		return;
	s->transport->close(s);
	free(s);
}

void vgpu_session_forget(struct vgpu_session *s)
{
	s->transport->forget(s);
}

void vgpu_session_set_wait(struct vgpu_session *s, enum vgpu_wait_mode mode)
{
	s->wait = mode;
	if (s->mapped)
		vgpu_ring_set_polling(&s->ring, mode != VGPU_WAIT_INTERRUPT);
}

/* ------------------------------------------------------------------- buffers */

int vgpu_buffer_register(struct vgpu_session *s, void *addr, size_t length, uint32_t flags,
			 uint32_t *handle)
{
	if (!s->transport->buffer_add)
		return fail(EOPNOTSUPP);
	return s->transport->buffer_add(s, addr, length, flags, handle);
}

int vgpu_buffer_unregister(struct vgpu_session *s, uint32_t handle)
{
	if (!s->transport->buffer_del)
		return fail(EOPNOTSUPP);
	return s->transport->buffer_del(s, handle);
}

/* ------------------------------------------------------------------ requests */

struct vgpu_ring *vgpu_session_ring(struct vgpu_session *s)
{
	return s->mapped ? &s->ring : NULL;
}

/*
 * Needs the host no doorbell?  It has taken everything; or it was rung when it
 * had not, and has taken nothing since: then it is on its way, and looks at the
 * ring again after each request that it takes.  The distance makes sure that
 * the index has not been all the way around meanwhile.
 */
static bool is_coming(struct vgpu_session *s)
{
	const struct vgpu_queue_header *hdr = s->ring.hdr;
	uint32_t prod = __atomic_load_n(&hdr->req_prod, __ATOMIC_RELAXED);
	uint32_t cons = __atomic_load_n(&hdr->req_cons, __ATOMIC_RELAXED);
	uint64_t kicked = __atomic_load_n(&s->kicked, __ATOMIC_RELAXED);

	if ((int32_t)(prod - cons) <= 0)
		return true;
	if ((uint32_t)(kicked >> 32) == cons && prod - (uint32_t)kicked <= s->ring.req_slots)
		return true;
	__atomic_store_n(&s->kicked, (uint64_t)cons << 32 | prod, __ATOMIC_RELAXED);
	return false;
}

void vgpu_session_kick(struct vgpu_session *s)
{
	if (!s->polling || (vgpu_ring_must_kick(&s->ring) && !is_coming(s)))
		s->transport->kick(s);
}

/*
 * Whether the host polls is asked after a barrier.  An emulator (QEMU's TCG with
 * one processor) leaves barriers out, so that the answer may be an old one.
 */
void vgpu_session_kick_again(struct vgpu_session *s)
{
	const struct vgpu_queue_header *hdr = s->ring.hdr;
	int error = errno;

	if (__atomic_load_n(&hdr->req_prod, __ATOMIC_RELAXED) !=
	    __atomic_load_n(&hdr->req_cons, __ATOMIC_RELAXED))
		s->transport->kick(s);
	errno = error;
}

void vgpu_session_kick_full(struct vgpu_session *s)
{
	if (vgpu_ring_must_kick_full(&s->ring))
		s->transport->kick(s);
}

int vgpu_session_sleep(struct vgpu_session *s, uint32_t seen, int timeout_ms)
{
	return s->transport->sleep(s, seen, timeout_ms);
}

int vgpu_session_watch(struct vgpu_session *s, uint32_t seen, int timeout_ms)
{
	return s->transport->watch(s, seen, timeout_ms);
}

int vgpu_session_tend(struct vgpu_session *s)
{
	return s->transport->tend(s);
}

int vgpu_session_tend_fd(struct vgpu_session *s, bool *needed)
{
	*needed = s->transport == &unix_transport;
	return *needed ? __atomic_load_n(&s->fd, __ATOMIC_ACQUIRE) : -1;
}

/* Waits for any sign of the host, as it takes requests without one. */
static int wait_room(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	int64_t look = deadline_of(ROOM_MS);

	if (wait_moved(s, seen, look < deadline ? look : deadline) == 0)
		return 0;
	return errno == ETIMEDOUT && now_ns() < deadline ? 0 : -1;
}

static int submit_mapped(struct vgpu_session *s, const struct vgpu_piece *piece, size_t n,
			 int64_t deadline)
{
	for (;;) {
		uint32_t seen = rsp_prod(s);
		int ret = vgpu_ring_push(&s->ring, piece, n);

		if (ret == 0)
			break;
		if (ret != -EAGAIN)
			return fail(-ret);
		/* the host takes no requests while we leave no room for its responses */
		if (vgpu_ring_must_kick_full(&s->ring))
			return fail(EAGAIN);
		if (wait_room(s, seen, deadline) < 0)
			return -1;
	}
	vgpu_session_kick(s);
	return 0;
}

static int submit(struct vgpu_session *s, struct vgpu_request *req, const struct vgpu_desc *desc,
		  const void *body, size_t length, int64_t deadline)
{
	struct vgpu_piece piece[3] = {{req, sizeof(*req)}};
	size_t n = 1;
	int ret;

	if (req->ndesc > VGPU_DESCS_MAX)
		return fail(EINVAL);
	if (length > VGPU_RECORD_MAX)
		return fail(EMSGSIZE);
	if (req->ndesc)
		piece[n++] = (struct vgpu_piece){desc, req->ndesc * sizeof(*desc)};
	if (length)
		piece[n++] = (struct vgpu_piece){body, length};
	req->length = (uint32_t)(sizeof(*req) + req->ndesc * sizeof(*desc) + length);
	req->id = s->next_id;
	ret = s->mapped ? submit_mapped(s, piece, n, deadline) : s->transport->write(s, piece, n);
	if (ret < 0)
		return -1;
	s->next_id++;
	return 0;
}

int vgpu_submit(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		unsigned int ndesc, const void *body, size_t length, uint64_t *id)
{
	struct vgpu_request req = {.command = command};

	req.ndesc = ndesc > VGPU_DESCS_MAX ? VGPU_DESCS_MAX + 1 : (uint16_t)ndesc;
	if (submit(s, &req, desc, body, length, deadline_of(SUBMIT_MS)) < 0)
		return -1;
	*id = req.id;
	return 0;
}

int vgpu_submit_quiet(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		      unsigned int ndesc, const void *body, size_t length)
{
	struct vgpu_request req = {.command = command, .flags = VGPU_REQUEST_QUIET};

	if (!s->mapped)
		return fail(EOPNOTSUPP);
	req.ndesc = ndesc > VGPU_DESCS_MAX ? VGPU_DESCS_MAX + 1 : (uint16_t)ndesc;
	return submit(s, &req, desc, body, length, deadline_of(SUBMIT_MS));
}

static int receive_mapped(struct vgpu_session *s, int64_t deadline)
{
	int ret;

	if (!vgpu_ring_has_response(&s->ring) && wait_moved(s, s->ring.rsp_cons, deadline) < 0)
		return -1;
	ret = vgpu_ring_pop(&s->ring, s->response);
	if (ret < 0)
		return fail(-ret);
	vgpu_session_kick_full(s);
	return 0;
}

int vgpu_receive(struct vgpu_session *s, int timeout_ms, const struct vgpu_response **rsp)
{
	int64_t deadline = deadline_of(timeout_ms);
	int ret = s->mapped ? receive_mapped(s, deadline) : s->transport->read(s, deadline);

	if (ret < 0)
		return -1;
	*rsp = (const struct vgpu_response *)s->response;
	return 0;
}

/* The response to `id`; older ones are of calls that timed out. */
static int receive_id(struct vgpu_session *s, uint64_t id, int64_t deadline,
		      const struct vgpu_response **rsp)
{
	do {
		if (vgpu_receive(s, remaining_ms(deadline), rsp) < 0)
			return -1;
	} while ((*rsp)->id < id);
	return (*rsp)->id == id ? 0 : fail(EPROTO);
}

int vgpu_call(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
	      unsigned int ndesc, const void *body, size_t length, void *out, size_t size,
	      int timeout_ms)
{
	struct vgpu_request req = {.command = command};
	int64_t deadline = deadline_of(timeout_ms);
	const struct vgpu_response *rsp;
	size_t got;
	int32_t status;

	req.ndesc = ndesc > VGPU_DESCS_MAX ? VGPU_DESCS_MAX + 1 : (uint16_t)ndesc;
	if (submit(s, &req, desc, body, length, deadline) < 0 ||
	    receive_id(s, req.id, deadline, &rsp) < 0)
		return -1;
	status = (int32_t)rsp->status;
	if (status < 0)
		return fail(status == INT32_MIN ? EPROTO : -status);
	got = rsp->length - sizeof(*rsp);
	if (size)
		memcpy(out, rsp + 1, got < size ? got : size);
	return (int)got;
}
