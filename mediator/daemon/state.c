/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What outlives a daemon in its runtime directory. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control.h"
#include "fdio.h"
#include "log.h"
#include "state_file.h"
#include "tenants.h"
#include "worker_groups.h"

#define GROUP "session"

char *state_path_of(const struct daemon *d, const char *name)
{
	return g_build_filename(d->config->runtime_dir, name, NULL);
}

static char *session_path(const struct daemon *d, uint64_t session)
{
	return g_strdup_printf("%s/sessions/%" G_GUINT64_FORMAT, d->config->runtime_dir, session);
}

static bool fail(GError **err, const char *what, const char *path)
{
	int code = errno;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s %s: %s", what, path,
		    g_strerror(code));
	return false;
}

int state_lock(const char *path, GError **err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		fail(err, "cannot open the lock", path);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			    "another gpu_mediator holds %s; stop it, or give this one another "
			    "--socket-path and --runtime-dir",
			    path);
	else
		fail(err, "cannot lock", path);
	close(fd);
	return -1;
}

static void read_last_id(struct daemon *d)
{
	char *path = state_path_of(d, "last-session");
	char *text = NULL;
	guint64 id = 0;

	if (g_file_get_contents(path, &text, NULL, NULL) &&
	    g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXINT64, &id, NULL))
		d->last_session = id;
	g_free(text);
	g_free(path);
}

static bool make_folder(const char *path, int mode)
{
	return g_mkdir(path, mode) == 0 || errno == EEXIST;
}

bool state_open(struct daemon *d, GError **err)
{
	char *sessions = state_path_of(d, "sessions");
	char *adopt = state_path_of(d, CTL_ADOPT_DIR);
	char *root = state_path_of(d, CTL_ROOT_DIR);
	char *lock = state_path_of(d, "lock");
	bool ok = g_mkdir_with_parents(d->config->runtime_dir, 0755) == 0 &&
		  make_folder(sessions, 0700) && make_folder(adopt, 0755) &&
		  make_folder(root, 0755);

	if (!ok)
		fail(err, "cannot make the runtime directory", d->config->runtime_dir);
	d->runtime_lock = ok ? state_lock(lock, err) : -1;
	if (d->runtime_lock >= 0)
		read_last_id(d);
	g_free(sessions);
	g_free(adopt);
	g_free(root);
	g_free(lock);
	return d->runtime_lock >= 0;
}

uint64_t state_next_id(struct daemon *d)
{
	char *path = state_path_of(d, "last-session");
	char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", ++d->last_session);

	g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL);
	g_free(text);
	g_free(path);
	return d->last_session;
}

/*
 * When a process started, in ticks since boot: with its id, which process it
 * is.  0 if there is none, or one that has ended and was not reaped.
 */
static guint64 start_time(pid_t pid)
{
	char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	char *text = NULL, *after = NULL, state = 'Z';
	guint64 ticks = 0;

	if (g_file_get_contents(path, &text, NULL, NULL))
		after = strrchr(text, ')'); /* the name may hold anything */
	if (!after ||
	    sscanf(after,
		   ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%" G_GUINT64_FORMAT,
		   &state, &ticks) != 2 ||
	    state == 'Z' || state == 'X')
		ticks = 0;
	g_free(text);
	g_free(path);
	return ticks;
}

static char *hex(const uint8_t *bytes, size_t n)
{
	GString *s = g_string_new(NULL);

	for (size_t i = 0; i < n; i++)
		g_string_append_printf(s, "%02x", bytes[i]);
	return g_string_free(s, FALSE);
}

