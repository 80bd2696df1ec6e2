/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what reads modules in the software driver: fatbins, compressed or
 * not, and PTX.  What the reader finds must be consistent in itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "ptx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct ptx_entry *e)
{
	size_t end = 0;

	if (!e->name || !*e->name || e->param_bytes > PTX_PARAM_BYTES_MAX)
		abort();
	for (unsigned int i = 0; i < e->param->len; i++) {
		const struct ptx_param *p = &g_array_index(e->param, struct ptx_param, i);

		if (p->offset < end || !p->size)
			abort();
		end = p->offset + p->size;
	}
	if (end != e->param_bytes)
		abort();
}

static void check_variable(const struct ptx_variable *v)
{
	if (!v->name || !*v->name || !v->size || v->init->len > v->size)
		abort();
}

static void parse(const char *text, size_t length)
{
	char *error = NULL;
	struct ptx_module *m = ptx_parse(text, length, &error);

	if (!m != (error != NULL))
		abort();
	g_free(error);
	for (unsigned int i = 0; m && i < m->entry->len; i++)
		check_entry(m->entry->pdata[i]);
	for (unsigned int i = 0; m && i < m->variable->len; i++)
		check_variable(m->variable->pdata[i]);
	ptx_unref(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = NULL;
	size_t length = 0;

	if (fatbin_ptx(data, size, &text, &length) == IMAGE_PTX)
		parse(text, length);
	else
		parse((const char *)data, size);
	g_free(text);
	return 0;
}
