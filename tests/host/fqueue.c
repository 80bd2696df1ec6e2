/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device without a virtual machine: queues and buffers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"
#include "frontend.h"

#define SILENCE_MS 60000

static struct fqueue *make(struct frontend *f, uint32_t queue)
{
	struct fqueue *q = g_new0(struct fqueue, 1);

	q->f = f;
	q->queue = queue;
	q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->page_fd = q->lifeline = -1;
	q->next_id = 1000 + queue;
	q->start.queue = queue;
	q->start.tag = 4711;
	return q;
}

struct fqueue *fqueue_prepare(struct frontend *f, uint32_t queue, uint32_t slots, uint32_t nbuffers)
{
	struct fqueue *q = make(f, queue);
	void *mem =
		frontend_alloc(f, vgpu_ring_bytes(slots, slots), VGPU_PAGE, &q->start.ring_addr);

	vgpu_ring_init(&q->ring, mem, slots, slots);
	q->start.req_slots = q->start.rsp_slots = slots;
	q->start.nbuffers = q->nbuffers = nbuffers;
	if (nbuffers)
		q->table = frontend_alloc(f, nbuffers * sizeof(*q->table), VGPU_PAGE,
					  &q->start.table_addr);
	return q;
}

static void take_fds(struct fqueue *q, const int *fds, size_t nfds)
{
	struct stat st;

	g_assert_cmpuint(nfds, ==, q->queue == VGPU_QUEUE_REGISTERS ? 3 : 2);
	q->page_fd = fds[0];
	q->lifeline = fds[1];
	q->page = mmap(NULL, VGPU_PAGE, PROT_READ, MAP_SHARED, q->page_fd, 0);
	g_assert_true(q->page != MAP_FAILED);
	/* The worker alone writes it. */
	g_assert_true(mmap(NULL, VGPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, q->page_fd, 0) ==
		      MAP_FAILED);
	g_assert_cmpuint(q->page->magic, ==, VGPU_SESSION_MAGIC);
	g_assert_cmpuint(q->page->session, ==, q->session);
	if (nfds < 3)
		return;
	g_assert_cmpint(fstat(fds[2], &st), ==, 0);
	q->host_ring_size = (size_t)st.st_size;
	g_assert_cmpuint(q->host_ring_size, >=, vgpu_ring_bytes(256, 256));
	q->host_ring = mmap(NULL, q->host_ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
	g_assert_true(q->host_ring != MAP_FAILED);
	vgpu_ring_init(&q->ring, q->host_ring, 256, 256);
	close(fds[2]);
}

int fqueue_start(struct fqueue *q)
{
	const int fds[2] = {q->kick, q->call};
	struct vgpu_msg_header h;
	struct vgpu_msg_queue_start_reply r;
	int got[8];
	size_t ngot = 8;

	frontend_send(q->f, VGPU_MSG_QUEUE_START, 0, &q->start, sizeof(q->start), fds, 2);
	g_assert_true(frontend_recv(q->f, &h, &r, sizeof(r), got, &ngot));
	g_assert_cmpuint(h.request, ==, VGPU_MSG_QUEUE_START);
	g_assert_cmpuint(h.size, ==, sizeof(r));
	g_assert_cmpuint(h.flags, ==, VGPU_SOCKET_VERSION | VGPU_MSG_REPLY);
	g_assert_cmpuint(r.queue, ==, q->queue);
	g_assert_cmpint(r.status.status, <=, 0);
	g_strlcpy(q->reason, r.status.reason, sizeof(q->reason));
	if (r.status.status < 0) {
		g_assert_cmpuint(ngot, ==, 0);
		g_assert_true(*q->reason);
		return r.status.status;
	}
	g_assert_cmpuint(r.session, !=, 0);
	q->session = r.session;
	take_fds(q, got, ngot);
	return 0;
}

struct fqueue *fqueue_new(struct frontend *f, uint32_t queue, uint32_t slots, uint32_t nbuffers)
{
	struct fqueue *q = fqueue_prepare(f, queue, slots, nbuffers);

	if (fqueue_start(q) < 0)
		g_error("queue %u does not start: %s", queue, q->reason);
	return q;
}

struct fqueue *fqueue_new_registers(struct frontend *f)
{
	struct fqueue *q = make(f, VGPU_QUEUE_REGISTERS);

	q->start.flags = VGPU_QUEUE_HOST_RING;
	q->start.req_slots = q->start.rsp_slots = 256;
	if (fqueue_start(q) < 0)
		g_error("the register session does not start: %s", q->reason);
	return q;
}

static int exchange(struct fqueue *q, uint32_t request, const int *fds, size_t nfds)
{
	const struct vgpu_msg_queue m = {.queue = q->queue, .session = q->session};
	struct vgpu_msg_queue_reply r;
	struct vgpu_msg_header h;
	size_t none = 0;

	frontend_send(q->f, request, 0, &m, sizeof(m), fds, nfds);
	g_assert_true(frontend_recv(q->f, &h, &r, sizeof(r), NULL, &none));
	g_assert_cmpuint(h.request, ==, request);
	g_assert_cmpuint(h.size, ==, sizeof(r));
	g_assert_cmpuint(r.queue.queue, ==, q->queue);
	g_assert_cmpuint(r.queue.session, ==, q->session);
	return r.status.status;
}

int fqueue_stop(struct fqueue *q)
{
	return exchange(q, VGPU_MSG_QUEUE_STOP, NULL, 0);
}

int fqueue_resume(struct fqueue *q)
{
	return exchange(q, VGPU_MSG_QUEUE_RESUME, &q->page_fd, 1);
}

void fqueue_free(struct fqueue *q)
{
	if (q->page)
		munmap(q->page, VGPU_PAGE);
	if (q->host_ring)
		munmap(q->host_ring, q->host_ring_size);
	fdio_clear(&q->kick);
	fdio_clear(&q->call);
	fdio_clear(&q->page_fd);
	fdio_clear(&q->lifeline);
	g_free(q);
}

void fqueue_end(struct fqueue *q)
{
	g_assert_cmpint(fqueue_stop(q), ==, 0);
	fqueue_free(q);
}

void fqueue_kick(struct fqueue *q)
{
	const uint64_t one = 1;

	g_assert_cmpint(write(q->kick, &one, sizeof(one)), ==, sizeof(one));
}

static void push(struct fqueue *q, const struct vgpu_piece *piece, size_t n)
{
	int err;

	WAIT_UNTIL((err = vgpu_ring_push(&q->ring, piece, n)) != -EAGAIN);
	g_assert_cmpint(err, ==, 0);
	if (vgpu_ring_must_kick(&q->ring))
		fqueue_kick(q);
}

void fqueue_submit_raw(struct fqueue *q, const struct vgpu_request *h, const void *rest,
		       size_t length)
{
	struct vgpu_request header = *h;
	const struct vgpu_piece piece[] = {{&header, sizeof(header)}, {rest, length}};

	if (!header.length)
		header.length = (uint32_t)(sizeof(header) + length);
	push(q, piece, 2);
}

uint64_t fqueue_submit(struct fqueue *q, uint16_t command, const struct vgpu_desc *desc,
		       uint16_t ndesc, const void *body, size_t length)
{
	const struct vgpu_request h = {
		.length = (uint32_t)(sizeof(h) + ndesc * sizeof(*desc) + length),
		.command = command,
		.id = q->next_id++,
		.ndesc = ndesc};
	const struct vgpu_piece piece[] = {
		{&h, sizeof(h)}, {desc, ndesc * sizeof(*desc)}, {body, length}};

	push(q, piece, 3);
	return h.id;
}

static void wait_for_call(struct fqueue *q)
{
	struct pollfd p = {.fd = q->call, .events = POLLIN};
	uint64_t count;

	if (vgpu_ring_has_response(&q->ring))
		return;
	if (poll(&p, 1, SILENCE_MS) != 1)
		g_error("no interrupt comes (error word %d)", (int)q->ring.hdr->error);
	g_assert_cmpint(read(q->call, &count, sizeof(count)), ==, sizeof(count));
}

int fqueue_receive(struct fqueue *q, void *record)
{
	int ret;

	while ((ret = vgpu_ring_pop(&q->ring, record)) == -EAGAIN) {
		if (q->busy_wait)
			WAIT_UNTIL(vgpu_ring_has_response(&q->ring));
		else
			wait_for_call(q);
	}
	g_assert_cmpint(ret, >, 0);
	if (vgpu_ring_must_kick_full(&q->ring))
		fqueue_kick(q);
	return ret;
}

int fqueue_call(struct fqueue *q, uint16_t command, const struct vgpu_desc *desc, uint16_t ndesc,
		const void *body, size_t length, void *out, size_t size)
{
	union {
		uint8_t bytes[VGPU_RECORD_MAX];
		struct vgpu_response header;
	} r;
	uint64_t id = fqueue_submit(q, command, desc, ndesc, body, length);
	int got = fqueue_receive(q, &r);

	g_assert_cmpuint(r.header.id, ==, id);
	g_assert_cmpuint(r.header.command, ==, command);
	g_assert_cmpuint(r.header.reserved0 | r.header.reserved1 | r.header.reserved2, ==, 0);
	if ((int32_t)r.header.status < 0)
		g_assert_cmpint(got, ==, sizeof(r.header));
	else if (size)
		g_assert_cmpint(got, ==, (int)(sizeof(r.header) + size));
	if (size)
		memcpy(out, r.bytes + sizeof(r.header), MIN(size, (size_t)got - sizeof(r.header)));
	return (int32_t)r.header.status;
}

int fqueue_expect_lost(struct fqueue *q)
{
	struct vgpu_msg_queue_reply r;
	struct vgpu_msg_header h;
	size_t none = 0;

	g_assert_true(frontend_recv(q->f, &h, &r, sizeof(r), NULL, &none));
	g_assert_cmpuint(h.request, ==, VGPU_MSG_QUEUE_LOST);
	g_assert_cmpuint(h.flags, ==, VGPU_SOCKET_VERSION);
	g_assert_cmpuint(r.queue.queue, ==, q->queue);
	g_assert_cmpuint(r.queue.session, ==, q->session);
	g_assert_cmpint(r.status.status, <, 0);
	g_strlcpy(q->reason, r.status.reason, sizeof(q->reason));
	g_assert_true(*q->reason);
	return r.status.status;
}

void fqueue_expect_hup(struct fqueue *q)
{
	struct pollfd p = {.fd = q->lifeline, .events = 0};

	g_assert_cmpint(poll(&p, 1, SILENCE_MS), ==, 1);
	g_assert_true(p.revents & POLLHUP);
}

void buffer_set(struct fqueue *q, uint32_t index, uint32_t flags, const struct fseg *seg,
		uint32_t n)
{
	static uint32_t generation = 1;
	struct vgpu_buffer_entry *e = &q->table[index];
	struct vgpu_segment_page *page = NULL;
	uint64_t length = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = i % VGPU_SEGMENTS_PER_PAGE;

		if (!k) {
			uint64_t gpa;
			void *next = frontend_alloc(q->f, VGPU_PAGE, VGPU_PAGE, &gpa);

			if (page)
				page->next = gpa;
			else
				e->list = gpa;
			page = next;
		}
		page->seg[k] = (struct vgpu_segment){seg[i].gpa, seg[i].length};
		page->count = k + 1;
		length += seg[i].length;
	}
	e->flags = flags;
	e->length = length;
	e->nsegments = n;
	__atomic_store_n(&e->generation, ++generation, __ATOMIC_RELEASE);
}

void buffer_set_flat(struct fqueue *q, uint32_t index, uint32_t flags, const void *at,
		     uint64_t length)
{
	const struct fseg seg = {frontend_gpa(q->f, at), length};

	buffer_set(q, index, flags, &seg, 1);
}

void buffer_unset(struct fqueue *q, uint32_t index)
{
	struct vgpu_buffer_entry *e = &q->table[index];

	__atomic_store_n(&e->generation, 0, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	WAIT_UNTIL(!__atomic_load_n(&e->users, __ATOMIC_ACQUIRE));
}