static bool unhex(const char *text, uint8_t *bytes, size_t n)
{
	if (!text || strlen(text) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = g_ascii_xdigit_value(text[2 * i]);
		int low = g_ascii_xdigit_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void state_remember(const struct session *s)
{
	GKeyFile *file = g_key_file_new();
	char *uuid = hex(s->uuid, sizeof(s->uuid));
	char *path = session_path(s->d, s->id);
	struct log_about about = session_about(s);
	GError *err = NULL;
	char *text;

	g_key_file_set_integer(file, GROUP, "pid", s->pid);
	g_key_file_set_uint64(file, GROUP, "start-time", start_time(s->pid));
	g_key_file_set_uint64(file, GROUP, "queue", s->queue);
	g_key_file_set_uint64(file, GROUP, "tag", s->tag);
	g_key_file_set_uint64(file, GROUP, "page-dev", s->page_dev);
	g_key_file_set_uint64(file, GROUP, "page-ino", s->page_ino);
	g_key_file_set_string(file, GROUP, "uuid", uuid);
	g_key_file_set_string(file, GROUP, "vm", s->vm);
	g_key_file_set_string(file, GROUP, "tenant", s->tenant->name);
	g_key_file_set_uint64(file, GROUP, "slot", s->slot);
	g_key_file_set_uint64(file, GROUP, "gpu", s->gpu);
	g_key_file_set_boolean(file, GROUP, "failed", s->failed);
	text = g_key_file_to_data(file, NULL, NULL);
	if (!state_file_write(path, text, &err)) {
		log_warning(&about, "session cannot outlive this daemon: %s", err->message);
		g_clear_error(&err);
	}
	g_free(text);
	g_free(path);
	g_free(uuid);
	g_key_file_free(file);
}

void state_forget(const struct daemon *d, uint64_t session)
{
	char *path = session_path(d, session);

	g_unlink(path);
	g_free(path);
}

/* It may have ended and only not been waited for yet, by whoever is its parent now. */
static bool is_alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* A process that is the one of the file; a pidfd, or -1. */
static int find_process(GKeyFile *file, pid_t *pid)
{
	guint64 start = g_key_file_get_uint64(file, GROUP, "start-time", NULL);
	int pidfd;

	*pid = g_key_file_get_integer(file, GROUP, "pid", NULL);
	if (*pid <= 1 || !start)
		return -1;
	pidfd = fdio_pidfd_open(*pid);
	/* Looked at after the pidfd was opened, so that it is of the same process. */
	if (pidfd >= 0 && (start_time(*pid) != start || !is_alive(pidfd)))
		fdio_clear(&pidfd);
	return pidfd < 0 ? -1 : pidfd;
}

/*
 * Whose session it is stands in the file that the daemon before us wrote, and
 * nowhere that a worker or a device could.
 */
static void find_tenant(struct session *s, GKeyFile *file)
{
	char *name = g_key_file_get_string(file, GROUP, "tenant", NULL);
	guint64 slot = g_key_file_get_uint64(file, GROUP, "slot", NULL);
	struct tenant *t = name ? tenants_again(s->d, name) : NULL;

	if (!t || slot > G_MAXUINT || !tenant_enter_at(t, s, (guint)slot))
		session_kill(s, -EACCES, "its tenant is no longer there");
	else
		worker_group_enter(t, s->pid); /* it may have had none */
	if (t)
		tenant_unref(t);
	g_free(name);
}

static bool take_up(struct daemon *d, uint64_t id, GKeyFile *file)
{
	uint8_t uuid[16];
	char *text = g_key_file_get_string(file, GROUP, "uuid", NULL);
	bool ok = unhex(text, uuid, sizeof(uuid));
	struct log_about about;
	struct session *s;
	pid_t pid;
	int pidfd = ok ? find_process(file, &pid) : -1;

	g_free(text);
	if (pidfd < 0)
		return false;
	s = session_found(d, id, pid, pidfd);
	memcpy(s->uuid, uuid, sizeof(uuid));
	s->vm = g_key_file_get_string(file, GROUP, "vm", NULL);
	s->queue = (uint32_t)g_key_file_get_uint64(file, GROUP, "queue", NULL);
	s->tag = (uint32_t)g_key_file_get_uint64(file, GROUP, "tag", NULL);
	s->gpu = (guint)g_key_file_get_uint64(file, GROUP, "gpu", NULL);
	s->page_dev = g_key_file_get_uint64(file, GROUP, "page-dev", NULL);
	s->page_ino = g_key_file_get_uint64(file, GROUP, "page-ino", NULL);
	s->failed = g_key_file_get_boolean(file, GROUP, "failed", NULL);
	about = session_about(s);
	log_info(&about, "worker %d of a daemon before found; it waits for its device", (int)pid);
	find_tenant(s, file);
	return true;
}

/* One file of the directory; it goes if there is no such worker any more. */
static void read_state(struct daemon *d, const char *name)
{
	GKeyFile *file = g_key_file_new();
	guint64 id;
	char *path;

	if (g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT64, &id, NULL)) {
		path = session_path(d, id);
		if (id > d->last_session)
			d->last_session = id;
		if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL) ||
		    !take_up(d, id, file))
			g_unlink(path);
		g_free(path);
	}
	g_key_file_free(file);
}

void state_find_workers(struct daemon *d)
{
	char *sessions = state_path_of(d, "sessions");
	GDir *dir = g_dir_open(sessions, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		read_state(d, name);
	if (dir)
		g_dir_close(dir);
	g_free(sessions);
}
