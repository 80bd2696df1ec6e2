/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workers of a daemon before us: those that knock, and those that nobody comes for. */
#include "adopt.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "discard.h"
#include "fdio.h"
#include "log.h"
#include "session.h"
#include "state.h"
#include "tenant.h"
#include "turns.h"
#include "unix_address.h"
#include "worker_users.h"

#define KNOCKING_MAX 256u
#define KNOCK_SECONDS 5

/* How long to accept nobody when there are no descriptors left. */
#define PAUSE_MS 500

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
	discard(k->fd);
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

	if (!s || s->control >= 0 || s->is_child || s->state == SESSION_ENDING || !s->tenant)
		return NULL;
	if (getsockopt(k->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid != s->pid)
		return NULL;
	return s;
}

/* The pages of the daemon before us are gone with it: the worker gets ours. */
static bool send_adopted(const struct session *s, int fd)
{
	const struct ctl_adopted adopted = {.type = CTL_ADOPTED, .slot = s->slot};
	const int fds[] = {s->tenant->limits_fd, s->tenant->usage_fd};

	return fdio_send(fd, &adopted, sizeof(adopted), fds, 2) == sizeof(adopted);
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
	if (s && send_adopted(s, k->fd)) {
		session_attach(s, k->fd);
		turns_enter(s);
		k->fd = -1;
	}
	k->source = 0;
	g_ptr_array_remove_fast(k->d->knocking, k);
	return G_SOURCE_REMOVE;
}

static gboolean on_adoption(gint fd, GIOCondition condition, gpointer data);

static gboolean on_pause_over(gpointer data)
{
	struct daemon *d = data;

	d->adoption_source = g_unix_fd_add(d->adoption, G_IO_IN, on_adoption, d);
	return G_SOURCE_REMOVE;
}

static gboolean on_adoption(gint fd, GIOCondition condition, gpointer data)
{
	struct daemon *d = data;
	struct knock *k;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (conn < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return G_SOURCE_CONTINUE;
		/* Without this a full table of descriptors would make us spin. */
		d->adoption_source = g_timeout_add(PAUSE_MS, on_pause_over, d);
		return G_SOURCE_REMOVE;
	}
	if (d->knocking->len >= KNOCKING_MAX) {
		discard(conn);
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
	struct sockaddr_un addr;
	uid_t uid;
	gid_t gid;
	int fd;

	worker_users_owner(d, &uid, &gid);
	if (!unix_address(&addr, path)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
			    "the runtime directory's path is too long: %s", path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_unlink(path); /* a dead daemon's: we hold the lock */
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(path, 0600) < 0 || chown(path, uid, gid) < 0 ||
	    (gid != (gid_t)-1 && chmod(path, 0660) < 0) || listen(fd, 64) < 0) {
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "cannot listen at %s: %s", path, g_strerror(errno));
		fdio_clear(&fd);
	}
	return fd;
}

bool adopt_begin(struct daemon *d, GError **err)
{
	char *path = state_path_of(d, CTL_ADOPT_DIR "/" CTL_ADOPT_SOCKET);

	d->knocking = g_ptr_array_new_with_free_func(knock_free);
	d->adoption = listen_at(d, path, err);
	g_free(path);
	if (d->adoption < 0)
		return false;
	d->adoption_source = g_unix_fd_add(d->adoption, G_IO_IN, on_adoption, d);
	state_find_workers(d);
	d->orphan_timer = g_timeout_add_seconds(d->config->adopt_timeout, on_orphans_due, d);
	return true;
}

void adopt_close(struct daemon *d)
{
	char *path = state_path_of(d, CTL_ADOPT_DIR "/" CTL_ADOPT_SOCKET);

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
