/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One tenant: its pages and the slots of its sessions. */
#include "tenant.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"
#include "session.h"
#include "turns.h"

/* Linux 5.1; older headers do not name it. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

_Static_assert(TENANT_NO_LIMIT == POLICY_NO_LIMIT, "one word for it");

/* A memfd whose size nobody can change, mapped.  NULL with errno. */
static void *make_page(const char *name, size_t size, int seals, int *fd)
{
	void *page = MAP_FAILED;

	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Nobody but the owner may open it anew, and so for writing, by /proc. */
	if (*fd >= 0 && fchmod(*fd, S_IRUSR) == 0 && ftruncate(*fd, (off_t)size) == 0)
		page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (page == MAP_FAILED)
		return NULL;
	if (fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals) == 0)
		return page;
	munmap(page, size);
	return NULL;
}

/* The mapping that we have is the only one that can be written to, for ever. */
static bool make_limits(struct tenant *t)
{
	char path[64];
	int fd;

	t->limits = make_page("vgpu-limits", TENANT_LIMITS_BYTES, F_SEAL_FUTURE_WRITE, &fd);
	if (t->limits) {
		g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		t->limits_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	fdio_clear(&fd);
	return t->limits_fd >= 0;
}

static bool make_usage(struct tenant *t)
{
	t->usage = make_page("vgpu-usage", TENANT_USAGE_BYTES, 0, &t->usage_fd);
	if (!t->usage)
		return false;
	t->usage->version = TENANT_PAGE_VERSION;
	return true;
}

static void destroy(struct tenant *t)
{
	turns_tenant_gone(t);
	if (t->limits)
		munmap(t->limits, TENANT_LIMITS_BYTES);
	if (t->usage)
		munmap(t->usage, TENANT_USAGE_BYTES);
	fdio_clear(&t->limits_fd);
	fdio_clear(&t->usage_fd);
	policy_free(t->own);
	g_free(t->name);
	g_free(t);
}

struct tenant *tenant_new(struct daemon *d, const char *name, GError **err)
{
	struct tenant *t = g_new0(struct tenant, 1);
	int code;

	t->d = d;
	t->name = g_strdup(name);
	t->refs = 1;
	t->limits_fd = t->usage_fd = -1;
	if (make_limits(t) && make_usage(t))
		return t;
	code = errno;
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code),
		    "tenant %s: no memory to share with its workers: %s", name, g_strerror(code));
	destroy(t);
	return NULL;
}

struct tenant *tenant_ref(struct tenant *t)
{
	t->refs++;
	return t;
}

void tenant_unref(struct tenant *t)
{
	if (--t->refs)
		return;
	/* Unless it came back under the same name. */
	if (g_hash_table_lookup(t->d->tenants, t->name) == t)
		g_hash_table_remove(t->d->tenants, t->name);
	destroy(t);
}

void tenant_set_policy(struct tenant *t, const struct policy *p, bool own)
{
	const struct tenant_limits limits = {
		.classes = p->classes,
		.weight = p->weight,
		.memory = p->memory,
		.calls_rate = p->calls.rate,
		.calls_burst = p->calls.burst,
		.bytes_rate = p->bytes.rate,
		.bytes_burst = p->bytes.burst,
		.kernel_ns = p->kernel_ns,
		.cap_percent = p->cap_percent,
		.memory_percent = p->memory_percent,
	};

	if (t->own && t->own != p)
		policy_free(t->own);
	t->own = own ? (struct policy *)p : NULL;
	t->policy = p;
	tenant_limits_write(t->limits, &limits);
	turns_tenant(t);
}

bool tenant_enter_at(struct tenant *t, struct session *s, guint slot)
{
	if (slot >= TENANT_SESSIONS_MAX || t->slot[slot])
		return false;
	t->slot[slot] = s;
	t->sessions++;
	s->tenant = tenant_ref(t);
	s->slot = slot;
	return true;
}

bool tenant_enter(struct tenant *t, struct session *s)
{
	guint slot = 0;

	if (t->sessions >= t->policy->sessions)
		return false;
	while (slot < TENANT_SESSIONS_MAX && t->slot[slot])
		slot++;
	return tenant_enter_at(t, s, slot);
}

void tenant_leave(struct session *s)
{
	struct tenant *t = s->tenant;

	if (!t)
		return;
	memset(&t->usage->session[s->slot], 0, sizeof(t->usage->session[0]));
	t->slot[s->slot] = NULL;
	t->sessions--;
	s->tenant = NULL;
	tenant_unref(t);
}

static struct session *youngest(const struct tenant *t)
{
	struct session *found = NULL;

	for (guint i = 0; i < TENANT_SESSIONS_MAX; i++) {
		struct session *s = t->slot[i];

		if (s && s->state != SESSION_ENDING && (!found || s->id > found->id))
			found = s;
	}
	return found;
}

void tenant_shed(struct tenant *t)
{
	guint living = 0;

	if (t->policy->over != POLICY_OVER_EVICT)
		return;
	for (guint i = 0; i < TENANT_SESSIONS_MAX; i++)
		living += t->slot[i] && t->slot[i]->state != SESSION_ENDING;
	for (; living > t->policy->sessions; living--)
		session_kill(youngest(t), -EUSERS, "its tenant may not have so many sessions");
}
