/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histories of leases as text, to be kept and played again.
 *
 * One line each; numbers are decimal, times in ns:
 *
 *   leases 1 QUANTUM ROUND DRAIN PERIOD      the beginning
 *   e TIME tenant TENANT WEIGHT CAP          events
 *   e TIME tenant-gone TENANT
 *   e TIME session SESSION TENANT
 *   e TIME session-gone SESSION
 *   e TIME wants SESSION
 *   e TIME returns SESSION SERIAL 0|1
 *   e TIME timer
 *   a SESSION free|wait                      what was told after the event before
 *   a SESSION grant|revoke SERIAL UNTIL|open
 *
 * Other lines, such as the end of one that a dying daemon did not finish, are
 * errors, except after the last whole line.
 */
#ifndef VGPU_LEASES_RECORD_H
#define VGPU_LEASES_RECORD_H

#include <glib.h>

#include "leases.h"

/* Each appends lines to `out`. */
void leases_record_begin(GString *out, const struct leases_config *config);
void leases_record_step(GString *out, uint64_t now, const struct lease_event *e,
			const struct lease_action *a, size_t n);

/* Called after each event that was played. */
typedef void (*leases_replay_fn)(const struct leases *l, uint64_t now, const struct lease_event *e,
				 void *opaque);

/*
 * Plays a history: the number of events, or -1 with `err` set, naming the line,
 * where the text is not one, or where other words come out than it holds.
 */
gint64 leases_replay(const char *text, leases_replay_fn after, void *opaque, GError **err);

#endif /* VGPU_LEASES_RECORD_H */
