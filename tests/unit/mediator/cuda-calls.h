/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker without a loop, a daemon or a guest: records go in, responses come
 * out.  The driver is the cpu backend's.
 */
#ifndef TEST_CUDA_CALLS_H
#define TEST_CUDA_CALLS_H

#include <setjmp.h>

#include "cuda_dispatch.h"
#include "session.h"
#include "vgpu_calls.h"
#include "worker.h"

/* What a call came to. */
struct outcome {
	int status; /* of the response, negative errno; 1: there was none */
	CUresult result;
	CUresult deferred;
	uint32_t length; /* of data */
	uint8_t data[VGPU_RECORD_MAX];
};

/* A piece of a body; each is padded to 8 bytes. */
struct part {
	const void *data;
	size_t length;
};

extern struct worker *test_worker;

void calls_start(void);
void calls_stop(void);

/* The session has taken standard output and error away: have them back. */
void calls_own_output(void);

/* Makes a call, waits for its answer if it is not a quiet one. */
struct outcome *calls_make(uint32_t function, uint64_t context, uint16_t flags,
			   const struct part *part, unsigned int n);

/* The same with descriptors. */
struct outcome *calls_make_with(const struct vgpu_desc *desc, unsigned int ndesc, uint32_t function,
				uint64_t context, const struct part *part, unsigned int n);

/* The next call goes with these. */
void calls_give(const struct vgpu_desc *desc, unsigned int ndesc);

/* Sends it only; calls_wait() takes the answer of the next one that is done. */
void calls_send(uint32_t function, uint64_t context, uint16_t flags, const struct part *part,
		unsigned int n);
struct outcome *calls_wait(uint64_t *id);
void calls_send_with(const struct vgpu_desc *desc, unsigned int ndesc, uint32_t function,
		     uint64_t context, const struct part *part, unsigned int n);

/* What the daemon would have been told of last, and how often. */
struct refusal {
	unsigned int n;
	enum ctl_refused_kind kind;
	uint64_t value;
	char what[64];
};
extern struct refusal calls_refusal;

/* Notes that have come, as text: "1:value 7\n", "3:42". */
extern GString *calls_notes;

/* Where to go on when the worker would end, and why it would; NULL: that fails the test. */
extern jmp_buf *calls_broken;
extern int calls_broken_status;

/* What was said about turns at the GPU: struct ctl_turn_news. */
extern GArray *calls_turns;
/* Whoever says something finds that there is no daemon any more. */
extern bool calls_no_daemon;

#define CALL(name, context, ...)                                             \
	calls_make(CUDA_FN_##name, context, 0, (struct part[]){__VA_ARGS__}, \
		   sizeof((struct part[]){__VA_ARGS__}) / sizeof(struct part))
#define QUIET(name, context, ...)                                                             \
	calls_make(CUDA_FN_##name, context, VGPU_REQUEST_QUIET, (struct part[]){__VA_ARGS__}, \
		   sizeof((struct part[]){__VA_ARGS__}) / sizeof(struct part))
#define REQ(name, ...)                                                                     \
	(struct part)                                                                      \
	{                                                                                  \
		&(struct vgpu_##name##_req){__VA_ARGS__}, sizeof(struct vgpu_##name##_req) \
	}

#endif /* TEST_CUDA_CALLS_H */
