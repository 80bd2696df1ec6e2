/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Setting a session up, moving it when memory moves, ending it. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdio.h"
#include "sanitized.h"
#include "tenant_tell.h"
#include "vgpu_ring.h"

void worker_exit(struct worker *w, int code)
{
	tenant_ends(&w->tenant);
	/* No driver's exit handlers: they may hang, and the kernel frees everything anyway. */
	if (SANITIZED)
		exit(code);
	_exit(code);
}

void worker_broken(struct worker *w, int status, const char *reason)
{
	queue_break(&w->queue, status);
	control_status(w, CTL_BROKEN, status, reason);
	worker_exit(w, WORKER_EXIT_BROKEN);
}

static G_NORETURN void refuse(struct worker *w, int status, const char *reason)
{
	control_status(w, CTL_READY, status, reason);
	worker_exit(w, WORKER_EXIT_SETUP);
}

static bool make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_NONBLOCK || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

static bool start_is_sane(const struct vgpu_msg_queue_start *s)
{
	return s->req_slots >= VGPU_SLOTS_MIN && s->req_slots <= VGPU_SLOTS_MAX &&
	       s->rsp_slots >= VGPU_SLOTS_MIN && s->rsp_slots <= VGPU_SLOTS_MAX &&
	       !(s->req_slots & (s->req_slots - 1)) && !(s->rsp_slots & (s->rsp_slots - 1)) &&
	       s->nbuffers <= VGPU_BUFFERS_MAX;
}

/* SETUP: what the session is, and its descriptors. */
static void take_setup(struct worker *w)
{
	bool host_ring;
	int fds[CTL_SETUP_FDS];
	size_t nfds = CTL_SETUP_FDS;
	int got = control_wait(w, &w->setup, sizeof(w->setup), fds, &nfds);

	host_ring = w->setup.start.flags & VGPU_QUEUE_HOST_RING;
	if (got != sizeof(w->setup) || w->setup.type != CTL_SETUP ||
	    w->setup.version != CTL_VERSION ||
	    nfds != (host_ring ? CTL_SETUP_FDS : CTL_SETUP_FDS - 1) ||
	    !start_is_sane(&w->setup.start))
		refuse(w, -EPROTO, "the worker is of another version than the daemon");
	w->kick = fds[0];
	w->call = fds[1];
	w->lifeline = fds[3];
	/* Reading from what only looks like a doorbell could block or spin. */
	if (!fdio_is_eventfd(w->kick) || !fdio_is_eventfd(w->call) || !make_nonblocking(w->kick) ||
	    !make_nonblocking(w->call))
		refuse(w, -EINVAL, "kick and call must be eventfds");
	w->page = mmap(NULL, VGPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
	close(fds[2]);
	if (w->page == MAP_FAILED)
		refuse(w, -ENOMEM, "the session page cannot be mapped");
	if (tenant_take(&w->tenant, fds[4], fds[5], w->setup.slot))
		refuse(w, -ENOMEM, "the tenant's pages cannot be mapped");
	if (!host_ring)
		return;
	w->host_ring =
		mmap(NULL, vgpu_ring_bytes(w->setup.start.req_slots, w->setup.start.rsp_slots),
		     PROT_READ | PROT_WRITE, MAP_SHARED, fds[6], 0);
	close(fds[6]);
	if (w->host_ring == MAP_FAILED)
		refuse(w, -ENOMEM, "the ring cannot be mapped");
}

static void *find_ring(struct worker *w)
{
	const struct vgpu_msg_queue_start *s = &w->setup.start;

	if (w->host_ring)
		return w->host_ring;
	if (s->ring_addr % VGPU_PAGE)
		return NULL;
	return memory_fix(&w->mem, s->ring_addr, vgpu_ring_bytes(s->req_slots, s->rsp_slots));
}

static void *find_table(struct worker *w)
{
	const struct vgpu_msg_queue_start *s = &w->setup.start;

	if (s->table_addr % sizeof(struct vgpu_buffer_entry))
		return NULL;
	return memory_fix(&w->mem, s->table_addr,
			  (uint64_t)s->nbuffers * sizeof(struct vgpu_buffer_entry));
}

/* The first memory table, then the ring and the buffer table in it. */
static void take_memory(struct worker *w)
{
	struct ctl_mem mem;
	int fds[CTL_FDS_MAX];
	size_t nfds = CTL_FDS_MAX;
	int got = control_wait(w, &mem, sizeof(mem), fds, &nfds);
	void *ring, *table = NULL;

	if (mem.type != CTL_MEM || control_memory(w, &mem, (size_t)got, fds, nfds) < 0)
		refuse(w, -EFAULT, "guest RAM cannot be mapped");
	ring = find_ring(w);
	if (!ring)
		refuse(w, -EFAULT, "the ring does not lie in one region of guest RAM");
	if (w->setup.start.nbuffers) {
		table = find_table(w);
		if (!table)
			refuse(w, -EFAULT,
			       "the buffer table does not lie in one region of guest RAM");
	}
	queue_init(&w->queue, ring, &w->setup.start, w->call, w->page);
	if (buffers_init(&w->buffers, &w->mem, table, w->setup.start.nbuffers) < 0)
		refuse(w, -ENOMEM, "no memory for the buffer cache");
}

static int map_hook(void *opaque, void *base, size_t length)
{
	struct worker *w = opaque;

	return w->ops->map ? w->ops->map(w->be, base, length) : 0;
}

static void unmap_hook(void *opaque, void *base, size_t length)
{
	struct worker *w = opaque;

	if (w->ops->unmap)
		w->ops->unmap(w->be, base, length);
}

void worker_setup(struct worker *w)
{
	take_setup(w);
	w->started_ns = fdio_now_ns();
	tenant_pays(w);
	w->mem.hooks = (struct mem_hooks){map_hook, unmap_hook, w};
	take_memory(w);
	w->page->version = 1;
	w->page->session = w->setup.session;
	w->page->magic = VGPU_SESSION_MAGIC;
	control_status(w, CTL_READY, 0, "");
}

void worker_remap(struct worker *w)
{
	void *ring = find_ring(w);
	void *table = w->setup.start.nbuffers ? find_table(w) : NULL;

	if (!ring || (w->setup.start.nbuffers && !table)) {
		/* The old mapping may be gone: only the daemon can be told. */
		control_status(w, CTL_BROKEN, -EFAULT, "the queue's memory was taken away");
		worker_exit(w, WORKER_EXIT_BROKEN);
	}
	queue_move(&w->queue, ring);
	w->buffers.table = table;
}
