/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit log: every decision as one line of JSON.
 *
 *   {"time":"2026-11-27T08:15:02.120Z","kind":"session-refused","cause":"sessions",
 *    "tenant":"vm1","session":7,"reason":"...","details":{...}}
 *
 * tenant, session and details are left out where there are none.  The last
 * lines are kept in memory, all go to a file; see audit_file.h.  A file that
 * cannot be written stops nothing: what it lacks is counted, and said in the
 * log once and again when it is over.  Lines that a guest can cause are
 * limited for each tenant; how many were left out stands in a line of its own.
 * Everything is counted, also what is left out.
 */
#ifndef VGPU_AUDIT_H
#define VGPU_AUDIT_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

enum audit_kind {
	AUDIT_DAEMON, /* it began, it ends */
	AUDIT_SESSION_ALLOWED,
	AUDIT_SESSION_ENDED,
	AUDIT_SESSION_REFUSED,
	AUDIT_CONNECTION_REFUSED,
	AUDIT_OPERATION_REFUSED,
	AUDIT_LIMIT_REACHED,
	AUDIT_POLICY_CHANGED,
	AUDIT_EVICTION,
	AUDIT_FAULT, /* a session failed, by what it did */
	AUDIT_QUARANTINE,
	AUDIT_COMMAND,  /* an administrator's, allowed or refused */
	AUDIT_LEFT_OUT, /* lines of a tenant, by their rate */
	AUDIT_LOST,     /* lines that could not be written; the file works again */
	AUDIT_KINDS,
};

/* Why; for programs, as the reason is for people. */
enum audit_cause {
	AUDIT_NONE,
	AUDIT_NO_POLICY,  /* nobody's socket or user */
	AUDIT_PROTOCOL,   /* another release, or nonsense */
	AUDIT_HOST_LIMIT, /* of the daemon's configuration, for all together */
	AUDIT_SESSIONS,   /* the tenant's limits: */
	AUDIT_QUEUE_DEPTH,
	AUDIT_CLASS,
	AUDIT_GPUS, /* those that it may use are not there */
	AUDIT_MEMORY,
	AUDIT_RATE,
	AUDIT_TIME,        /* its share or cap of GPU time */
	AUDIT_KERNEL_TIME, /* a piece of GPU work took too long */
	AUDIT_HOST_PROCESSES,
	AUDIT_FAULTS,
	AUDIT_QUARANTINED,
	AUDIT_DRAINING,
	AUDIT_RESOURCES, /* the host is short of something, or a worker failed */
	AUDIT_ADMINISTRATOR,
	AUDIT_NOT_PERMITTED, /* at the control socket */
	AUDIT_CAUSES,
};

/* Kept in memory. */
#define AUDIT_RECENT 1000u

struct audit_about {
	const char *tenant; /* NULL: nobody's */
	uint64_t session;   /* 0: none */
};

struct audit_options {
	const char *file; /* NULL: memory only */
	uint64_t most;    /* bytes, before it is rotated */
	guint keep;       /* files of before */
	guint lines;      /* a tenant may cause in a second */
};

struct audit;

/*
 * NULL with `err` set if the file cannot be what it should; a file that only
 * has no room now is tried again later.
 */
struct audit *audit_new(const struct audit_options *o, GError **err);

/* Other options, and the file opened anew; on failure all stays as it was. */
bool audit_reopen(struct audit *a, const struct audit_options *o, GError **err);

/* With what is still owed: how many lines were left out. */
void audit_free(struct audit *a);

/*
 * Writes a line, and takes `details` (NULL: none), an object of strings,
 * numbers and booleans.  Bytes of guests may stand anywhere in the texts: what
 * is not printable is escaped here.  `a` NULL: does nothing but take details.
 */
void audit_write(struct audit *a, enum audit_kind kind, enum audit_cause cause,
		 const struct audit_about *about, JsonObject *details, const char *format, ...)
	G_GNUC_PRINTF(6, 7);

/* ------------------------------------------------------------- looking back */
struct audit_entry {
	uint64_t number; /* counts from 1, of this daemon */
	gint64 time;     /* microseconds since 1970 */
	enum audit_kind kind;
	char *tenant; /* NULL: nobody's */
	char *line;   /* without the newline */
};

struct audit_filter {
	const char *tenant; /* NULL: all */
	int kind;           /* -1: all */
	gint64 since;       /* not older */
	uint64_t after;     /* numbers above; 0: all */
	guint most;         /* entries: the oldest if `after`, else the newest; 0: all */
};

/* A new array of struct audit_entry, oldest first, which stay the log's: use it at once. */
GPtrArray *audit_find(const struct audit *a, const struct audit_filter *f);

uint64_t audit_last(const struct audit *a); /* the newest number */

struct audit_health {
	const char *file; /* NULL: none */
	int error;        /* a negative errno: the file cannot be written now */
	uint64_t lines;   /* all but those left out */
	uint64_t lost;    /* not in the file */
	uint64_t left_out;
};

void audit_health(const struct audit *a, struct audit_health *h);

/* How many decisions of a kind and cause about a tenant ("": nobody's), left out or not. */
typedef void (*audit_count_func)(const char *tenant, enum audit_kind kind, enum audit_cause cause,
				 uint64_t count, gpointer opaque);
void audit_counts(const struct audit *a, audit_count_func each, gpointer opaque);

const char *audit_kind_name(enum audit_kind kind);
int audit_kind_parse(const char *name); /* -1: no such kind */
const char *audit_cause_name(enum audit_cause cause);

#endif /* VGPU_AUDIT_H */
