/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way to the memory of a Xen domain. */
#include "foreign_load.h"

#include "module_load.h"

#define FOREIGN_MODULE "libvgpu-foreign-xen.so"

bool foreign_open(struct frames *f, uint32_t domid, const char *libdir, GError **err)
{
	const struct vgpu_foreign_ops *ops;
	struct vgpu_foreign *handle;
	module_function get = module_get(FOREIGN_MODULE, VGPU_FOREIGN_SYMBOL, libdir, "xen", err);

	if (!get)
		return false;
	ops = ((vgpu_foreign_get_fn)get)();
	if (!ops || ops->api != VGPU_FOREIGN_API) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s is of another version than this worker; install both of the same",
			    FOREIGN_MODULE);
		return false;
	}
	if (ops->open(&handle, domid, err) < 0)
		return false;
	if (frames_init(f, ops, handle, domid, FRAMES_CHUNKS_MAX) == 0)
		return true;
	ops->close(handle);
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "no memory for the table of mappings");
	return false;
}
