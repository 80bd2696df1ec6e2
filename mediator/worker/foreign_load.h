/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way to the memory of a Xen domain. */
#ifndef VGPU_WORKER_FOREIGN_LOAD_H
#define VGPU_WORKER_FOREIGN_LOAD_H

#include <glib.h>
#include <stdbool.h>

#include "frames.h"

/*
 * Loads the module and opens a way to the memory of `domid` alone.  Called
 * while there is still the privilege to.  False with `err` set.
 */
bool foreign_open(struct frames *f, uint32_t domid, const char *libdir, GError **err);

#endif /* VGPU_WORKER_FOREIGN_LOAD_H */
