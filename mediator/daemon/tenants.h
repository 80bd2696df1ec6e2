/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All tenants: who a connection is, and the change from one set of policies to
 * another as a whole.
 *
 * d->tenants has every struct tenant by name, also one whose policy is gone
 * while something of it still ends.
 */
#ifndef VGPU_DAEMON_TENANTS_H
#define VGPU_DAEMON_TENANTS_H

#include "tenant.h"
#include "vgpu_socket.h"

struct client;

/* No tenants yet. */
void tenants_init(struct daemon *d);

/* NULL: there is none of this name.  No new reference. */
struct tenant *tenants_find(struct daemon *d, const char *name);

/*
 * A change that is prepared: all files are read and checked, all new sockets
 * are there, and nothing has changed for anybody.
 */
struct tenants_change;

/* NULL with `err` set if anything is wrong. */
struct tenants_change *tenants_prepare(struct daemon *d, const struct config *next, GError **err);

/* Exactly one of these follows. */
void tenants_commit(struct tenants_change *c);
void tenants_abandon(struct tenants_change *c);

/*
 * Who a client is, by the socket it came in on and its user.  A new reference;
 * NULL with a reason for the guest and its administrator if it is nobody.
 */
struct tenant *tenants_identify(struct client *c, char reason[VGPU_REASON_MAX]);

/* The tenant of a session that was found again, a new reference; NULL: it may not go on. */
struct tenant *tenants_again(struct daemon *d, const char *name);

/* The end: no socket, no tenant. */
void tenants_close(struct daemon *d);

#endif /* VGPU_DAEMON_TENANTS_H */
