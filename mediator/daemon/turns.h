/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shares of GPU time: what leases.h decides, told to workers; and the end of
 * workers that hang with work on the GPU.
 *
 * Each GPU is shared by itself.  With [tenants] record the history of its
 * leases goes into a file, for leases_replay().
 */
#ifndef VGPU_DAEMON_TURNS_H
#define VGPU_DAEMON_TURNS_H

#include "control.h"
#include "daemon.h"
#include "leases.h"

struct session;
struct tenant;

/* False with `err` set if the record cannot be begun. */
bool turns_open(struct daemon *d, GError **err);
void turns_close(struct daemon *d);

/* A tenant's policy is in force; for a new one, too. */
void turns_tenant(struct tenant *t);
void turns_tenant_gone(struct tenant *t);

/* The worker of a session takes messages, and knows what it serves. */
void turns_enter(struct session *s);
/* Its process is gone; also for a session that never entered. */
void turns_leave(struct session *s);

/* A WANT or a RETURN, not checked. */
void turns_news(struct session *s, const struct ctl_turn_news *m);

/* What a tenant had of all GPUs so far, by leases; without credit_ns.  False: nobody knows. */
bool turns_account(const struct tenant *t, struct lease_account *out);

#endif /* VGPU_DAEMON_TURNS_H */
