/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instead of turn.c and cuda/marks*.c: no turns at the GPU, and no account of its time. */
#include "worker.h"

bool turn_is_waiting(const struct worker *w)
{
	(void)w;
	return false;
}

uint64_t turn_spin_ns(const struct worker *w)
{
	(void)w;
	return 0;
}

int64_t turn_nap_ns(const struct worker *w)
{
	(void)w;
	return -1;
}

void turn_word(struct worker *w, const struct ctl_turn *m)
{
	(void)w;
	(void)m;
}

void turn_alone(struct worker *w)
{
	(void)w;
}

void turn_begin(struct worker *w)
{
	(void)w;
}

void turn_end(struct worker *w)
{
	(void)w;
}

void marks_init(struct marks *m)
{
	*m = (struct marks){0};
}

void marks_forget(struct cuda_session *s)
{
	(void)s;
}

void marks_make(struct cuda_session *s, uint64_t now)
{
	(void)s;
	(void)now;
}

void marks_flush(struct cuda_session *s, CUstream stream)
{
	(void)s;
	(void)stream;
}

void marks_stream_goes(struct cuda_session *s, CUstream stream)
{
	(void)s;
	(void)stream;
}
