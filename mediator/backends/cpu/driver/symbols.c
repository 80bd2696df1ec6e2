/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding a function of the software driver by the name that it is exported under.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu_driver.h"
#include "driver.h"

static const struct cpu_symbols *const topics[] = {
	&cpu_device_symbols,  &cpu_context_symbols,  &cpu_memory_symbols,
	&cpu_copy_symbols,    &cpu_memset_symbols,   &cpu_host_symbols,
	&cpu_pool_symbols,    &cpu_vmm_symbols,      &cpu_array_symbols,
	&cpu_texture_symbols, &cpu_stream_symbols,   &cpu_event_symbols,
	&cpu_value_symbols,   &cpu_module_symbols,   &cpu_library_symbols,
	&cpu_link_symbols,    &cpu_function_symbols, &cpu_launch_symbols,
	&cpu_graph_symbols,   &cpu_edge_symbols,     &cpu_node_symbols,
	&cpu_exec_symbols,    &cpu_capture_symbols,  &cpu_graph_memory_symbols,
};

static GArray *sorted; /* of struct cpu_symbol */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct cpu_symbol *)a)->name, ((const struct cpu_symbol *)b)->name);
}

static void sort(void)
{
	sorted = g_array_new(FALSE, FALSE, sizeof(struct cpu_symbol));
	for (size_t i = 0; i < G_N_ELEMENTS(topics); i++)
		g_array_append_vals(sorted, topics[i]->symbol, (guint)topics[i]->n);
	g_array_sort(sorted, compare);
}

void *cpu_driver_symbol(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct cpu_symbol key = {.name = name};
	const struct cpu_symbol *found;
	void *address;

	pthread_once(&once, sort);
	found = bsearch(&key, sorted->data, sorted->len, sizeof(key), compare);
	if (!found)
		return NULL;
	/* ISO C knows no cast from a function to void *. */
	memcpy(&address, &found->fn, sizeof(address));
	return address;
}
