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

/*
 * Text that has not been sent yet, at most; the driver's buffer for printf has
 * 8.25 MiB unless the guest changes it.  What goes beyond is lost.
 */
#define FILE_BYTES ((off_t)16 << 20)
/* Writing begins anew once so much has been read. */
#define REWIND_BYTES (FILE_BYTES / 2)
/* While nothing was ever written: looks without a system call between two with one. */
#define LOOKS 64u

struct stream {
	uint32_t kind; /* VGPU_CUDA_NOTE_* */
	int fd;
	const volatile uint64_t *first; /* the file's first bytes; NULL: not redirected */
	bool used;                      /* there has been text */
	unsigned int looks;
	off_t seen;
};

struct output {
	struct stream stream[2];
};

/* The file is sealed against growing, so that a write beyond its end fails. */
static bool redirect(struct stream *st, int target, const char *name)
{
	void *first;

	st->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (st->fd < 0 || ftruncate(st->fd, FILE_BYTES) < 0 ||
	    fcntl(st->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return false;
	first = mmap(NULL, sizeof(*st->first), PROT_READ, MAP_SHARED, st->fd, 0);
	if (first == MAP_FAILED)
		return false;
	st->first = first;
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
		o->stream[0].first = NULL;
	/* A sanitizer's report is for us. */
	if (SANITIZED || !redirect(&o->stream[1], STDERR_FILENO, "vgpu-stderr"))
		o->stream[1].first = NULL;
	return true;
}

/*
 * Bytes written since the last look.  Most programs never print, and most text
 * does not begin with zeros: until there has been some, its first bytes tell.
 */
static off_t written(struct stream *st)
{
	if (!st->first)
		return 0;
	if (!st->used && !*st->first && ++st->looks % LOOKS)
		return 0;
	return lseek(st->fd, 0, SEEK_CUR) - st->seen;
}

/* Memory goes back; not while a thread is printing, whose text would be lost. */
static void rewind_stream(struct stream *st)
{
	FILE *f = st->kind == VGPU_CUDA_NOTE_STDERR ? stderr : stdout;

	if (st->seen < REWIND_BYTES)
		return;
	flockfile(f);
	if (lseek(st->fd, 0, SEEK_CUR) == st->seen) {
		lseek(st->fd, 0, SEEK_SET);
		fallocate(st->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st->seen);
		st->seen = 0;
	}
	funlockfile(f);
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
		st->used = true;
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
