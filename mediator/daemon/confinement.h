/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What workers are to give up, and what of that could not be had on this host. */
#ifndef VGPU_DAEMON_CONFINEMENT_H
#define VGPU_DAEMON_CONFINEMENT_H

#include "daemon.h"

/*
 * Adds to a worker's arguments who it is to be and what it is to give up.
 * `processes`: how many its tenant may have.  False with `err` set: there is no
 * user for it.
 */
bool confinement_arguments(struct daemon *d, const char *tenant, guint processes, GPtrArray *argv,
			   GError **err);

/* A worker, or the daemon for it, could not have these (enum ctl_confined_part): said once each. */
void confinement_missing(struct daemon *d, uint32_t parts);

/* The name of the part with this bit, for who asks; NULL: there is no such part. */
const char *confinement_part(guint bit);

#endif /* VGPU_DAEMON_CONFINEMENT_H */
