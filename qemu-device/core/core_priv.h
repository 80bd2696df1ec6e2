/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the device core share with each other and with nobody else.
 */
#ifndef VGPU_CORE_PRIV_H
#define VGPU_CORE_PRIV_H

#include "vgpu_core.h"
#include "vgpu_ring.h"

/* Milliseconds. */
#define BACKOFF_FIRST 100
#define BACKOFF_MAX 5000
#define REFUSED_RETRY 5000
#define REPLY_TIMEOUT 10000 /* a daemon that lets us wait so long is given up */
#define UNKNOWN_WORKER 2000 /* a worker whose lifeline we never got is gone by then */
#define NO_DEADLINE INT64_MAX
#define LOG_BURST 20      /* lines at once that a guest can cause */
#define LOG_INTERVAL 1000 /* for one more */

#define REG_SLOTS VGPU_SLOTS_MIN /* of each ring of the register session */

struct queue {
	uint32_t id; /* its number in messages */
	uint32_t state;
	int32_t error;
	char reason[VGPU_REASON_MAX]; /* the daemon's words, where it is FAILED */

	/* As set by the guest. */
	uint64_t addr;
	uint64_t table;
	uint32_t req_slots;
	uint32_t rsp_slots;
	uint32_t buffers;
	uint32_t vector;
	uint32_t tag;

	/* The session. */
	uint64_t session;
	int lifeline;     /* -1: none */
	int page;         /* the session page; -1: none */
	uint16_t pending; /* VGPU_MSG_QUEUE_* whose reply we wait for, 0: none */
	bool gone;        /* no worker can touch the memory any more */
	bool known;       /* the daemon still keeps the session */
	bool up;          /* the shell has fds for it */
	bool ending;      /* we ended the lifeline, or would have, had we got it */
	int64_t gone_at;  /* when a worker without lifeline counts as gone */
};

enum link_state {
	LINK_DOWN,       /* waiting for retry_at */
	LINK_CONNECTING, /* the shell is at it */
	LINK_HELLO,      /* HELLO sent */
	LINK_RESUMING,   /* agreed; memory and sessions are being told again */
	LINK_UP,
};

struct link {
	enum link_state state;
	bool started;
	bool broken;                        /* to be dropped at the end of this input */
	bool broken_refuse;                 /* ... and the device counts as refused */
	char why[256];                      /* of the drop */
	char logged[256];                   /* last reason that was logged */
	char refusal[VGPU_REASON_TEXT_MAX]; /* the guest may read it; NUL bytes to its end */
	int64_t retry_at;
	int64_t backoff;
	int64_t reply_due;
	uint32_t pending; /* replies outstanding */
	uint32_t pending_mem;
	uint32_t pending_reset;
	uint64_t offered;  /* protocol features */
	uint64_t features; /* agreed with the daemon */
	bool by_domain;    /* it maps memory by domain, as far as we know */
	uint32_t max_queues;
};

struct rx {
	uint8_t buf[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX];
	size_t got;
	int fds[VGPU_MSG_FDS_MAX];
	size_t nfds;
};

/* The command in the registers. */
struct regcmd {
	uint32_t command;
	uint32_t length;
	uint32_t offset;
	bool sent;      /* it lies in the ring */
	bool restarted; /* a new session was already tried for it */
	uint64_t id;
	struct vgpu_ring ring;
	void *ring_mem;
};

struct memory {
	struct vgpu_core_region region[VGPU_MEM_REGIONS_MAX];
	size_t n;
};

/* How much a guest can still make us say. */
struct log_budget {
	int64_t at; /* up to when `left` counts */
	uint32_t left;
	uint32_t dropped; /* since the last line */
};

struct vgpu_core {
	const struct vgpu_core_ops *ops;
	void *opaque;
	int64_t now;
	uint8_t uuid[16];
	char name[VGPU_NAME_MAX];

