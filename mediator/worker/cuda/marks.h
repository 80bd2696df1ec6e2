/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much work is on its way to the GPU, and how long it takes there.
 *
 * Calls that enqueue are counted.  Now and then an event of ours is recorded
 * behind one: a mark.  From when marks have passed follows how long calls take,
 * and so how often marks are worth their while: behind each call if calls are
 * long, every quarter of a millisecond if they are short.
 */
#ifndef VGPU_WORKER_CUDA_MARKS_H
#define VGPU_WORKER_CUDA_MARKS_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_session;
struct own_event;

#define MARKS_MAX 32u

struct mark {
	struct own_event *own;
	uint64_t context; /* handle */
	uint64_t calls;   /* since the mark before */
	uint64_t began;   /* ns; they have not begun before */
	uint64_t stuck;   /* of them */
	uint64_t undone;  /* when it was last seen not to have passed; 0: it was not looked at */
};

struct marks {
	struct mark mark[MARKS_MAX]; /* in the order of their making */
	uint32_t n;
	/* The call in progress. */
	CUstream stream;
	uint64_t calls; /* it counts for so many; 0: it enqueues nothing */
	/* Behind the last mark. */
	uint64_t unmarked;
	uint64_t unmarked_ns; /* the first of them */
	uint64_t unmarked_stuck;
	uint64_t outstanding; /* calls in all */
	uint64_t stuck;       /* ... of which nobody waits for these: marks_give_up() */
	uint64_t passed_ns;   /* when one was last done, or the first one made */
	uint64_t marked_ns;   /* when the last mark was made */
	uint64_t least_ns;    /* a call takes no less, lately */
	uint64_t likely_ns;   /* ... and most likely so much */
};

void marks_init(struct marks *m);

/* The call in progress enqueues into `stream`, and counts for `calls`. */
void marks_note(struct cuda_session *s, CUstream stream, uint64_t calls);

/* It has been made. */
void marks_made(struct cuda_session *s);

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
