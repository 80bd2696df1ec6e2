/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log: fields in, the journal or lines of text out. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static struct {
	int fd; /* -1: standard error */
	bool journal;
	GLogLevelFlags level;
} out = {.fd = -1, .level = G_LOG_LEVEL_INFO};

static const char *level_name(GLogLevelFlags level)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return "ERROR";
	if (level & G_LOG_LEVEL_WARNING)
		return "WARNING";
	if (level & G_LOG_LEVEL_MESSAGE)
		return "MESSAGE";
	return level & G_LOG_LEVEL_INFO ? "INFO" : "DEBUG";
}

static const char *field_of(const GLogField *fields, gsize n, const char *key)
{
	for (gsize i = 0; i < n; i++) {
		if (strcmp(fields[i].key, key) == 0)
			return fields[i].value;
	}
	return NULL;
}

static void add_field(GString *line, const char *name, const char *value)
{
	if (value)
		g_string_append_printf(line, "%s=%s ", name, value);
}

static void write_all(int fd, const char *data, gsize length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* a full disk must not stop the daemon */
		data += n;
		length -= (gsize)n;
	}
}

static GLogWriterOutput write_line(GLogLevelFlags level, const GLogField *fields, gsize n)
{
	GDateTime *now = g_date_time_new_now_utc();
	char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%f");
	GString *line = g_string_new(NULL);
	const char *message = field_of(fields, n, "MESSAGE");

	time[strlen(time) - 3] = '\0'; /* milliseconds are enough */
	g_string_append_printf(line, "%sZ %s ", time, level_name(level));
	add_field(line, "vm", field_of(fields, n, "VGPU_VM"));
	add_field(line, "session", field_of(fields, n, "VGPU_SESSION"));
	add_field(line, "request", field_of(fields, n, "VGPU_REQUEST"));
	g_string_append_printf(line, "%s\n", message ? message : "");
	write_all(out.fd >= 0 ? out.fd : STDERR_FILENO, line->str, line->len);
	g_string_free(line, TRUE);
	g_free(time);
	g_date_time_unref(now);
	return G_LOG_WRITER_HANDLED;
}

static GLogWriterOutput writer(GLogLevelFlags level, const GLogField *fields, gsize n,
			       gpointer data)
{
	(void)data;
	/* Smaller numbers are graver. */
	if ((level & G_LOG_LEVEL_MASK) > out.level)
		return G_LOG_WRITER_HANDLED;
	if (out.journal && g_log_writer_journald(level, fields, n, NULL) == G_LOG_WRITER_HANDLED)
		return G_LOG_WRITER_HANDLED;
	return write_line(level, fields, n);
}

bool log_reopen(const char *file, GLogLevelFlags level, GError **err)
{
	int fd = -1;

	if (file) {
		fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
		if (fd < 0) {
			int code = errno;

			g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code),
				    "cannot write the log file %s: %s", file, g_strerror(code));
			return false;
		}
	}
	log_close();
	out.fd = fd;
	out.level = level;
	out.journal = !file && g_log_writer_is_journald(STDERR_FILENO);
	return true;
}

bool log_open(const char *file, GLogLevelFlags level, GError **err)
{
	if (!log_reopen(file, level, err))
		return false;
	g_log_set_writer_func(writer, NULL, NULL);
	return true;
}

void log_close(void)
{
	if (out.fd >= 0)
		close(out.fd);
	out.fd = -1;
}

static const char *priority(GLogLevelFlags level)
{
	if (level & G_LOG_LEVEL_CRITICAL)
		return "3";
	if (level & G_LOG_LEVEL_WARNING)
		return "4";
	if (level & G_LOG_LEVEL_MESSAGE)
		return "5";
	return level & G_LOG_LEVEL_INFO ? "6" : "7";
}

void log_line(GLogLevelFlags level, const struct log_about *about, const char *format, ...)
{
	GLogField fields[6];
	gsize n = 0;
	char session[24], request[24];
	char *message;
	va_list args;

	if (level > out.level)
		return;
	va_start(args, format);
	message = g_strdup_vprintf(format, args);
	va_end(args);
	fields[n++] = (GLogField){"MESSAGE", message, -1};
	fields[n++] = (GLogField){"PRIORITY", priority(level), -1};
	fields[n++] = (GLogField){"GLIB_DOMAIN", "gpu_mediator", -1};
	if (about && about->vm)
		fields[n++] = (GLogField){"VGPU_VM", about->vm, -1};
	if (about && about->session) {
		g_snprintf(session, sizeof(session), "%" G_GUINT64_FORMAT, about->session);
		fields[n++] = (GLogField){"VGPU_SESSION", session, -1};
	}
	if (about && about->has_request) {
		g_snprintf(request, sizeof(request), "%" G_GUINT64_FORMAT, about->request);
		fields[n++] = (GLogField){"VGPU_REQUEST", request, -1};
	}
	g_log_structured_array(level, fields, n);
	g_free(message);
}

static char *escape(const void *bytes, size_t length, bool quotes)
{
	const char *p = bytes, *end = p + length;
	GString *s = g_string_sized_new(length + 8);

	while (p < end) {
		gunichar c = g_utf8_get_char_validated(p, end - p);

		if ((c == '"' && quotes) || c == '\\') {
			g_string_append_printf(s, "\\%c", (char)c);
			p++;
		} else if (c < 0x110000 && c != 0 && g_unichar_isprint(c)) {
			g_string_append_unichar(s, c);
			p += g_unichar_to_utf8(c, NULL);
		} else {
			g_string_append_printf(s, "\\x%02x", (guchar)*p);
			p++;
		}
	}
	return g_string_free(s, FALSE);
}

char *log_escape(const void *bytes, size_t length)
{
	return escape(bytes, length, true);
}

char *log_printable(const void *bytes, size_t length)
{
	return escape(bytes, length, false);
}

bool log_may(struct log_bucket *b, guint rate, guint *dropped)
{
	gint64 now = g_get_monotonic_time();

	if (now - b->since >= G_USEC_PER_SEC) {
		b->since = now;
		b->lines = 0;
	}
	*dropped = b->dropped;
	if (b->lines >= rate) {
		b->dropped++;
		return false;
	}
	b->lines++;
	b->dropped = 0;
	return true;
}
