/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XenStore. */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

struct store {
	struct xs_handle *xs;
	uint32_t domid;
	char *backend;
	char *frontend;
	char *reason;
};

/* Fires at the end of each domain. */
#define RELEASE "@releaseDomain"

/* Below the domain's own directory. */
#define REASON "data/cant_suspend_reason"
#define REASON_TOKEN "reason"

struct store *store_open(uint32_t domid, GError **err)
{
	struct xs_handle *xs = xs_open(0);
	struct store *s;

	if (!xs) {
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "XenStore cannot be reached: %s", g_strerror(errno));
		return NULL;
	}
	s = g_new0(struct store, 1);
	s->xs = xs;
	s->domid = domid;
	s->backend = g_strdup_printf("/local/domain/0/backend/vgpu-stub/%u/0", domid);
	s->frontend = g_strdup_printf("/local/domain/%u/vgpu-stub/0", domid);
	s->reason = g_strdup_printf("/local/domain/%u/" REASON, domid);
	return s;
}

void store_close(struct store *s)
{
	xs_close(s->xs);
	g_free(s->backend);
	g_free(s->frontend);
	g_free(s->reason);
	g_free(s);
}

bool store_domain_lives(struct store *s)
{
	return xs_is_domain_introduced(s->xs, s->domid);
}

/* Of the domain's own directory; the caller frees it. */
static char *read_domain(struct store *s, const char *key)
{
	char *path = g_strdup_printf("/local/domain/%u/%s", s->domid, key);
	unsigned int n;
	char *value = xs_read(s->xs, XBT_NULL, path, &n), *copy = g_strdup(value);

	free(value);
	g_free(path);
	return copy;
}

char *store_name(struct store *s)
{
	return read_domain(s, "name");
}

uint64_t store_memory(struct store *s)
{
	char *text = read_domain(s, "memory/static-max");
	guint64 kib = 0;

	if (text)
		g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64 >> 10, &kib, NULL);
	g_free(text);
	return kib << 10;
}

bool store_watch(struct store *s, int *fd)
{
	*fd = xs_fileno(s->xs);
	return *fd >= 0 && xs_watch(s->xs, RELEASE, "release") &&
	       xs_watch(s->xs, s->reason, REASON_TOKEN);
}

bool store_drain(struct store *s)
{
	bool reason = false;
	char **event;

	while ((event = xs_check_watch(s->xs))) {
		reason |= strcmp(event[XS_WATCH_TOKEN], REASON_TOKEN) == 0;
		free(event);
	}
	return reason;
}

static bool put(struct store *s, const char *dir, const char *key, const char *value)
{
	char *path = g_strdup_printf("%s/%s", dir, key);
	bool ok = value ? xs_write(s->xs, XBT_NULL, path, value, (unsigned int)strlen(value))
			: xs_rm(s->xs, XBT_NULL, path);

	g_free(path);
	return ok;
}

bool store_set(struct store *s, const char *key, const char *value)
{
	return put(s, s->backend, key, value);
}

/* The guest may read it and do nothing else. */
static bool show(struct store *s, const char *path)
{
	struct xs_permissions may[2] = {{.id = 0, .perms = XS_PERM_NONE},
					{.id = s->domid, .perms = XS_PERM_READ}};

	return xs_set_permissions(s->xs, XBT_NULL, path, may, 2);
}

bool store_forbid_saving(struct store *s, const char *why)
{
	char *domain = g_strdup_printf("/local/domain/%u", s->domid);
	char *now = read_domain(s, REASON);
	bool ok = true;

	/* Writing what is there already would fire the watch again, for ever. */
	if (g_strcmp0(now, why) != 0)
		ok = put(s, domain, REASON, why) && (!why || show(s, s->reason));
	g_free(now);
	g_free(domain);
	return ok;
}

bool store_set_state(struct store *s, const char *state)
{
	bool ok = put(s, s->frontend, "state", state) && put(s, s->frontend, "backend", s->backend);
	char *path = g_strdup_printf("%s/state", s->frontend);

	show(s, path);
	g_free(path);
	return put(s, s->backend, "frontend", s->frontend) && put(s, s->backend, "state", state) &&
	       ok;
}

void store_remove(struct store *s)
{
	char *path = g_strdup_printf("/local/domain/%u/vgpu-stub", s->domid);

	xs_rm(s->xs, XBT_NULL, path);
	g_free(path);
	path = g_strdup_printf("/local/domain/0/backend/vgpu-stub/%u", s->domid);
	xs_rm(s->xs, XBT_NULL, path);
	g_free(path);
}
