/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device without a virtual machine: what the tests speak to the daemon with.
 *
 * "Guest RAM" is a memfd with a toy allocator.  Functions that cannot fail in
 * a right world abort the test if they do; those that return an int return 0
 * or the negative errno that the other side gave.
 */
#ifndef TESTS_HOST_FRONTEND_H
#define TESTS_HOST_FRONTEND_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vgpu_ring.h"
#include "vgpu_socket.h"

/* ------------------------------------------------------------- the daemon */
struct daemon_proc {
	char *dir; /* temporary; holds socket, runtime directory, log, config */
	char *socket;
	char *log;
	char *config;
	char *tenants; /* the folder of their files; made by who needs it */
	bool closed;   /* not --open */
	pid_t pid;
};

/* Starts a daemon with the cpu backend; `config` is the text of its file, or NULL. */
struct daemon_proc *daemon_start(const char *config);

/* The same, but it lets in only who is a tenant; `tenant` is the text of "vm1.conf", or NULL. */
struct daemon_proc *daemon_start_closed(const char *config, const char *tenant);

/* Writes the file NAME.conf of a tenant, or removes it if `text` is NULL. */
void daemon_tenant(const struct daemon_proc *p, const char *name, const char *text);

/* Starts another in the same directory, after the first one is gone. */
void daemon_again(struct daemon_proc *p);

/* Sends a signal. */
void daemon_signal(struct daemon_proc *p, int signum);

/* Waits for it to end; its wait status. */
int daemon_wait(struct daemon_proc *p);

/* Kills it by SIGKILL and reaps it; its workers live. */
void daemon_crash(struct daemon_proc *p);

/* SIGTERM, checks that it ends well and leaves neither process nor socket; frees. */
void daemon_stop(struct daemon_proc *p);

/* Removes a directory and all in it. */
void remove_tree(const char *dir);

/* Waits until the log holds the text; aborts the test after some seconds. */
void daemon_expect_log(const struct daemon_proc *p, const char *text);

/* Does the log hold it now? */
bool daemon_log_has(const struct daemon_proc *p, const char *text);

/* Pids of the processes that the daemon (or one before it) started and that live. */
GArray *daemon_workers(const struct daemon_proc *p);
unsigned int daemon_worker_count(const struct daemon_proc *p);
void daemon_expect_workers(const struct daemon_proc *p, unsigned int n);
unsigned int process_fds(pid_t pid);

/* What surely comes comes within this: a busy machine can be ten times as slow as a quiet one. */
#define PATIENCE (120 * G_USEC_PER_SEC)

