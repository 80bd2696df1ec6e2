/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading the backend under test.
 */
#include "subject.h"

#include <gmodule.h>
#include <string.h>

struct subject subject;

static bool load_module(const char *path, GError **err)
{
	GModule *module = g_module_open(path, G_MODULE_BIND_LOCAL);
	vgpu_backend_get_fn get;
	gpointer symbol = NULL;

	if (!module || !g_module_symbol(module, VGPU_BACKEND_SYMBOL, &symbol)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path,
			    g_module_error());
		return false;
	}
	g_module_make_resident(module);
	memcpy(&get, &symbol, sizeof(get)); /* C knows no cast from object to function */
	subject.ops = get();
	return true;
}

bool subject_load(const char *name, GError **err)
{
#ifdef HAVE_BACKEND_CPU
	if (g_str_equal(name, "cpu"))
		subject.ops = vgpu_backend_cpu();
#endif
	if (!subject.ops && !load_module(name, err))
		return false;
	if (subject.ops->api != VGPU_BACKEND_API) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s has backend interface %u, this program tests %u", name,
			    subject.ops->api, VGPU_BACKEND_API);
		return false;
	}
	return true;
}

bool subject_probe(char **text)
{
	GError *err = NULL;
	int rc;

	*text = NULL;
	rc = subject.ops->probe(subject.device, text, &err);
	if (rc == 0)
		return true;
	*text = g_strdup(err ? err->message : g_strerror(-rc));
	g_clear_error(&err);
	return false;
}

struct vgpu_backend *subject_open(void)
{
	struct vgpu_backend *be = NULL;
	GError *err = NULL;
	int rc = subject.ops->open(&be, subject.device, &err);

	if (rc)
		g_error("open: %s", err ? err->message : g_strerror(-rc));
	return be;
}

void subject_map(struct vgpu_backend *be, void *base, size_t length)
{
	if (subject.ops->map)
		assert_ok(subject.ops->map(be, base, length));
}

void subject_unmap(struct vgpu_backend *be, void *base, size_t length)
{
	if (subject.ops->unmap)
		subject.ops->unmap(be, base, length);
}
