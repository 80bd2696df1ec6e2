/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding a backend: linked in, or a module beside us. */
#include "backend_load.h"

#include <gmodule.h>
#include <string.h>

/* The directory of the running program; the caller frees it. */
static char *program_dir(void)
{
	char *path = g_file_read_link("/proc/self/exe", NULL);
	char *dir = path ? g_path_get_dirname(path) : NULL;

	g_free(path);
	return dir;
}

/* The first of the places that has the file; the caller frees it. */
static char *find_module(const char *file, const char *libdir)
{
	char *self = program_dir();
	char *places[] = {
		g_strdup(libdir),
		g_strdup(g_getenv("VGPU_BACKEND_DIR")),
		g_strdup(self),
		self ? g_build_filename(self, "backends", "cuda", NULL) : NULL, /* build tree */
		g_strdup(VGPU_BACKEND_LIBDIR),
	};
	char *found = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		char *path = !found && places[i] && *places[i]
				     ? g_build_filename(places[i], file, NULL)
				     : NULL;

		if (path && g_file_test(path, G_FILE_TEST_EXISTS))
			found = g_steal_pointer(&path);
		g_free(path);
		g_free(places[i]);
	}
	g_free(self);
	return found;
}

static const struct vgpu_backend_ops *load_module(const char *path, GError **err)
{
	const struct vgpu_backend_ops *ops;
	GModule *module = g_module_open(path, G_MODULE_BIND_LOCAL | G_MODULE_BIND_LAZY);
	vgpu_backend_get_fn get = NULL;

	if (!module) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT, "cannot load %s: %s", path,
			    g_module_error());
		return NULL;
	}
	g_module_make_resident(module);
	if (!g_module_symbol(module, VGPU_BACKEND_SYMBOL, (gpointer *)(void *)&get) || !get) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s has no symbol " VGPU_BACKEND_SYMBOL "; it is not a backend", path);
		return NULL;
	}
	ops = get();
	if (!ops || ops->api != VGPU_BACKEND_API) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s speaks backend interface %u, this worker %u; install both of the "
			    "same version",
			    path, ops ? ops->api : 0, VGPU_BACKEND_API);
		return NULL;
	}
	return ops;
}

const struct vgpu_backend_ops *backend_load(const char *name, const char *libdir, GError **err)
{
	const struct vgpu_backend_ops *ops;
	char *file, *path;

	if (strcmp(name, "cpu") == 0)
		return vgpu_backend_cpu();
	if (strcmp(name, "cuda") != 0) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "no backend is called \"%s\"; there are cpu and cuda", name);
		return NULL;
	}
	file = g_strdup_printf("libvgpu-backend-%s.so", name);
	path = find_module(file, libdir);
	if (!path) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			    "%s is not installed (looked beside the worker and in %s)", file,
			    VGPU_BACKEND_LIBDIR);
		g_free(file);
		return NULL;
	}
	ops = load_module(path, err);
	g_free(path);
	g_free(file);
	return ops;
}
