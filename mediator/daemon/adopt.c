/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What outlives a daemon, and how the next one takes it up. */
#include "adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdio.h"
#include "log.h"

#define GROUP "session"
#define KNOCKING_MAX 256u
#define KNOCK_SECONDS 5

static char *in_runtime(const struct daemon *d, const char *name)
{
	return g_build_filename(d->config->runtime_dir, name, NULL);
}

static char *state_path(const struct daemon *d, uint64_t session)
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

int adopt_lock(const char *path, GError **err)
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
	char *path = in_runtime(d, "last-session");
	char *text = NULL;
	guint64 id = 0;

	if (g_file_get_contents(path, &text, NULL, NULL) &&
	    g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXINT64, &id, NULL))
		d->last_session = id;
	g_free(text);
	g_free(path);
}

bool adopt_open(struct daemon *d, GError **err)
{
	char *sessions = in_runtime(d, "sessions");
	char *lock = in_runtime(d, "lock");
	bool ok = g_mkdir_with_parents(d->config->runtime_dir, 0755) == 0 &&
		  (g_mkdir(sessions, 0700) == 0 || errno == EEXIST);

	if (!ok)
		fail(err, "cannot make the runtime directory", d->config->runtime_dir);
	d->runtime_lock = ok ? adopt_lock(lock, err) : -1;
	if (d->runtime_lock >= 0)
		read_last_id(d);
	g_free(sessions);
	g_free(lock);
	return d->runtime_lock >= 0;
}

uint64_t adopt_next_id(struct daemon *d)
{
	char *path = in_runtime(d, "last-session");
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

void adopt_remember(const struct session *s)
{
	GKeyFile *file = g_key_file_new();
	char *uuid = hex(s->uuid, sizeof(s->uuid));
	char *path = state_path(s->d, s->id);
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
	text = g_key_file_to_data(file, NULL, NULL);
	if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &err)) {
		log_warning(&about, "session cannot outlive this daemon: %s", err->message);
		g_clear_error(&err);
	}
	g_free(text);
	g_free(path);
	g_free(uuid);
	g_key_file_free(file);
}

void adopt_forget(const struct daemon *d, uint64_t session)
{
	char *path = state_path(d, session);

	g_unlink(path);
	g_free(path);
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
	if (pidfd >= 0 && start_time(*pid) != start)
		fdio_clear(&pidfd);
	return pidfd < 0 ? -1 : pidfd;
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
	s->page_dev = g_key_file_get_uint64(file, GROUP, "page-dev", NULL);
	s->page_ino = g_key_file_get_uint64(file, GROUP, "page-ino", NULL);
	about = session_about(s);
	log_info(&about, "worker %d of a daemon before found; it waits for its device", (int)pid);
	return true;
}

/* One file of the directory; it goes if there is no such worker any more. */
static void read_state(struct daemon *d, const char *name)
{
	GKeyFile *file = g_key_file_new();
	guint64 id;
	char *path;

	if (g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT64, &id, NULL)) {
		path = state_path(d, id);
		if (id > d->last_session)
			d->last_session = id;
		if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL) ||
		    !take_up(d, id, file))
			g_unlink(path);
		g_free(path);
	}
	g_key_file_free(file);
}

static void read_states(struct daemon *d)
{
	char *sessions = in_runtime(d, "sessions");
	GDir *dir = g_dir_open(sessions, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		read_state(d, name);
	if (dir)
		g_dir_close(dir);
	g_free(sessions);
}

static gboolean on_orphans_due(gpointer data)
{
	struct daemon *d = data;
	GHashTableIter iter;
	gpointer value;

	d->orphan_timer = 0;
	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct session *s = value;

		if (s->state == SESSION_ORPHAN)
			session_kill(s, -ETIMEDOUT, "no device came for it");
	}
	return G_SOURCE_REMOVE;
}

/* A connection of something that has yet to say which worker it is. */
struct knock {
	struct daemon *d;
	int fd;
	guint source;
	guint timer;
};