/* Waits for a condition; aborts the test if it never comes. */
#define WAIT_UNTIL(condition)                                                                     \
	do {                                                                                      \
		gint64 wait_end_ = g_get_monotonic_time() + PATIENCE;                             \
		while (!(condition)) {                                                            \
			if (g_get_monotonic_time() > wait_end_)                                   \
				g_error("%s:%d: never came: %s", __FILE__, __LINE__, #condition); \
			g_usleep(2000);                                                           \
		}                                                                                 \
	} while (0)

/* ------------------------------------------------------------- the device */
struct frontend {
	int sock;
	char *path; /* of the socket that it came to */
	char *name;
	uint8_t uuid[16];
	/* Guest RAM. */
	int ram_fd;
	uint8_t *ram;
	uint64_t ram_size;
	uint64_t ram_gpa;
	uint64_t ram_used;
	struct vgpu_msg_hello_reply hello;
};

/* Guest RAM begins here. */
#define FRONTEND_GPA 0x100000000ull

/* Connects only. */
struct frontend *frontend_connect(const struct daemon_proc *p, const char *name);

/* Connects, says HELLO, makes RAM of `ram` bytes and tells the daemon. */
struct frontend *frontend_new(const struct daemon_proc *p, const char *name, uint64_t ram);

/* The same at the tenant's own socket, TENANT.sock in the daemon's folder. */
struct frontend *frontend_new_own(const struct daemon_proc *p, const char *tenant, uint64_t ram);

/* Closes the socket and everything else. */
void frontend_free(struct frontend *f);

/* A new connection there for the same device; says HELLO and gives the memory table. */
void frontend_reconnect(struct frontend *f);

/* A place of this name for one that waits to be called: a listening socket. */
int frontend_wait_place(const struct daemon_proc *p, const char *name);

/* The connection that the daemon makes there, for the same device; says nothing yet. */
void frontend_be_called(struct frontend *f, int listener);

/* As frontend_reconnect(), but by being called. */
void frontend_return_called(struct frontend *f, int listener);

void frontend_make_ram(struct frontend *f, uint64_t size);

/* Memory of the guest, zeroed; `align` a power of two.  NULL `gpa` is allowed. */
void *frontend_alloc(struct frontend *f, uint64_t size, uint64_t align, uint64_t *gpa);
uint64_t frontend_gpa(const struct frontend *f, const void *at);

/* Raw messages. */
void frontend_send_raw(struct frontend *f, const void *data, size_t len, const int *fds,
		       size_t nfds);
void frontend_send(struct frontend *f, uint32_t request, uint32_t flags, const void *payload,
		   uint32_t size, const int *fds, size_t nfds);

/* The next message; false at the end of the stream.  Aborts after some seconds of silence. */
bool frontend_recv(struct frontend *f, struct vgpu_msg_header *h, void *payload, size_t size,
		   int *fds, size_t *nfds);

/* The daemon has closed the connection (after at most one reply). */
void frontend_expect_closed(struct frontend *f);

int frontend_hello(struct frontend *f, struct vgpu_msg_hello *h);
void frontend_fill_hello(const struct frontend *f, struct vgpu_msg_hello *h);
/* By domain: no fds. */
int frontend_mem_table(struct frontend *f, const struct vgpu_mem_region *r, const int *fds,
		       uint32_t n);
int frontend_mem_add(struct frontend *f, const struct vgpu_mem_region *r, int fd);
int frontend_mem_remove(struct frontend *f, const struct vgpu_mem_region *r);
int frontend_reset(struct frontend *f);

/* -------------------------------------------------------------- the queue */
struct fqueue {
	struct frontend *f;
	uint32_t queue;
	uint64_t session;
	struct vgpu_ring ring;
	void *host_ring; /* mapped, if it is not in RAM */
	size_t host_ring_size;
	int kick, call;
	int page_fd, lifeline;
	struct vgpu_session_page *page;
	struct vgpu_buffer_entry *table;
	uint32_t nbuffers;
	uint64_t next_id;
	bool busy_wait;                    /* polls instead of waiting for the interrupt */
	struct vgpu_msg_queue_start start; /* as sent */
	char reason[VGPU_REASON_MAX];
};

/* Sets a queue up in RAM without telling anyone. */
struct fqueue *fqueue_prepare(struct frontend *f, uint32_t queue, uint32_t slots,
			      uint32_t nbuffers);

/* Sends QUEUE_START and waits for the answer. */
int fqueue_start(struct fqueue *q);

/* Both, and the start must succeed. */
struct fqueue *fqueue_new(struct frontend *f, uint32_t queue, uint32_t slots, uint32_t nbuffers);

/* The register session's queue. */
struct fqueue *fqueue_new_registers(struct frontend *f);

int fqueue_stop(struct fqueue *q);
int fqueue_resume(struct fqueue *q);

/* Frees our side without telling the daemon. */
void fqueue_free(struct fqueue *q);

/* Stops and frees. */
void fqueue_end(struct fqueue *q);

void fqueue_kick(struct fqueue *q);

/* Puts a request into the ring and rings the doorbell if that is needed; its id. */
uint64_t fqueue_submit(struct fqueue *q, uint16_t command, const struct vgpu_desc *desc,
		       uint16_t ndesc, const void *body, size_t length);

/* The same with a header of the caller's making (length is filled in if 0). */
void fqueue_submit_raw(struct fqueue *q, const struct vgpu_request *h, const void *rest,
		       size_t length);

/* The next response, at most some seconds later; its whole length. */
int fqueue_receive(struct fqueue *q, void *record);

/* One request, its response; checks id and command.  The status; body to `out`. */
int fqueue_call(struct fqueue *q, uint16_t command, const struct vgpu_desc *desc, uint16_t ndesc,
		const void *body, size_t length, void *out, size_t size);

/* Waits for a byte of QUEUE_LOST for this queue; its status. */
int fqueue_expect_lost(struct fqueue *q);

/* The worker is gone, by its lifeline. */
void fqueue_expect_hup(struct fqueue *q);

/* ------------------------------------------------------------ the buffers */
struct fseg {
	uint64_t gpa;
	uint64_t length;
};

/* Makes an entry of the table of these segments. */
void buffer_set(struct fqueue *q, uint32_t index, uint32_t flags, const struct fseg *seg,
		uint32_t n);

/* A contiguous one. */
void buffer_set_flat(struct fqueue *q, uint32_t index, uint32_t flags, const void *at,
		     uint64_t length);

/* As the guest's kernel does: marks it free and waits for the host to leave it. */
void buffer_unset(struct fqueue *q, uint32_t index);

#endif /* TESTS_HOST_FRONTEND_H */
