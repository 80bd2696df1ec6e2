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
#include "usage.h"
#include "worker_groups.h"

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
	faults_close(t->faults);
	worker_group_remove(t);
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
	t->faults = faults_open(t);
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

void tenant_publish(struct tenant *t)
{
	const struct policy *p = t->policy;
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
		.flags = t->flags,
		.sessions = t->sessions,
		.sessions_most = p->sessions,
		.context = (uint64_t)t->d->config->context_mib << 20,
	};

	tenant_limits_write(t->limits, &limits);
}

static bool same_rate(const struct policy_rate *a, const struct policy_rate *b)
{
	return a->rate == b->rate && a->burst == b->burst;
}

/* What was due at another rate, in ns, may be hours at this one: the bucket is full again. */
static void reset_buckets(struct tenant *t, const struct policy *next)
{
	if (!same_rate(&t->policy->calls, &next->calls))
		__atomic_store_n(&t->usage->calls_due, 0, __ATOMIC_RELAXED);
	if (!same_rate(&t->policy->bytes, &next->bytes))
		__atomic_store_n(&t->usage->bytes_due, 0, __ATOMIC_RELAXED);
}

void tenant_set_policy(struct tenant *t, const struct policy *p, bool own)
{
	if (t->policy && t->policy != p)
		reset_buckets(t, p);
	if (t->own && t->own != p)
		policy_free(t->own);
	t->own = own ? (struct policy *)p : NULL;
	t->policy = p;
	faults_policy(t);
	tenant_publish(t);
	turns_tenant(t);
	worker_group_limits(t);
}

bool tenant_enter_at(struct tenant *t, struct session *s, guint slot)
{
	if (slot >= TENANT_SESSIONS_MAX || t->slot[slot])
		return false;
	t->slot[slot] = s;
	t->sessions++;
	s->tenant = tenant_ref(t);
	s->slot = slot;
	tenant_publish(t);
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
	struct session_usage used;

	if (!t)
		return;
	usage_of_session(s, &used);
	usage_add(&t->gone, &used);
	memset(&t->usage->session[s->slot], 0, sizeof(t->usage->session[0]));
	t->slot[s->slot] = NULL;
	t->sessions--;
	tenant_publish(t);
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

/* What a session says that it is charged for; 0 if it is about to end. */
static uint64_t claim_of(const struct tenant *t, guint i)
{
	const struct session *s = t->slot[i];

	return s && s->state != SESSION_ENDING
		       ? __atomic_load_n(&t->usage->session[i].memory, __ATOMIC_RELAXED)
		       : 0;
}

/*
 * Until what is claimed fits a limit that was lowered.  A worker that lies is
 * found out by memory_watch.c.
 */
static void shed_memory(struct tenant *t)
{
	const uint64_t limit = t->policy->memory_percent ? POLICY_NO_LIMIT : t->policy->memory;

	for (guint round = 0; round < TENANT_SESSIONS_MAX; round++) {
		uint64_t sum = 0;
		guint most = 0;

		for (guint i = 0; i < TENANT_SESSIONS_MAX; i++) {
			if (__builtin_add_overflow(sum, claim_of(t, i), &sum))
				sum = UINT64_MAX;
			if (claim_of(t, i) > claim_of(t, most))
				most = i;
		}
		if (sum <= limit || !claim_of(t, most))
			return;
		session_evict(t->slot[most], AUDIT_MEMORY, -EDQUOT,
			      "its tenant may not have so much memory");
	}
}

void tenant_shed(struct tenant *t)
{
	guint living = 0;

	if (t->policy->over != POLICY_OVER_EVICT)
		return;
	shed_memory(t);
	for (guint i = 0; i < TENANT_SESSIONS_MAX; i++)
		living += t->slot[i] && t->slot[i]->state != SESSION_ENDING;
	for (; living > t->policy->sessions; living--)
		session_evict(youngest(t), AUDIT_SESSIONS, -EUSERS,
			      "its tenant may not have so many sessions");
}
