/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: a GKeyFile, read and checked as a whole.  config.conf.in
 * is the reference of every key.  What the command line says goes before the
 * file, at start and at each reload.
 */
#ifndef VGPU_DAEMON_CONFIG_H
#define VGPU_DAEMON_CONFIG_H

#include <glib.h>
#include <sys/types.h>

#define CONFIG_GPUS_MAX 16u
#define CONFIG_GROUPS_MAX 16u

struct config {
	/* [daemon] */
	char *socket_path;
	guint socket_mode;
	char *socket_group; /* NULL: leave */
	char *runtime_dir;
	char *pid_file; /* NULL: <runtime_dir>/gpu_mediator.pid */
	char *log_file; /* NULL: standard error, or the journal */
	GLogLevelFlags log_level;
	gboolean log_commands;
	/* [backend] */
	char *backend; /* auto, cpu, cuda */
	guint device;
	char *devices;     /* NULL: `device` alone */
	char *library_dir; /* NULL: beside the worker, then the installed place */
	guint probe_timeout;
	/* [limits] */
	guint max_connections;
	guint max_sessions;
	guint max_queues;
	guint max_operand_mib;
	guint log_lines;
	guint handshake_timeout;
	guint start_timeout;
	guint adopt_timeout;
	/* [worker] */
	char *worker_path;     /* NULL: beside the daemon, then the installed place */
	char *worker_user;     /* NULL: the daemon's own */
	guint worker_uid_base; /* 0: no user for each tenant */
	char *worker_groups;   /* NULL: none */
	char *worker_confine;  /* try, require, off */
	char *worker_cgroup;   /* NULL: that of systemd's unit, if it is there */
	char *worker_visible;  /* NULL: nothing more */
	guint spin_us;
	/* [xen] */
	char *xen_domains; /* none, user, root */
	guint xen_uid_base;
	/* [audit] */
	char *audit_file; /* NULL: see config_audit_file() */
	guint audit_max_mib;
	guint audit_keep;
	guint audit_lines;
	/* [control] */
	char *admin_group; /* NULL: none */
	char *admin_users; /* names or numbers with a semicolon between them; NULL: none */
	char *monitor_users;
	/* [tenants] */
	char *tenants_dir;
	char *memory_watch;    /* NULL: with the cuda backend the one beside the daemon */
	guint context_mib;     /* what a context needs; a session has one for nothing */
	gboolean tenants_open; /* who is nobody's is let in */
	char *tenants_record;  /* of turns at the GPU; NULL: none */
	/* Found from the above. */
	guint gpus[CONFIG_GPUS_MAX]; /* numbers */
	guint ngpus;
	uid_t worker_uid;
	gid_t worker_gid;
	GArray *worker_gids; /* gid_t: more groups of theirs */
	gid_t socket_gid;
	gid_t admin_gid;
	GArray *admin_uids;   /* uid_t */
	GArray *monitor_uids; /* they read everything and change nothing */
};

/* The defaults.  Free with config_free(). */
struct config *config_new(void);
void config_free(struct config *c);

/*
 * Reads `path` over the defaults, then `overrides` (keys of [daemon] and
 * [backend] from the command line; may be NULL).  NULL with `err` set, naming
 * file, group and key, if anything is unknown or out of range.  `path` NULL:
 * no file.
 */
struct config *config_load(const char *path, GKeyFile *overrides, GError **err);

/*
 * Where the audit log goes.  A daemon with a runtime directory of its own has it
 * there if nothing else is said, so that it does not write into the system's.
 * The caller frees it.
 */
char *config_audit_file(const struct config *c);

/* The name of the first setting that differs and needs a restart, or NULL. */
const char *config_needs_restart(const struct config *now, const struct config *next);

/* What needs a restart stays in `next` as it is in `now`. */
void config_merge(struct config *next, const struct config *now);

#endif /* VGPU_DAEMON_CONFIG_H */
