/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the workers' confinement could not be had on this host. */
#include "confinement.h"

#include "control.h"

static const struct {
	const char *name;
	const char *words;
} parts[] = {
	{"user", "they have the daemon's user: it must be root, and [worker] uid-base or user set"},
	{"capabilities", "they keep capabilities"},
	{"namespaces", "they share network, IPC and host name with the host"},
	{"root", "they see the host's file system"},
	{"system-calls", "they have all system calls: the kernel has no filters, or this was "
			 "built without libseccomp or with a sanitizer"},
	{"cgroup", "memory and processes of a tenant are not limited: no cgroup is delegated"},
};

_Static_assert(CTL_CONFINED_ALL == (1u << G_N_ELEMENTS(parts)) - 1, "each part has a name");

const char *confinement_part(guint bit)
{
	return bit < G_N_ELEMENTS(parts) ? parts[bit].name : NULL;
}

void confinement_missing(struct daemon *d, uint32_t missing)
{
	for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
		if (missing & ~d->unconfined & 1u << i)
			log_warning(NULL, "workers are less confined than they could be: %s",
				    parts[i].words);
	}
	d->unconfined |= missing & CTL_CONFINED_ALL;
}
