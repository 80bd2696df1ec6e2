/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host that is drained, also by the daemon before. */
#include "drain.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "log.h"
#include "state.h"
#include "state_file.h"

#define FILE_NAME "drain"
#define GROUP "drain"

char *drain_since(const struct daemon *d)
{
	return d->draining ? g_date_time_format_iso8601(d->draining) : NULL;
}

/* NULL with `err` set: it is nothing that write_file() has written. */
static GDateTime *parse(const char *text, gsize length, GError **err)
{
	GKeyFile *file = g_key_file_new();
	GDateTime *since = NULL;
	char *words = NULL;

	if (g_key_file_load_from_data(file, text, length, G_KEY_FILE_NONE, err))
		words = g_key_file_get_string(file, GROUP, "since", err);
	if (words) {
		since = g_date_time_new_from_iso8601(words, NULL);
		if (!since)
			g_set_error_literal(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
					    "since: not a time with its zone");
	}
	g_free(words);
	g_key_file_free(file);
	return since;
}

void drain_open(struct daemon *d)
{
	char *path = state_path_of(d, FILE_NAME), *since;
	GError *err = NULL;
	gsize length = 0;
	char *text = state_file_read(path, &length, &err);

	if (text)
		d->draining = parse(text, length, &err);
	if (err) {
		log_warning(NULL, "whether the host was drained is not known: %s: %s", path,
			    err->message);
		g_clear_error(&err);
	}
	since = drain_since(d);
	if (since)
		log_warning(NULL,
			    "DRAINING since %s: no session may begin; \"gpu_mediatorctl drain "
			    "--off\" ends this",
			    since);
	g_free(since);
	g_free(text);
	g_free(path);
}

void drain_close(struct daemon *d)
{
	g_clear_pointer(&d->draining, g_date_time_unref);
}

static bool write_file(const struct daemon *d, const char *path, GError **err)
{
	GKeyFile *file = g_key_file_new();
	char *since = drain_since(d), *text;
	bool ok;

	g_key_file_set_string(file, GROUP, "since", since);
	text = g_key_file_to_data(file, NULL, NULL);
	ok = state_file_write(path, text, err);
	g_free(text);
	g_free(since);
	g_key_file_free(file);
	return ok;
}

static bool remove_file(const char *path, GError **err)
{
	if (g_unlink(path) == 0 || errno == ENOENT)
		return true;
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot remove %s: %s", path,
		    g_strerror(errno));
	return false;
}

bool drain_set(struct daemon *d, bool on, GError **err)
{
	char *path = state_path_of(d, FILE_NAME);
	bool ok;

	if (!on)
		drain_close(d);
	else if (!d->draining)
		d->draining = g_date_time_new_from_unix_utc(g_get_real_time() / G_USEC_PER_SEC);
	ok = on ? write_file(d, path, err) : remove_file(path, err);
	g_free(path);
	return ok;
}
