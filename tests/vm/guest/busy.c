// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * busy: keeps the GPU at work, with many products of matrices in the ring at once.
 *
 *   busy [SIZE [AHEAD [DONE]]]
 *
 * AHEAD (64) products of SIZE (128) rows, until DONE are done or SIGTERM comes.  What
 * they are is not looked at, as here the guest's processor is the slow one: gpu_test
 * does.  Who has some in the ring wants the GPU, with or without a processor.
 * Exit status: 0, 1 if one failed or the session was lost.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgpu.h"
#include "vgpu_stub.h"

#define PAGE 4096u
#define WAIT_MS 600000

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

struct load {
	struct vgpu_session *s;
	uint32_t size;
	uint32_t factor, product; /* buffers */
	unsigned long begun, done;
};

static int complain(const struct load *l, const char *what, int error)
{
	fprintf(stderr, "busy: %s, after %lu: %s\n", what, l->done, strerror(error));
	return 1;
}

static int make_buffer(struct vgpu_session *s, size_t bytes, uint32_t flags, uint32_t *handle)
{
	void *at = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);

	if (!at)
		return -1;
	memset(at, 0, bytes);
	return vgpu_buffer_register(s, at, bytes, flags, handle);
}

static int submit(struct load *l)
{
	const uint64_t bytes = (uint64_t)l->size * l->size * sizeof(float);
	const struct vgpu_matmul dims = {.m = l->size, .n = l->size, .k = l->size};
	const struct vgpu_desc desc[3] = {
		{.buffer = l->factor, .length = bytes},
		{.buffer = l->factor, .length = bytes},
		{.buffer = l->product, .length = bytes},
	};
	uint64_t id;

	l->begun++;
	return vgpu_submit(l->s, VGPU_CMD_MATMUL, desc, 3, &dims, sizeof(dims), &id);
}

static int work(struct load *l, unsigned long ahead, unsigned long most)
{
	const struct vgpu_response *r;

	while (!stop && l->done < most) {
		while (l->begun < l->done + ahead && l->begun < most) {
			if (submit(l) < 0)
				return complain(l, "submitting", errno);
		}
		if (vgpu_receive(l->s, WAIT_MS, &r) < 0) {
			if (errno == EINTR)
				continue;
			return complain(l, "waiting", errno);
		}
		if ((int32_t)r->status < 0)
			return complain(l, "an answer", -(int32_t)r->status);
		l->done++;
	}
	printf("busy: %lu products, none failed\n", l->done);
	return 0;
}

int main(int argc, char **argv)
{
	const struct sigaction term = {.sa_handler = on_term};
	unsigned long ahead = argc > 2 ? strtoul(argv[2], NULL, 10) : 64;
	unsigned long most = argc > 3 ? strtoul(argv[3], NULL, 10) : (unsigned long)-1;
	struct load l = {.size = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 128};
	size_t bytes = (size_t)l.size * l.size * sizeof(float);

	sigaction(SIGTERM, &term, NULL);
	l.s = vgpu_session_open(NULL);
	if (!l.s)
		return complain(&l, "opening", errno);
	vgpu_session_set_wait(l.s, VGPU_WAIT_INTERRUPT);
	if (make_buffer(l.s, bytes, VGPU_STUB_BUFFER_READ, &l.factor) < 0 ||
	    make_buffer(l.s, bytes, VGPU_STUB_BUFFER_WRITE, &l.product) < 0)
		return complain(&l, "registering memory", errno);
	return work(&l, ahead, most);
}
