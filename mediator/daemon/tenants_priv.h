/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of tenants.h's implementation know of each other. */
#ifndef VGPU_DAEMON_TENANTS_PRIV_H
#define VGPU_DAEMON_TENANTS_PRIV_H

#include "listener.h"
#include "tenants.h"

/* The one of this name, without a policy if it is new; a new reference. */
struct tenant *tenants_make(struct daemon *d, const char *name, GError **err);

/* Whose this connection would be with these policies; NULL: nobody's. */
const struct policy *tenants_policy_of(const struct policy_set *set, const struct client *c);

#endif /* VGPU_DAEMON_TENANTS_PRIV_H */
