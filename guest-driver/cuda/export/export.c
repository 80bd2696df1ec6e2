/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which export table answers to which UUID.
 *
 * Not in the list, and so not found, is among others
 * f8cff951-2146-8b4e-b9e2-fb469e7c0dd9: with it the runtime would go past its
 * ordinary start-up, by a way that nothing is publicly known of.
 */
#include "export.h"

#include <stdio.h>
#include <string.h>

#include "tables.h"

#define UUID_TEXT 37 /* with the NUL */

static const struct {
	char id[UUID_TEXT];
	const union export_slot *table;
} tables[] = {
	{"6bd5fb6c-5bf4-e74a-8987-d93912fd9df9", export_cudart_interface},
	{"42d85a81-23f6-cb47-8298-f6e78a3aecdc", export_tools_tls},
	{"a094798c-2e74-2e74-93f2-0800200c0a66", export_runtime_hooks},
	{"c693336e-1121-df11-a8c3-68f355d89593", export_context_storage},
	{"263e8860-7cd2-6143-92f6-bbd5006dfa7e", export_context_checks},
	{"1734dc26-800d-4745-8726-c0f1e7dd8bca", export_device_layout},
	{"21318c60-9714-3248-8ca6-41ff7324c8f2", export_tools_context},
	{"6e163fbe-b958-444d-835c-e182aff1991e", export_tools_module},
};

CUresult export_refuse(void)
{
	return CUDA_ERROR_NOT_SUPPORTED;
}

size_t export_idle(void)
{
	return 0;
}

/* The bytes in their order, which is not how a Windows GUID would be written. */
static void print_uuid(char out[UUID_TEXT], const CUuuid *id)
{
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		out += sprintf(out, "%02x", (unsigned char)id->bytes[i]);
	}
}

static const union export_slot *find_table(const char *id)
{
	if (!strcmp(id, "d4082055-bde6-704b-8d34-ba123c66e1f2"))
		return export_handshake;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!strcmp(id, tables[i].id))
			return tables[i].table;
	return NULL;
}

CUresult export_table_get(const void **table, const CUuuid *id)
{
	char text[UUID_TEXT];

	if (!table)
		return CUDA_ERROR_INVALID_VALUE;
	*table = NULL;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	print_uuid(text, id);
	*table = find_table(text);
	return *table ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
