/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modules of the worker: backends and ways to guest memory, each with one function that it exports.
 */
#ifndef VGPU_WORKER_MODULE_LOAD_H
#define VGPU_WORKER_MODULE_LOAD_H

#include <glib.h>

/* To be cast to what it is. */
typedef void (*module_function)(void);

/*
 * Loads `file` and finds the function `symbol` in it.  It is looked for in `libdir` (may be
 * NULL), in $VGPU_BACKEND_DIR, beside this program, in `build` beneath that
 * (the build tree), and in the installed place.  It stays loaded.  NULL with
 * `err` set, which says so if it is not installed.
 */
module_function module_get(const char *file, const char *symbol, const char *libdir,
			   const char *build, GError **err);

#endif /* VGPU_WORKER_MODULE_LOAD_H */
