/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker: one session of one guest process.
 *
 * One thread; everything a session needs hangs below struct worker.  The
 * daemon started it and speaks to it over `control`, but the work comes from
 * the queue and never passes the daemon.
 */
#ifndef VGPU_WORKER_H
#define VGPU_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "backend.h"
#include "buffers.h"
#include "control.h"
#include "fdio.h"
#include "memory.h"
#include "patience.h"
#include "queue.h"
#include "request.h"
#include "tenant.h"
#include "turn.h"

struct worker {
	struct ctl_setup setup;
	int control; /* -1 while the daemon is away */
	int kick;
	int call;
	int lifeline;
	int epoll;             /* of these and the control socket, once the loop runs */
	const char *adopt_dir; /* where a restarted daemon is found */
	void *host_ring;       /* the ring, if it is not in guest RAM */
	struct vgpu_session_page *page;

	const struct vgpu_backend_ops *ops;
	struct vgpu_backend *be;
	GThread *thread;           /* the one that serves */
	int device;                /* of the backend */
	char device_name[128];     /* once somebody has asked */
	struct cuda_session *cuda; /* NULL: no CUDA call came yet */
	struct memory mem;
	struct frames frames; /* with --xen-domid */
	struct buffers buffers;
	struct queue queue;
	struct patience patience;
	struct worker_tenant tenant;

	struct turn turn; /* at the GPU */

	uint64_t now_ns; /* the clock as it was last read, see worker_read_clock() */
	uint64_t started_ns;
	uint64_t looked_ns; /* for news of anybody but the guest */
	uint64_t attach_ns; /* when to look for the daemon again */
	unsigned int attach_ms;
	uint64_t lines_ns; /* log lines: when this second began */
	uint32_t lines;    /* ... and how many it has had */
	uint32_t lines_dropped;
	struct {
		uint64_t told_ns;       /* when the daemon was told of one; 0: never */
		struct ctl_refused due; /* the latest, and how many there were since */
	} refused[CTL_REFUSED_KINDS];
	uint64_t throttled_ns; /* since when a request waits for its tenant's rate; 0: none does */
	uint64_t throttle_ns;  /* ... and how long it still has to */

	/* The response that is being made, or waits for room. */
	union {
		uint8_t bytes[VGPU_RECORD_MAX];
		struct vgpu_response header;
	} rsp;
	bool rsp_waits;
	bool gives_way;                       /* to others on its processor while it spins */
	uint64_t record[VGPU_RECORD_MAX / 8]; /* the request's private copy */
	int held_length; /* ... which waits for a turn at the GPU; 0: it does not */
};

/* worker.c: waits for SETUP and the memory table and answers READY; exits on failure. */
void worker_setup(struct worker *w);

/* worker.c: after the memory table changed: the ring and the table may have moved. */
void worker_remap(struct worker *w);

/* worker.c: ends the process because the queue cannot go on. */
G_NORETURN void worker_broken(struct worker *w, int status, const char *reason);

/* worker.c: ends the process; whatever else ends it is a crash. */
G_NORETURN void worker_exit(struct worker *w, int code);

/* loop.c: serves the queue; does not return. */
G_NORETURN void worker_loop(struct worker *w);

/* loop.c: what an fd is watched for; closing the fd ends the watch. */
enum watch { WATCH_KICK, WATCH_LIFELINE, WATCH_CONTROL, WATCH_CUDA };
void worker_watch(struct worker *w, int fd, uint32_t events, enum watch what);

/*
 * Reading the clock takes longer than most that is done for a request.  Who can do
 * with when the loop last did, some requests ago, takes w->now_ns.
 */
static inline uint64_t worker_read_clock(struct worker *w)
{
	w->now_ns = fdio_now_ns();
	return w->now_ns;
}

/* loop.c: brings the count of doorbells in the session page up to date. */
void worker_count_kicks(struct worker *w);

/*
 * loop.c: publishes a record that is no response to a request in progress.
 * False: no room; the guest will ring its doorbell when there is.
 */
bool worker_push(struct worker *w, const void *record, uint32_t length);

/* Payload that went to or from the device; `copied`: bytes of it that a CPU of the host moved. */
static inline void worker_count_bytes(struct worker *w, uint64_t in, uint64_t out, uint64_t copied)
{
	const bool counts = w->tenant.limits.bytes_rate;

	queue_count(&w->page->bytes_in, in);
	queue_count(&w->page->bytes_out, out);
	queue_count(&w->page->host_copied, copied);
	tenant_bytes(&w->tenant, counts ? (uint64_t)g_get_monotonic_time() * 1000 : 0, in + out,
		     copied);
}

/* commands.c: runs one request.  True: the response is made in w->rsp; false: there is none now. */
bool commands_run(struct worker *w, const void *record, uint32_t length);

/* commands.c: does it make the GPU work until it is done? */
bool commands_uses_gpu(const void *record);

/* commands.c: may it take long, so that what is done should be announced first? */
bool commands_is_long(const void *record);

/* control.c: waits for the next packet of the daemon; exits if the daemon goes. */
int control_wait(struct worker *w, void *packet, size_t size, int *fds, size_t *nfds);

/* control.c: handles what the daemon has sent.  True if the memory table changed. */
bool control_handle(struct worker *w);

/* control.c: what is due: word of refusals; a successor of a daemon that went. */
void control_tick(struct worker *w);

/* control.c: milliseconds until control_tick() has something to do, -1 for never. */
int control_timeout(const struct worker *w);

/* control.c: messages to the daemon; lost if it does not listen. */
void control_status(struct worker *w, enum ctl_type type, int status, const char *reason);
/* What of its confinement could not be had: enum ctl_confined_part. */
void control_confined(struct worker *w, uint32_t missing);
void control_text(struct worker *w, uint64_t request, const uint8_t *text, uint32_t length);
void control_warning(struct worker *w, uint64_t request, const char *text);
/* False: it does not listen at the moment, so that this is to be said again. */
bool control_turn(struct worker *w, const struct ctl_turn_news *m);
void control_command(struct worker *w, const struct request *r, int status, uint64_t ns);

/* control.c: GPU work failed in a way that ended its context.  False: nobody has heard it. */
bool control_fault(struct worker *w, int error);

/*
 * control.c: tells the daemon, not too often, that `what` was refused: a class
 * (`value`: those that are missing) or memory (bytes).
 */
void control_refused(struct worker *w, enum ctl_refused_kind kind, uint64_t request, uint64_t value,
		     const char *what);

/* control.c: takes a CTL_MEM packet into force; closes the fds.  0 or the first failure. */
int control_memory(struct worker *w, const struct ctl_mem *mem, size_t size, int *fds, size_t nfds);

#endif /* VGPU_WORKER_H */
