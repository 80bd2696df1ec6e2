/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvgpu without a VM: this process is the device itself, as gpu_mediator
 * sees it, and the memory that it shows is its guest's RAM.
 */
#ifndef VGPU_UNIX_H
#define VGPU_UNIX_H

#include <pthread.h>
#include <sys/un.h>

#include "session.h"
#include "vgpu_socket.h"

#define UNIX_REQ_SLOTS 2048u
#define UNIX_RSP_SLOTS 512u
#define UNIX_BUFFERS VGPU_BUFFERS_MAX

struct place {
	struct place *next;
	uint64_t offset;
	uint64_t length;
};

/* One sparse memfd, of which the first part holds the queue and the buffers' lists. */
struct unix_memory {
	int fd;
	uint64_t size;
	uint8_t *control;     /* the first part, mapped */
	uint32_t generation;  /* of the last buffer */
	uint32_t next_entry;  /* where to look for a free one first */
	struct place *places; /* areas, by offset */
};

struct unix_link {
	struct unix_memory memory;
	struct sockaddr_un addr;
	uint8_t uuid[16];
	char name[VGPU_NAME_MAX];
	uint64_t session;
	int kick;
	int call;
	int page; /* the session page, kept for a restarted daemon */
	int lifeline;
	int watch;        /* epoll of call and lifeline, for vgpu_session_watch() */
	int lost;         /* errno with which the session ended, 0: it lives */
	bool tending;     /* some thread sees to the daemon */
	int64_t retry_at; /* when to look for a daemon that went away */
	unsigned int retry_ms;
};

static inline struct unix_link *unix_of(struct vgpu_session *s)
{
	return s->own;
}

/* unix_memory.c */
int unix_memory_make(struct unix_memory *m);
void unix_memory_free(struct unix_memory *m);
/* Tells where queue and table are, and which regions of the memfd the host shall map. */
void unix_memory_describe(const struct unix_memory *m, struct vgpu_msg_queue_start *start,
			  struct vgpu_msg_mem_table *table);
int unix_area_create(struct vgpu_session *s, struct vgpu_area *a);
int unix_area_destroy(struct vgpu_session *s, const struct vgpu_area *a);

/*
 * unix_msg.c: sends a message and waits for its answer, which begins with a
 * status; a negative one becomes errno.  Descriptors that come are counted in
 * *nfds (in: room).  QUEUE_LOST in between is noted in the link.
 */
struct message {
	uint32_t request;
	const void *payload;
	size_t size;
	const int *fds;
	size_t nfds;
};
int unix_exchange(struct unix_link *l, int fd, const struct message *m, void *reply, size_t size,
		  int *fds, size_t *nfds, int64_t deadline);

/* unix_msg.c: what has come unasked.  0: nothing more now; -1: the connection is over. */
int unix_news(struct unix_link *l, int fd);

/* unix_link.c: a connection, with HELLO and the memory told; -1 with errno. */
int unix_connect(struct unix_link *l, int64_t deadline);
int unix_start_queue(struct unix_link *l, int fd, int64_t deadline);
int unix_resume_queue(struct unix_link *l, int fd, int64_t deadline);
void unix_stop_queue(struct unix_link *l, int fd, int64_t deadline);

#endif /* VGPU_UNIX_H */