static void knock_free(gpointer data)
{
	struct knock *k = data;

	if (k->source)
		g_source_remove(k->source);
	if (k->timer)
		g_source_remove(k->timer);
	fdio_clear(&k->fd);
	g_free(k);
}

static gboolean on_knock_timeout(gpointer data)
{
	struct knock *k = data;

	k->timer = 0;
	g_ptr_array_remove_fast(k->d->knocking, k);
	return G_SOURCE_REMOVE;
}

/* The session that the process at the other end is the worker of, or NULL. */
static struct session *recognise(const struct knock *k, const struct ctl_adopt *a)
{
	struct session *s = g_hash_table_lookup(k->d->sessions, &a->session);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (!s || s->control >= 0 || s->is_child || s->state == SESSION_ENDING)
		return NULL;
	if (getsockopt(k->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid != s->pid)
		return NULL;
	return s;
}

static gboolean on_knock(gint fd, GIOCondition condition, gpointer data)
{
	struct knock *k = data;
	struct ctl_adopt adopt;
	size_t nfds = 0;
	ssize_t got = fdio_recv(fd, &adopt, sizeof(adopt), NULL, &nfds);
	struct session *s = NULL;

	(void)condition;
	if (got == -EAGAIN)
		return G_SOURCE_CONTINUE;
	if (got == sizeof(adopt) && adopt.type == CTL_ADOPT && adopt.version == CTL_VERSION)
		s = recognise(k, &adopt);
	if (s) {
		session_attach(s, k->fd);
		k->fd = -1;
	}
	k->source = 0;
	g_ptr_array_remove_fast(k->d->knocking, k);
	return G_SOURCE_REMOVE;
}

static gboolean on_adoption(gint fd, GIOCondition condition, gpointer data)
{
	struct daemon *d = data;
	struct knock *k;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (conn < 0)
		return G_SOURCE_CONTINUE;
	if (d->knocking->len >= KNOCKING_MAX) {
		close(conn);
		return G_SOURCE_CONTINUE;
	}
	k = g_new0(struct knock, 1);
	k->d = d;
	k->fd = conn;
	k->source = g_unix_fd_add(conn, G_IO_IN | G_IO_HUP, on_knock, k);
	k->timer = g_timeout_add_seconds(KNOCK_SECONDS, on_knock_timeout, k);
	g_ptr_array_add(d->knocking, k);
	return G_SOURCE_CONTINUE;
}

static int listen_at(const struct daemon *d, const char *path, GError **err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		fail(err, "the runtime directory's path is too long:", path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_unlink(path); /* a dead daemon's: we hold the lock */
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(path, 0600) < 0 ||
	    (d->config->worker_user && chown(path, d->config->worker_uid, (gid_t)-1) < 0) ||
	    listen(fd, 64) < 0) {
		fail(err, "cannot listen at", path);
		fdio_clear(&fd);
	}
	return fd;
}

bool adopt_begin(struct daemon *d, GError **err)
{
	char *path = in_runtime(d, "adopt.sock");

	d->knocking = g_ptr_array_new_with_free_func(knock_free);
	d->adoption = listen_at(d, path, err);
	g_free(path);
	if (d->adoption < 0)
		return false;
	d->adoption_source = g_unix_fd_add(d->adoption, G_IO_IN, on_adoption, d);
	read_states(d);
	d->orphan_timer = g_timeout_add_seconds(d->config->adopt_timeout, on_orphans_due, d);
	return true;
}

void adopt_close(struct daemon *d)
{
	char *path = in_runtime(d, "adopt.sock");

	if (d->adoption_source)
		g_source_remove(d->adoption_source);
	if (d->orphan_timer)
		g_source_remove(d->orphan_timer);
	if (d->knocking)
		g_ptr_array_free(d->knocking, TRUE);
	if (d->adoption >= 0)
		g_unlink(path);
	d->adoption_source = d->orphan_timer = 0;
	d->knocking = NULL;
	fdio_clear(&d->adoption);
	fdio_clear(&d->runtime_lock);
	g_free(path);
}
