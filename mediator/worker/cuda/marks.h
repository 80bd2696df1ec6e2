/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much work is on its way to the GPU, and how long it takes there.
 *
 * Calls that enqueue are counted, by stream.  Now and then an event of ours is
 * recorded in each stream that had some: a mark.  From when marks have passed
 * follows how long calls take, and so how often marks are worth their while:
 * behind each call if calls are long, every quarter of a millisecond if they are
 * short.
 *
 * While functions of the guest's program are outstanding, calls may wait for
 * these instead of being at work.  Then, if the tenant has a limit to how long
 * a piece of work may take, each call has a second event, before it: only what
 * is between the two is work.
 */
#ifndef VGPU_WORKER_CUDA_MARKS_H
#define VGPU_WORKER_CUDA_MARKS_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_session;
struct own_event;

/* What flow.h lets through behind a function, and some. */
#define MARKS_MAX 544u
#define LANES_MAX 64u

struct mark {
	struct own_event *own;
	struct own_event *begin; /* before the call; NULL: there is none, or it has passed */
	uint64_t context;        /* handle */
	CUstream stream;
	uint64_t calls;  /* since the mark before */
	uint64_t began;  /* ns; they have not begun before */
	uint64_t stuck;  /* of them */
	uint64_t undone; /* when it was last seen not to have passed; 0: it was not looked at */
	bool excused;    /* it may wait for a function of the guest's, and nothing tells */
};

/* Calls in one stream that have no mark behind them yet. */
struct lane {
	uint64_t context; /* handle */
	CUstream stream;
	uint64_t calls;
	uint64_t since; /* the first of them */
	uint64_t stuck;
	bool excused;
};

struct marks {
	struct mark mark[MARKS_MAX]; /* in the order of their making */
	uint32_t n;
	struct lane lane[LANES_MAX];
	uint32_t lanes;
	bool legacy; /* one may be of a default stream: the last call was for it */
	/* The call in progress. */
	uint64_t context; /* handle */
	CUstream stream;
	uint64_t calls; /* it counts for so many; 0: it enqueues nothing */
	struct own_event *begin;
	uint64_t unmarked;    /* calls of all lanes */
	uint64_t seen;        /* ... when that was last looked at */
	uint64_t outstanding; /* calls in all */
	uint64_t stuck;       /* ... of which nobody waits for these: marks_give_up() */
	uint64_t passed_ns;   /* when one was last done, or the first one made */
	uint64_t marked_ns;   /* when the last mark was made */
	uint64_t least_ns;    /* a call takes no less, lately */
	uint64_t likely_ns;   /* ... and most likely so much */
};

void marks_init(struct marks *m);

/* ------------------------------------------------------------ making: marks.c */

/*
 * The call in progress enqueues into `stream`, and counts for `calls`; nothing of it
 * is noted yet.  False: it cannot be told apart from others now, and must wait.
 */
bool marks_note(struct cuda_session *s, CUstream stream, uint64_t calls);

/* It enqueues nothing after all, or nothing that is work: it only waits. */
void marks_forget(struct cuda_session *s);

/* It has been made. */
void marks_made(struct cuda_session *s);

/* Marks what all streams have got, before something follows that is no work. */
void marks_make(struct cuda_session *s, uint64_t now);

/* Has enough been made since the last marks? */
bool marks_are_due(const struct cuda_session *s, uint64_t now);

/* Marks what `stream` of the current context has got, before that can no more be done. */
void marks_flush(struct cuda_session *s, CUstream stream);

/* ... and if it could not be marked: `stream` is no more. */
void marks_stream_goes(struct cuda_session *s, CUstream stream);

/* An event of that context's, which may be gone. */
void marks_event_back(struct cuda_session *s, uint64_t context, struct own_event *e);

/* ---------------------------------------------------- looking at: marks_look.c */

/* Looks at marks; accounts for what has passed.  */
void marks_poll(struct cuda_session *s, uint64_t now);

/* Has nothing been done for so long that it may wait for what the guest has yet to submit? */
bool marks_are_stalled(const struct cuda_session *s, uint64_t now);

/*
 * What is outstanding keeps no turn from ending, and no call from being made, any
 * more; until some of it is done, since then it did not wait for ever.
 */
void marks_give_up(struct cuda_session *s, uint64_t now);

#endif /* VGPU_WORKER_CUDA_MARKS_H */
