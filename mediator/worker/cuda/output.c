/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text of kernels and of the driver, on its way to the guest. */
#include "output.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "notes.h"
#include "sanitized.h"
#include "session.h"
#include "vgpu_cuda.h"

/* The part that is mapped, and where writing begins anew once it has been read. */
#define VIEW_BYTES ((off_t)1 << 20)
#define REWIND_BYTES (VIEW_BYTES / 2)

struct stream {
	uint32_t kind; /* VGPU_CUDA_NOTE_* */
	int fd;
	const volatile char *view;
	off_t seen;
};

struct output {
	struct stream stream[2];
};

/* The file is as long as the view; text is written into it from the beginning. */
static bool redirect(struct stream *st, int target, const char *name)
{
	void *view;

	st->fd = memfd_create(name, MFD_CLOEXEC);
	if (st->fd < 0 || ftruncate(st->fd, VIEW_BYTES) < 0)
		return false;
	view = mmap(NULL, (size_t)VIEW_BYTES, PROT_READ, MAP_SHARED, st->fd, 0);
	if (view == MAP_FAILED)
		return false;
	st->view = view;
	return dup2(st->fd, target) == target;
}

bool output_init(struct cuda_session *s)
{
	struct output *o = calloc(1, sizeof(*o));

	if (!o)
		return false;
	o->stream[0].kind = VGPU_CUDA_NOTE_STDOUT;
	o->stream[1].kind = VGPU_CUDA_NOTE_STDERR;
	fflush(stdout);
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	s->output = o;
	if (!redirect(&o->stream[0], STDOUT_FILENO, "vgpu-stdout"))
		o->stream[0].view = NULL;
	/* A sanitizer's report is for us. */
	if (SANITIZED || !redirect(&o->stream[1], STDERR_FILENO, "vgpu-stderr"))
		o->stream[1].view = NULL;
	return true;
}

/* Bytes written since the last look; the first of them is hardly ever 0. */
static off_t written(const struct stream *st)
{
	if (!st->view)
		return 0;
	if (st->seen < VIEW_BYTES && !st->view[st->seen])
		return 0;
	return lseek(st->fd, 0, SEEK_CUR) - st->seen;
}

static void rewind_stream(struct stream *st)
{
	if (st->seen < REWIND_BYTES)
		return;
	/* What a thread writes just now is lost; nothing of the guest's depends on it. */
	lseek(st->fd, 0, SEEK_SET);
	if (ftruncate(st->fd, 0) < 0 || ftruncate(st->fd, VIEW_BYTES) < 0)
		st->view = NULL;
	st->seen = 0;
}

static bool drain(struct cuda_session *s, struct stream *st)
{
	char text[NOTE_DATA_MAX];

	for (;;) {
		off_t left = written(st);
		size_t part = left > (off_t)sizeof(text) ? sizeof(text) : (size_t)left;
		ssize_t got = left > 0 ? pread(st->fd, text, part, st->seen) : 0;

		if (got <= 0)
			return true;
		if (!notes_send(s, st->kind, 0, text, (uint32_t)got))
			return false;
		st->seen += got;
		if (got == left)
			rewind_stream(st);
	}
}

bool output_drain(struct cuda_session *s)
{
	struct output *o = s->output;

	if (!o)
		return true;
	fflush(stdout);
	return drain(s, &o->stream[0]) && drain(s, &o->stream[1]);
}