	/* Registers. */
	uint32_t status; /* BUSY, DONE, ERROR, REFUSED; the others are computed */
	uint32_t command;
	uint32_t data_offset;
	uint32_t data_length;
	int32_t result;
	uint32_t result_length;
	uint32_t int_status;
	uint32_t int_mask;
	uint64_t driver_features;
	bool features_ok;
	bool resetting;
	uint32_t select;
	uint32_t reason_select;
	uint32_t count_doorbells;
	uint32_t count_interrupts;
	uint8_t data[VGPU_DATA_SIZE];

	struct link link;
	struct rx rx;
	struct regcmd reg;
	struct memory mem;
	struct log_budget log;

	uint32_t nqueues;
	uint32_t nvectors;
	struct queue *queue; /* nqueues, then the register session's */
};

/* core.c */
void core_log(struct vgpu_core *c, enum vgpu_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Asked before each line that a guest can cause as often as it likes. */
bool core_may_log(struct vgpu_core *c);
void core_interrupt(struct vgpu_core *c, uint32_t bits);
void core_settle(struct vgpu_core *c);
void core_reset(struct vgpu_core *c);
uint64_t core_features(const struct vgpu_core *c);

/* Each queue, the register session's last. */
#define FOR_EACH_QUEUE(c, q) for (struct queue *q = (c)->queue; q <= (c)->queue + (c)->nqueues; q++)

static inline struct queue *core_reg_queue(struct vgpu_core *c)
{
	return &c->queue[c->nqueues];
}

/* queue.c */
struct queue *queue_by_id(struct vgpu_core *c, uint32_t id);
void queue_init(struct queue *q, uint32_t id);
void queue_clear_setup(struct queue *q);
void queue_start(struct vgpu_core *c, struct queue *q);
void queue_stop(struct vgpu_core *c, struct queue *q);
void queue_drop(struct vgpu_core *c, struct queue *q);
void queue_resume(struct vgpu_core *c, struct queue *q);
void queue_link_lost(struct vgpu_core *c, struct queue *q);
void queue_reset(struct vgpu_core *c, struct queue *q);
void queue_settle(struct vgpu_core *c, struct queue *q);
void queues_were_reset(struct vgpu_core *c);
bool queue_may_have_worker(const struct queue *q);
/* Replies; false: the message makes no sense here.  start takes the fds it uses (set to -1). */
bool queue_started(struct vgpu_core *c, const struct vgpu_msg_queue_start_reply *r, int *fds,
		   size_t nfds);
bool queue_stopped(struct vgpu_core *c, const struct vgpu_msg_queue_reply *r);
bool queue_resumed(struct vgpu_core *c, const struct vgpu_msg_queue_reply *r);
bool queue_lost(struct vgpu_core *c, const struct vgpu_msg_queue_reply *r);

/* link.c */
void link_init(struct link *l);
void link_try(struct vgpu_core *c);
void link_break(struct vgpu_core *c, bool refuse, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void link_settle(struct vgpu_core *c);
void link_send(struct vgpu_core *c, uint32_t request, bool reply, const void *payload, size_t size,
	       const int *fds, size_t nfds);
void link_answered(struct vgpu_core *c);
bool link_hello_reply(struct vgpu_core *c, const void *payload, size_t size);
bool link_agreed(const struct vgpu_core *c);

/* 0, or why nothing can be started now. */
int link_error(const struct vgpu_core *c);
const char *link_text(const char *src, size_t size, char *buf, size_t len);

/* memory.c */
bool memory_is_shared(const struct vgpu_core *c);
void memory_judge(struct vgpu_core *c, bool by_domain);
void memory_send_all(struct vgpu_core *c);

/* msg.c */
void msg_reset(struct vgpu_core *c);

/* regcmd.c */
void regcmd_run(struct vgpu_core *c);
void regcmd_finish(struct vgpu_core *c, int32_t result, const void *body, size_t length);
void regcmd_settle(struct vgpu_core *c);
void regcmd_call(struct vgpu_core *c);
bool regcmd_attach(struct vgpu_core *c, int fd);
void regcmd_detach(struct vgpu_core *c);

#endif /* VGPU_CORE_PRIV_H */
