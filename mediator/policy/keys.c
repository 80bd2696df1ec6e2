/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a tenant's file: what each may be, and where it goes. */
#include "keys.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/un.h>

#include "policy_priv.h"
#include "vgpu_abi.h"

_Static_assert(VGPU_SLOTS_MIN == 256 && VGPU_SLOTS_MAX == 4096, "as queue-depth says");

static void *field(struct policy *p, const struct policy_key *k)
{
	return (char *)p + k->offset;
}

static bool store_level(struct policy *p, const struct policy_key *k, const char *text)
{
	enum policy_level level;

	(void)p;
	(void)k;
	return policy_level_parse(text, &level); /* in force since before the other keys */
}

static bool store_socket(struct policy *p, const struct policy_key *k, const char *text)
{
	(void)k;
	if (!g_path_is_absolute(text) ||
	    strlen(text) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return false;
	g_free(p->socket);
	p->socket = g_canonicalize_filename(text, NULL); /* the same one must look the same */
	return true;
}

static bool store_mode(struct policy *p, const struct policy_key *k, const char *text)
{
	guint64 mode;

	if (!g_ascii_string_to_unsigned(text, 8, 0, 0777, &mode, NULL))
		return false;
	*(guint *)field(p, k) = (guint)mode;
	return true;
}

static bool find_user(const char *text, uid_t *uid)
{
	const struct passwd *pw;
	guint64 number;

	/* The highest means nobody. */
	if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
		*uid = (uid_t)number;
		return true;
	}
	pw = *text ? getpwnam(text) : NULL;
	if (pw)
		*uid = pw->pw_uid;
	return pw != NULL;
}

static bool store_user(struct policy *p, const struct policy_key *k, const char *text)
{
	return find_user(text, field(p, k));
}

static bool store_group(struct policy *p, const struct policy_key *k, const char *text)
{
	const struct group *gr;
	guint64 number;

	if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
		*(gid_t *)field(p, k) = (gid_t)number;
		return true;
	}
	gr = *text ? getgrnam(text) : NULL;
	if (gr)
		*(gid_t *)field(p, k) = gr->gr_gid;
	return gr != NULL;
}

/* Calls `each` for what stands between semicolons; there must be one at least. */
static bool for_each(const char *text, bool (*each)(void *to, const char *item), void *to)
{
	char **items = g_strsplit(text, ";", -1);
	guint n = g_strv_length(items);
	bool ok;

	if (n && !*g_strstrip(items[n - 1])) /* GKeyFile's lists may end with one */
		n--;
	ok = n > 0;
	for (guint i = 0; ok && i < n; i++)
		ok = each(to, g_strstrip(items[i]));
	g_strfreev(items);
	return ok;
}

static bool add_user(void *to, const char *item)
{
	uid_t uid;

	if (!find_user(item, &uid))
		return false;
	g_array_append_val((GArray *)to, uid);
	return true;
}

static bool store_users(struct policy *p, const struct policy_key *k, const char *text)
{
	GArray *uids = *(GArray **)field(p, k);

	g_array_set_size(uids, 0);
	return for_each(text, add_user, uids);
}

static bool add_class(void *to, const char *item)
{
	uint32_t bit = policy_class_parse(item);

	*(uint32_t *)to |= bit;
	return bit != 0;
}

static bool store_classes(struct policy *p, const struct policy_key *k, const char *text)
{
	uint32_t *classes = field(p, k);

	*classes = 0;
	return for_each(text, add_class, classes);
}

static bool add_gpu(void *to, const char *item)
{
	guint64 number;
	guint gpu;

	if (!g_ascii_string_to_unsigned(item, 10, 0, 255, &number, NULL))
		return false;
	gpu = (guint)number;
	g_array_append_val((GArray *)to, gpu);
	return true;
}

static bool store_gpus(struct policy *p, const struct policy_key *k, const char *text)
{
	GArray *gpus = *(GArray **)field(p, k);

	g_array_set_size(gpus, 0);
	return strcmp(text, "any") == 0 || for_each(text, add_gpu, gpus);
}

static bool store_placement(struct policy *p, const struct policy_key *k, const char *text)
{
	(void)k;
	p->placement = strcmp(text, "spread") == 0 ? POLICY_SPREAD : POLICY_PACK;
	return strcmp(text, "spread") == 0 || strcmp(text, "pack") == 0;
}

static bool store_over(struct policy *p, const struct policy_key *k, const char *text)
{
	(void)k;
	p->over = strcmp(text, "evict") == 0 ? POLICY_OVER_EVICT : POLICY_OVER_REFUSE;
	return strcmp(text, "evict") == 0 || strcmp(text, "refuse") == 0;
}

static bool store_memory(struct policy *p, const struct policy_key *k, const char *text)
{
	(void)k;
	p->memory = POLICY_NO_LIMIT;
	p->memory_percent = 0;
	return strcmp(text, "none") == 0 || policy_percent_parse(text, &p->memory_percent) ||
	       policy_size_parse(text, &p->memory);
}

static bool store_size_limit(struct policy *p, const struct policy_key *k, const char *text)
{
	uint64_t *size = field(p, k);

	*size = POLICY_NO_LIMIT;
	return strcmp(text, "none") == 0 || (policy_size_parse(text, size) && *size);
}

