/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults and quarantines for the next daemon. */
#include "faults_file.h"

#include <glib/gstdio.h>

#include "faults.h"
#include "log.h"
#include "state.h"
#include "state_file.h"
#include "tenant.h"

#define FOLDER "quarantine"

/* Which run of the clock it is. */
static char *boot_id(void)
{
	char *id = NULL;

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
		return g_strdup("unknown");
	return g_strstrip(id);
}

/* A tenant's name is good for a file's: a policy's was checked, an open one's is ours. */
static char *path_of(const struct tenant *t)
{
	char *folder = state_path_of(t->d, FOLDER);
	char *path = g_build_filename(folder, t->name, NULL);

	g_free(folder);
	return path;
}

void faults_file_read(const struct tenant *t, struct quarantine *q, uint64_t now)
{
	char *path = path_of(t), *boot = boot_id();
	GError *err = NULL;
	gsize length = 0;
	char *text = state_file_read(path, &length, &err);

	*q = (struct quarantine){0};
	if (text)
		quarantine_load(q, text, length, boot, now, &err);
	if (err) {
		log_warning(NULL, "tenant %s: its faults before are not known: %s: %s", t->name,
			    path, err->message);
		g_clear_error(&err);
	}
	g_free(text);
	g_free(boot);
	g_free(path);
}

static void write_file(const struct tenant *t, const char *path)
{
	char *folder = state_path_of(t->d, FOLDER), *boot = boot_id();
	char *text = quarantine_save(&t->faults->q, boot);
	GError *err = NULL;

	g_mkdir(folder, 0700);
	if (!state_file_write(path, text, &err)) {
		log_warning(NULL, "tenant %s: its faults cannot outlive this daemon: %s", t->name,
			    err->message);
		g_clear_error(&err);
	}
	g_free(text);
	g_free(boot);
	g_free(folder);
}

void faults_file_write(const struct tenant *t)
{
	char *path = path_of(t);

	if (quarantine_is_blank(&t->faults->q))
		g_unlink(path);
	else
		write_file(t, path);
	g_free(path);
}
