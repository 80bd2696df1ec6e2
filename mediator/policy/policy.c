/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One tenant's policy: its life, and what can be asked of it. */
#include <string.h>

#include "policy_priv.h"
#include "vgpu_abi.h"

#define SECOND 1000000000ull

static const char *const class_names[] = {"builtin",   "memory", "kernels", "graphs",
					  "callbacks", "pinned", "admin"};

_Static_assert((1u << G_N_ELEMENTS(class_names)) - 1 == POLICY_ALL, "a name for each class");

struct policy *policy_new(const char *name, enum policy_level level)
{
	struct policy *p = g_new0(struct policy, 1);

	p->name = g_strdup(name);
	p->socket_mode = 0660;
	p->socket_uid = (uid_t)-1;
	p->socket_gid = (gid_t)-1;
	p->uids = g_array_new(FALSE, FALSE, sizeof(uid_t));
	p->owner = (uid_t)-1;
	p->gpus = g_array_new(FALSE, FALSE, sizeof(guint));
	p->placement = POLICY_PACK;
	p->cap_percent = 100;
	p->queue_depth = VGPU_SLOTS_MAX;
	p->over = POLICY_OVER_REFUSE;
	p->faults_ns = 60 * SECOND;
	p->quarantine_ns = 10 * SECOND;
	p->quarantine_most_ns = 3600 * SECOND;
	policy_set_level(p, level);
	return p;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	g_free(p->name);
	g_free(p->path);
	g_free(p->socket);
	g_array_free(p->uids, TRUE);
	g_array_free(p->gpus, TRUE);
	g_free(p);
}

bool policy_name_is_good(const char *name)
{
	size_t length = strlen(name);

	if (!g_ascii_isalnum(name[0]) || length > POLICY_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!g_ascii_isalnum(name[i]) && !strchr("._-", name[i]))
			return false;
	}
	return true;
}

/*
 * A CUDA context takes some hundred MiB of the host, its driver and compiler
 * some dozen threads.  A guest's RAM counts for who touches a page first, which
 * may be the worker.
 */
#define HOST_MEMORY_EACH (4ull << 30)
#define HOST_PROCESSES_EACH 256u

uint64_t policy_host_memory(const struct policy *p)
{
	return p->host_memory ? p->host_memory : p->sessions * HOST_MEMORY_EACH;
}

guint policy_host_processes(const struct policy *p)
{
	return p->host_processes ? p->host_processes : p->sessions * HOST_PROCESSES_EACH;
}

uint64_t policy_memory_on(const struct policy *p, uint64_t total)
{
	/* Not total * percent / 100, which would not fit for the largest totals. */
	if (p->memory_percent)
		return total / 100 * p->memory_percent + total % 100 * p->memory_percent / 100;
	return MIN(p->memory, total);
}

uint32_t policy_class_parse(const char *text)
{
	for (size_t i = 0; i < G_N_ELEMENTS(class_names); i++) {
		if (strcmp(class_names[i], text) == 0)
			return 1u << i;
	}
	return 0;
}

char *policy_classes_text(uint32_t classes)
{
	GString *s = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(class_names); i++) {
		if (classes & 1u << i)
			g_string_append_printf(s, "%s%s", s->len ? ";" : "", class_names[i]);
	}
	return g_string_free(s, FALSE);
}
