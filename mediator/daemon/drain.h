/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host that is drained: no session may begin.  It stays so over restarts of
 * the daemon, as long as its runtime directory is there.
 */
#ifndef VGPU_DAEMON_DRAIN_H
#define VGPU_DAEMON_DRAIN_H

#include "daemon.h"

/* At start: as the daemon before us left it. */
void drain_open(struct daemon *d);
void drain_close(struct daemon *d);

/*
 * An administrator's word, which holds from now on.  False with `err` set: the
 * next daemon will not know of it.
 */
bool drain_set(struct daemon *d, bool on, GError **err);

/* Since when, by ISO 8601; NULL: it is not.  The caller frees it. */
char *drain_since(const struct daemon *d);

#endif /* VGPU_DAEMON_DRAIN_H */