static bool store_number(struct policy *p, const struct policy_key *k, const char *text)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(text, 10, k->min, k->max, &number, NULL))
		return false;
	*(guint *)field(p, k) = (guint)number;
	return true;
}

static bool store_percent(struct policy *p, const struct policy_key *k, const char *text)
{
	guint *percent = field(p, k);

	*percent = 100;
	return strcmp(text, "none") == 0 || policy_percent_parse(text, percent);
}

/* What a second may have may come at once, unless a burst says otherwise. */
static bool store_rate(struct policy *p, const struct policy_key *k, const char *text)
{
	struct policy_rate *rate = field(p, k);

	*rate = (struct policy_rate){0, 0};
	if (strcmp(text, "none") == 0)
		return true;
	if (!policy_size_parse(text, &rate->rate) || !rate->rate)
		return false;
	rate->burst = rate->rate;
	return true;
}

static bool store_burst(struct policy *p, const struct policy_key *k, const char *text)
{
	uint64_t *burst = field(p, k);

	return policy_size_parse(text, burst) && *burst;
}

static bool store_time(struct policy *p, const struct policy_key *k, const char *text)
{
	uint64_t *ns = field(p, k);

	return policy_time_parse(text, ns) && *ns;
}

static bool store_time_limit(struct policy *p, const struct policy_key *k, const char *text)
{
	*(uint64_t *)field(p, k) = POLICY_NO_LIMIT;
	return strcmp(text, "none") == 0 || store_time(p, k, text);
}

#define RIGHT_USER "a user of this system, by name or number"
#define RIGHT_RATE "a number such as 5000 or 64M, or none"
#define RIGHT_BURST "a number such as 5000 or 64M"
#define RIGHT_TIME "a time such as 100ms, 2s or 5m"

#define KEY(group, name, store, member, ...)                                     \
	{                                                                        \
		group, name, store, offsetof(struct policy, member), __VA_ARGS__ \
	}

const struct policy_key policy_keys[] = {
	KEY("tenant", "level", store_level, level, 0, 0, "untrusted, low, medium, high or system"),
	KEY("tenant", "socket", store_socket, socket, 0, 0,
	    "an absolute path of at most 107 bytes"),
	KEY("tenant", "socket-mode", store_mode, socket_mode, 0, 0,
	    "an octal mode of at most 0777"),
	KEY("tenant", "socket-user", store_user, socket_uid, 0, 0, RIGHT_USER),
	KEY("tenant", "socket-group", store_group, socket_gid, 0, 0,
	    "a group of this system, by name or number"),
	KEY("tenant", "users", store_users, uids, 0, 0,
	    "a list of users of this system, by name or number, with semicolons between them"),
	KEY("tenant", "owner", store_user, owner, 0, 0, RIGHT_USER),
	KEY("allowed", "classes", store_classes, classes, 0, 0,
	    "a list of builtin, memory, kernels, graphs, callbacks, pinned and admin, with "
	    "semicolons between them"),
	KEY("allowed", "gpus", store_gpus, gpus, 0, 0,
	    "any, or a list of numbers from 0 to 255 with semicolons between them"),
	KEY("allowed", "placement", store_placement, placement, 0, 0, "pack or spread"),
	KEY("limits", "memory", store_memory, memory, 0, 0,
	    "a size such as 512M, a share of the GPU's such as 25%, or none"),
	KEY("limits", "weight", store_number, weight, 1, 10000, NULL),
	KEY("limits", "cap", store_percent, cap_percent, 0, 0, "a share from 1% to 100%, or none"),
	KEY("limits", "sessions", store_number, sessions, 1, 256, NULL),
	KEY("limits", "queue-depth", store_number, queue_depth, 256, 4096, NULL),
	KEY("limits", "calls-per-second", store_rate, calls, 0, 0, RIGHT_RATE),
	KEY("limits", "calls-burst", store_burst, calls.burst, 0, 0, RIGHT_BURST),
	KEY("limits", "bytes-per-second", store_rate, bytes, 0, 0, RIGHT_RATE),
	KEY("limits", "bytes-burst", store_burst, bytes.burst, 0, 0, RIGHT_BURST),
	KEY("limits", "longest-kernel", store_time_limit, kernel_ns, 0, 0, RIGHT_TIME ", or none"),
	KEY("limits", "host-memory", store_size_limit, host_memory, 0, 0,
	    "a size such as 16G, or none"),
	KEY("limits", "host-processes", store_number, host_processes, 1, 1000000, NULL),
	KEY("limits", "over-limit", store_over, over, 0, 0, "refuse or evict"),
	KEY("faults", "faults", store_number, faults, 0, 1000, NULL),
	KEY("faults", "within", store_time, faults_ns, 0, 0, RIGHT_TIME),
	KEY("faults", "quarantine", store_time, quarantine_ns, 0, 0, RIGHT_TIME),
	KEY("faults", "quarantine-most", store_time, quarantine_most_ns, 0, 0, RIGHT_TIME),
};

const size_t policy_n_keys = G_N_ELEMENTS(policy_keys);
