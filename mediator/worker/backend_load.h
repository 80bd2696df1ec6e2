/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding a backend: linked in, or a module beside us. */
#ifndef VGPU_WORKER_BACKEND_LOAD_H
#define VGPU_WORKER_BACKEND_LOAD_H

#include <glib.h>

#include "backend.h"

/*
 * `name`: cpu or cuda.  `libdir`: where to look for modules first, or NULL.
 * The table lives as long as the process.  NULL with `err` set on failure.
 */
const struct vgpu_backend_ops *backend_load(const char *name, const char *libdir, GError **err);

#endif /* VGPU_WORKER_BACKEND_LOAD_H */
