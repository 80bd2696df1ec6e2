/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gpus: all of this host, which needs no daemon; with one, which it uses. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "gpus.h"
#include "json.h"
#include "table.h"

/* What the daemon says of itself; NULL: nothing, or it uses no GPU. */
static JsonNode *ask_daemon(const struct ctl *c)
{
	JsonNode *node = client_ask_once(c->socket, CTL_TIMEOUT_MS, "status", NULL);

	if (node && strcmp(json_text(json_object_of(node), "backend"), "cuda") != 0) {
		json_node_unref(node);
		node = NULL;
	}
	return node;
}

static bool is_mediated(const struct gpu *g, JsonNode *daemon)
{
	return g->nvml_index >= 0 &&
	       json_has_number(json_object_of(daemon), "devices", g->nvml_index);
}

static void set_text(JsonObject *o, const char *name, const char *text)
{
	if (text)
		json_object_set_string_member(o, name, text);
	else
		json_object_set_null_member(o, name);
}

static JsonObject *object_of(const struct gpu *g, JsonNode *daemon)
{
	JsonObject *o = json_object_new();
	JsonArray *reasons = json_array_new();
	GPtrArray *why;

	json_object_set_string_member(o, "address", g->address);
	json_object_set_int_member(o, "vendor_id", g->vendor_id);
	json_object_set_int_member(o, "device_id", g->device_id);
	set_text(o, "vendor", g->vendor);
	set_text(o, "device", g->device);
	set_text(o, "driver", g->driver);
	set_text(o, "driver_version", g->nvml_version);
	if (g->memory)
		json_object_set_int_member(o, "memory_bytes", (gint64)g->memory);
	if (g->memory_used != UINT64_MAX)
		json_object_set_int_member(o, "memory_used_bytes", (gint64)g->memory_used);
	if (g->iommu_group >= 0)
		json_object_set_int_member(o, "iommu_group", g->iommu_group);
	if (g->nvml_index >= 0)
		json_object_set_int_member(o, "index", g->nvml_index);
	json_object_set_boolean_member(o, "mediated", is_mediated(g, daemon));
	json_object_set_boolean_member(o, "passthrough", passthrough_possible(g, &why));
	for (guint i = 0; i < why->len; i++)
		json_array_add_string_element(reasons, g_ptr_array_index(why, i));
	json_object_set_array_member(o, "passthrough_notes", reasons);
	g_ptr_array_unref(why);
	return o;
}

static void print_json(GPtrArray *gpus, JsonNode *daemon)
{
	JsonArray *a = json_array_new();
	JsonNode *node = json_node_alloc();

	for (guint i = 0; i < gpus->len; i++)
		json_array_add_object_element(a, object_of(g_ptr_array_index(gpus, i), daemon));
	json_node_init_array(node, a);
	json_array_unref(a);
	ctl_print_json(node);
	json_node_unref(node);
}

static void add_memory(struct table *t, const struct gpu *g)
{
	char *total = text_bytes(g->memory), *used = text_bytes(g->memory_used);

	if (!g->memory)
		table_add(t, "?");
	else if (g->memory_used == UINT64_MAX)
		table_add(t, "%s", total);
	else
		table_add(t, "%s of %s", used, total);
	g_free(total);
	g_free(used);
}

static void add_line(struct table *t, const struct gpu *g, JsonNode *daemon)
{
	GPtrArray *why;
	bool possible = passthrough_possible(g, &why);

	table_add(t, "%s", g->address);
	table_add(t, "%s %s", g->vendor, g->device);
	table_add(t, "%s%s%s", g->driver ? g->driver : "none", g->nvml_version ? " " : "",
		  g->nvml_version ? g->nvml_version : "");
	add_memory(t, g);
	if (g->iommu_group >= 0)
		table_add(t, "%d", g->iommu_group);
	else
		table_add(t, "none");
	table_add(t, "%s%s", possible ? "possible" : "no",
		  is_mediated(g, daemon) ? "; gpu_mediator shares it" : "");
	g_ptr_array_unref(why);
}

static void print_notes(GPtrArray *gpus)
{
	for (guint i = 0; i < gpus->len; i++) {
		const struct gpu *g = g_ptr_array_index(gpus, i);
		GPtrArray *why;

		passthrough_possible(g, &why);
		for (guint k = 0; k < why->len; k++)
			printf("%s: %s\n", g->address, (const char *)g_ptr_array_index(why, k));
		g_ptr_array_unref(why);
	}
}

int ctl_gpus(struct ctl *c)
{
	GPtrArray *gpus = gpus_find(c->sysfs);
	JsonNode *daemon = ask_daemon(c);

	nvml_look(gpus);
	if (c->json) {
		print_json(gpus, daemon);
	} else if (!gpus->len) {
		puts("this host has no GPU that PCI knows of");
	} else {
		struct table *t = table_new("ADDRESS|GPU|DRIVER|MEMORY>|IOMMU GROUP>|PASSTHROUGH");

		for (guint i = 0; i < gpus->len; i++)
			add_line(t, g_ptr_array_index(gpus, i), daemon);
		table_print(t, ctl_is_terminal());
		print_notes(gpus);
	}
	if (daemon)
		json_node_unref(daemon);
	g_ptr_array_unref(gpus);
	return CTL_DONE;
}
