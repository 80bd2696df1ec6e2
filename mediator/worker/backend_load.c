/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding a backend: linked in, or a module beside us. */
#include "backend_load.h"

#include <string.h>

#include "module_load.h"

static const struct vgpu_backend_ops *load(const char *file, const char *libdir, GError **err)
{
	const struct vgpu_backend_ops *ops;
	module_function get = module_get(file, VGPU_BACKEND_SYMBOL, libdir, "backends/cuda", err);

	if (!get)
		return NULL;
	ops = ((vgpu_backend_get_fn)get)();
	if (!ops || ops->api != VGPU_BACKEND_API) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s speaks backend interface %u, this worker %u; install both of the "
			    "same version",
			    file, ops ? ops->api : 0, VGPU_BACKEND_API);
		return NULL;
	}
	return ops;
}

const struct vgpu_backend_ops *backend_load(const char *name, const char *libdir, GError **err)
{
	const struct vgpu_backend_ops *ops;
	char *file;

	if (strcmp(name, "cpu") == 0)
		return vgpu_backend_cpu();
	if (strcmp(name, "cuda") != 0) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "no backend is called \"%s\"; there are cpu and cuda", name);
		return NULL;
	}
	file = g_strdup_printf("libvgpu-backend-%s.so", name);
	ops = load(file, libdir, err);
	g_free(file);
	return ops;
}
