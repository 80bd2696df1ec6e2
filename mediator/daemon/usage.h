/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sessions and tenants have used, for people and metrics to look at.
 *
 * The numbers come from pages that workers write; a worker that its guest took
 * over writes what it likes.  Each is read once, and sums do not run over.
 */
#ifndef VGPU_DAEMON_USAGE_H
#define VGPU_DAEMON_USAGE_H

#include "tenant_page.h"

struct session;
struct tenant;

/* One session's now; all zero if it has no slot. */
void usage_of_session(const struct session *s, struct session_usage *u);

/* A tenant's, of all sessions there are and were; `memory` of those there are. */
void usage_of_tenant(const struct tenant *t, struct session_usage *u);

/* Adds what has been counted in `u` to `sum`; memory_most is the larger one. */
void usage_add(struct session_usage *sum, const struct session_usage *u);

#endif /* VGPU_DAEMON_USAGE_H */
