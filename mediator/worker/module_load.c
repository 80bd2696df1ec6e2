/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding and loading a module. */
#include "module_load.h"

#include <gmodule.h>

/* The directory of the running program; the caller frees it. */
static char *program_dir(void)
{
	char *path = g_file_read_link("/proc/self/exe", NULL);
	char *dir = path ? g_path_get_dirname(path) : NULL;

	g_free(path);
	return dir;
}

/* The first of the places that has the file; the caller frees it. */
static char *find_module(const char *file, const char *libdir, const char *build)
{
	char *self = program_dir();
	char *places[] = {
		g_strdup(libdir),
		g_strdup(g_getenv("VGPU_BACKEND_DIR")),
		g_strdup(self),
		self ? g_build_filename(self, build, NULL) : NULL,
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

module_function module_get(const char *file, const char *symbol, const char *libdir,
			   const char *build, GError **err)
{
	char *path = find_module(file, libdir, build);
	GModule *module;
	module_function found = NULL;

	if (!path) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			    "%s is not installed (looked beside the worker and in %s)", file,
			    VGPU_BACKEND_LIBDIR);
		return NULL;
	}
	module = g_module_open(path, G_MODULE_BIND_LOCAL | G_MODULE_BIND_LAZY);
	if (!module) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT, "cannot load %s: %s", path,
			    g_module_error());
	} else {
		g_module_make_resident(module);
		if (!g_module_symbol(module, symbol, (gpointer *)(void *)&found) || !found)
			g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
				    "%s has no symbol %s; it is not ours", path, symbol);
	}
	g_free(path);
	return found;
}
