/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that the audit log is kept in: whole lines or none, rotated by size.
 *
 * A line is one write to a file that only grows, so whatever kills the daemon
 * leaves all lines before it.  What cannot be written is the caller's to count:
 * nothing here waits for a disk to have room again.
 */
#ifndef VGPU_AUDIT_FILE_H
#define VGPU_AUDIT_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct audit_file {
	char *path;
	int fd;           /* -1: it could not be opened, yet */
	uint64_t most;    /* bytes, before it is rotated */
	guint keep;       /* files of before: path.1 is the newest */
	gint64 next_try;  /* to open it, monotonic */
	bool torn;        /* half a line could not be taken back: it is ended first */
	uint64_t grow_to; /* rotation failed: not again before it has this size */
};

void audit_file_init(struct audit_file *f, const char *path, uint64_t most, guint keep);
void audit_file_clear(struct audit_file *f);

/* 0 or a negative errno; -EINVAL where there is something else than a file. */
int audit_file_open(struct audit_file *f);

/* Would waiting mend it?  A full disk will have room again, a wrong path will not get right. */
bool audit_file_error_passes(int error);

/*
 * Appends `line`, which ends in a newline: all of it or nothing.  0 or a
 * negative errno.  *rotation is set to a negative errno if the file was to be
 * rotated and could not be; the line may be written all the same.
 */
int audit_file_append(struct audit_file *f, const char *line, size_t length, int *rotation);

#endif /* VGPU_AUDIT_FILE_H */
