/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: GLib's structured log with the fields VGPU_VM, VGPU_SESSION and
 * VGPU_REQUEST.  Goes to the journal when standard error is the journal, else
 * as lines to a file or to standard error:
 *   TIME LEVEL vm=NAME session=N request=ID message
 */
#ifndef VGPU_DAEMON_LOG_H
#define VGPU_DAEMON_LOG_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* What a line is about; zero fields are left out. */
struct log_about {
	const char *vm;
	guint64 session;
	guint64 request;
	bool has_request;
};

/* Takes over GLib's log writing.  `file` NULL: standard error or the journal. */
bool log_open(const char *file, GLogLevelFlags level, GError **err);

/* Opens the file again (after logrotate), perhaps another; on failure the old one stays. */
bool log_reopen(const char *file, GLogLevelFlags level, GError **err);

void log_close(void);

void log_line(GLogLevelFlags level, const struct log_about *about, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

#define log_error(about, ...) log_line(G_LOG_LEVEL_CRITICAL, about, __VA_ARGS__)
#define log_warning(about, ...) log_line(G_LOG_LEVEL_WARNING, about, __VA_ARGS__)
#define log_info(about, ...) log_line(G_LOG_LEVEL_INFO, about, __VA_ARGS__)
#define log_debug(about, ...) log_line(G_LOG_LEVEL_DEBUG, about, __VA_ARGS__)

/*
 * Bytes of someone we do not trust, fit for a line: printable UTF-8 stays,
 * quotes, backslashes and everything else become \xNN or a backslash pair.
 * The caller frees it.
 */
char *log_escape(const void *bytes, size_t length);

/* The same, but quotes stay: for where something else takes care of them, as JSON does. */
char *log_printable(const void *bytes, size_t length);

/* At most `rate` lines a second with a burst of as many; for what guests can cause. */
struct log_bucket {
	gint64 since;
	guint lines;
	guint dropped;
};

/* May a line be written now?  *dropped: how many were not, since the last that was. */
bool log_may(struct log_bucket *b, guint rate, guint *dropped);

#endif /* VGPU_DAEMON_LOG_H */
