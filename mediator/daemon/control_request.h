/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request at the control socket: one line of JSON, checked as a whole.
 * protocol/control.md is the specification.  Pure: no daemon, no I/O.
 */
#ifndef VGPU_CONTROL_REQUEST_H
#define VGPU_CONTROL_REQUEST_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a request, with its newline. */
#define CONTROL_LINE_MAX 4096u

enum control_verb {
	CONTROL_STATUS,
	CONTROL_TENANTS,
	CONTROL_SESSIONS,
	CONTROL_AUDIT,
	CONTROL_SET,
	CONTROL_EVICT,
	CONTROL_QUARANTINE,
	CONTROL_DRAIN,
	CONTROL_RELOAD,
	CONTROL_VERBS,
};

struct control_request {
	enum control_verb verb;
	char *id;         /* as JSON, to be put into the answer; NULL: none */
	char *tenant;     /* NULL: none said */
	uint64_t session; /* 0: none said */
	char *key, *value;
	char *time;   /* NULL: none said */
	int kind;     /* enum audit_kind; -1: all */
	gint64 since; /* microseconds since 1970; 0: from the beginning */
	uint64_t after;
	guint most; /* 0: none said */
	bool off;
};

/*
 * Parses a line of `length` bytes, without its newline.  NULL, or in words
 * what is wrong with it, which the caller frees; `r` then has the id, as far
 * as one was understood.  control_request_clear() it in both cases.
 */
char *control_request_parse(struct control_request *r, const char *line, size_t length);
void control_request_clear(struct control_request *r);

const char *control_verb_name(enum control_verb verb);

/* Does it change anything?  Then it is for administrators, and is written down. */
bool control_verb_changes(enum control_verb verb);

#endif /* VGPU_CONTROL_REQUEST_H */
