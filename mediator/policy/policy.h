/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a tenant may do, and how much of it: one GKeyFile for each tenant.
 *
 * No I/O but reading files, no clock, no daemon: the daemon, gpu_mediatorctl
 * and the tests use the same code.  gpu_mediator.tenant(5) is the reference of
 * every key.
 */
#ifndef VGPU_POLICY_H
#define VGPU_POLICY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Classes of operation; what belongs to each stands in doc/tenants.md. */
enum policy_class {
	POLICY_BUILTIN = 1u << 0,   /* the device's own commands */
	POLICY_MEMORY = 1u << 1,    /* CUDA contexts, allocations, copies, fills, streams, events */
	POLICY_KERNELS = 1u << 2,   /* images of the guest's own, and launches */
	POLICY_GRAPHS = 1u << 3,    /* captures and graphs */
	POLICY_CALLBACKS = 1u << 4, /* host functions in streams */
	POLICY_PINNED = 1u << 5,    /* host memory that the GPU reaches by address */
	POLICY_ADMIN = 1u << 6, /* the tenant's owner is an administrator at the control socket */
	POLICY_ALL = (1u << 7) - 1,
};

enum policy_level {
	POLICY_UNTRUSTED,
	POLICY_LOW,
	POLICY_MEDIUM,
	POLICY_HIGH,
	POLICY_SYSTEM,
};

#define POLICY_NO_LIMIT UINT64_MAX

/* A rate with a burst; `rate` 0: no limit. */
struct policy_rate {
	uint64_t rate;  /* a second */
	uint64_t burst; /* at once, after a time of nothing */
};

enum policy_placement { POLICY_PACK, POLICY_SPREAD };

/* Whether a limit that was lowered ends what is over it, or only keeps it from growing. */
enum policy_over { POLICY_OVER_REFUSE, POLICY_OVER_EVICT };

struct policy {
	char *name; /* of the tenant: the file's, without .conf */
	char *path; /* of the file; NULL: made by policy_new() */
	enum policy_level level;
	/* Who it is. */
	char *socket; /* of its own; NULL: none */
	guint socket_mode;
	uid_t socket_uid; /* (uid_t)-1: the daemon's */
	gid_t socket_gid;
	GArray *uids; /* uid_t: who at the shared socket is this tenant */
	uid_t owner;  /* who may read it at the control socket; (uid_t)-1: root alone */
	/* What it may. */
	uint32_t classes; /* enum policy_class */
	GArray *gpus;     /* guint; empty: any */
	enum policy_placement placement;
	/* How much of it, all sessions together. */
	uint64_t memory;      /* bytes of device memory; POLICY_NO_LIMIT */
	guint memory_percent; /* of the GPU's; 0: `memory` counts */
	guint weight;         /* 1 to 10000: shares of GPU time are as the weights */
	guint cap_percent;    /* of GPU time, also where nobody else wants it; 100: none */
	guint sessions;
	guint queue_depth; /* slots of a session's request ring */
	struct policy_rate calls;
	struct policy_rate bytes;
	uint64_t kernel_ns; /* longest piece of GPU work; POLICY_NO_LIMIT */
	/* Of the host, workers of all sessions together; 0: by the number of sessions. */
	uint64_t host_memory; /* bytes; POLICY_NO_LIMIT */
	guint host_processes; /* threads count as well */
	enum policy_over over;
	/* Faults: so many within that time cost a quarantine, which doubles up to its most. */
	guint faults; /* 0: never */
	uint64_t faults_ns;
	uint64_t quarantine_ns;
	uint64_t quarantine_most_ns;
};

/* A level's values under a name, for nobody yet.  policy_free() it. */
struct policy *policy_new(const char *name, enum policy_level level);
void policy_free(struct policy *p);

/*
 * Reads and checks one file.  NULL with `err` set, naming file, group and key,
 * what is wrong and what would be right, if anything in it is unknown or out
 * of range.
 */
struct policy *policy_load(const char *path, GError **err);

/* As policy_load(), from memory; for tests and fuzzers. */
struct policy *policy_parse(const char *name, const char *text, gsize length, GError **err);

/*
 * A copy of `p` in which one key has another value: "weight", or with its group
 * "limits.weight".  Of [allowed], [limits] and [faults]; who a tenant is stands
 * in its file alone.  NULL with `err` set as by policy_load().
 */
struct policy *policy_change(const struct policy *p, const char *key, const char *value,
			     GError **err);

/* Do they say the same, but for where they were read? */
bool policy_same(const struct policy *a, const struct policy *b);

/* All tenants, checked together: no name, socket or user twice. */
struct policy_set;

/* Every *.conf of a folder.  A folder that is not there: an empty set. */
struct policy_set *policy_set_load(const char *folder, GError **err);

/*
 * As policy_set_load(), but says all that is wrong, a GError for each fault, in
 * an array that the caller frees, and returns the tenants that are right.
 */
struct policy_set *policy_set_check(const char *folder, GPtrArray **wrong);

struct policy_set *policy_set_new(void);
/* Takes `p`; false with `err` set, and `p` freed, if it does not go with the others. */
bool policy_set_add(struct policy_set *set, struct policy *p, GError **err);
void policy_set_free(struct policy_set *set);

guint policy_set_count(const struct policy_set *set);
/* In the order of names. */
const struct policy *policy_set_at(const struct policy_set *set, guint i);
const struct policy *policy_set_find(const struct policy_set *set, const char *name);
/* Whose own socket this is, or who this user is at the shared socket; NULL: nobody's. */
const struct policy *policy_set_by_socket(const struct policy_set *set, const char *path);
const struct policy *policy_set_by_uid(const struct policy_set *set, uid_t uid);

/* Device memory that the tenant may have on a GPU with so much. */
uint64_t policy_memory_on(const struct policy *p, uint64_t total);

/* What its workers may have of the host. */
uint64_t policy_host_memory(const struct policy *p);
guint policy_host_processes(const struct policy *p);

/* A GPU that there is, and how many sessions it has. */
struct policy_gpu {
	guint number;
	guint own; /* of the tenant that is asked about */
	guint all;
};

/*
 * Where a new session of the tenant goes, one of the `n`; NULL: it may use none
 * of them.  Among GPUs with as many of its own, to the one with the fewest of
 * all, and then to the first.
 */
const struct policy_gpu *policy_place(const struct policy *p, const struct policy_gpu *gpus,
				      guint n);

/* "90s", "10m" in nanoseconds; units are ns, us, ms, s, m and h.  False: it is none, or over a
 * year. */
bool policy_time_parse(const char *text, uint64_t *ns);

const char *policy_level_name(enum policy_level level);
/* "builtin;memory"; the caller frees it. */
char *policy_classes_text(uint32_t classes);

#endif /* VGPU_POLICY_H */
