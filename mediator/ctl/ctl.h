/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gpu_mediatorctl: the options of a call, and the verbs. */
#ifndef VGPU_CTL_H
#define VGPU_CTL_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "client.h"

/* How the program ends; gpu_mediatorctl(1). */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_DAEMON = 3,
	CTL_NOT_PERMITTED = 4,
	CTL_NOT_FOUND = 5,
};

struct ctl {
	/* Options, as given. */
	gboolean json;
	char *socket;
	char *config;
	char *tenant, *kind, *since;
	gboolean follow;
	int lines; /* 0: not given */
	char *target, *mode, *gpu, *memory, *vm;
	char *sysfs;
	gboolean off;
	int wait;     /* -1: not given */
	int interval; /* 0: not given */
	gboolean once;
	gboolean version;
	/* What stands after the verb. */
	char **args;
	guint n_args;
};

/* How long the daemon may take to answer. */
#define CTL_TIMEOUT_MS 10000

/* A request on a connection of its own; prints what went wrong and sets *status. */
JsonNode *ctl_ask(const struct ctl *c, int *status, const char *verb, ...) G_GNUC_NULL_TERMINATED;

/* Says an error and which status it makes; frees it. */
int ctl_fail(GError *err);

/* JSON for programs, indented for those who look at it all the same. */
void ctl_print_json(JsonNode *node);

/* Is standard output a terminal that colours may go to? */
bool ctl_is_terminal(void);

/* ------------------------------------------------------------------ the verbs */
int ctl_status(struct ctl *c); /* show.c */
int ctl_tenants(struct ctl *c);
int ctl_sessions(struct ctl *c);
int ctl_top(struct ctl *c);  /* top.c */
int ctl_gpus(struct ctl *c); /* show_gpus.c */
int ctl_set(struct ctl *c);  /* change.c */
int ctl_evict(struct ctl *c);
int ctl_quarantine(struct ctl *c);
int ctl_drain(struct ctl *c);
int ctl_reload(struct ctl *c);
int ctl_audit(struct ctl *c);      /* show_audit.c */
int ctl_check(struct ctl *c);      /* check.c */
int ctl_args(struct ctl *c);       /* args.c */
int ctl_completion(struct ctl *c); /* completion.c */

/* main.c: what there is, for the completion and the help. */
struct ctl_verb {
	const char *name;
	const char *args;    /* as the help shows them */
	guint min, max;      /* how many */
	const char *options; /* beside --json, --socket and --help; with spaces between */
	const char *help;
	int (*run)(struct ctl *c);
};

extern const struct ctl_verb ctl_verbs[];
extern const guint ctl_n_verbs;

#endif /* VGPU_CTL_H */
