/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading what the daemon answered. */
#include "json.h"

static JsonNode *find(JsonObject *o, const char *path)
{
	char **names = g_strsplit(path, ".", -1);
	JsonNode *node = NULL;

	for (char **n = names; *n; n++) {
		node = o ? json_object_get_member(o, *n) : NULL;
		o = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
	}
	g_strfreev(names);
	return node;
}

static GType type_of(JsonNode *node)
{
	return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_NONE;
}

const char *json_text(JsonObject *o, const char *path)
{
	JsonNode *node = find(o, path);

	return type_of(node) == G_TYPE_STRING ? json_node_get_string(node) : "";
}

double json_number(JsonObject *o, const char *path)
{
	JsonNode *node = find(o, path);
	GType type = type_of(node);

	if (type == G_TYPE_INT64)
		return (double)json_node_get_int(node);
	return type == G_TYPE_DOUBLE ? json_node_get_double(node) : 0;
}

uint64_t json_limit(JsonObject *o, const char *path)
{
	JsonNode *node = find(o, path);

	return type_of(node) == G_TYPE_INT64 ? (uint64_t)json_node_get_int(node) : UINT64_MAX;
}

bool json_flag(JsonObject *o, const char *path)
{
	JsonNode *node = find(o, path);

	return type_of(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

guint json_count(JsonNode *array)
{
	return JSON_NODE_HOLDS_ARRAY(array) ? json_array_get_length(json_node_get_array(array)) : 0;
}

JsonObject *json_object_of(JsonNode *node)
{
	static JsonObject *empty;

	if (node && JSON_NODE_HOLDS_OBJECT(node))
		return json_node_get_object(node);
	if (!empty)
		empty = json_object_new();
	return empty;
}

JsonObject *json_at(JsonNode *array, guint i)
{
	return json_object_of(i < json_count(array)
				      ? json_array_get_element(json_node_get_array(array), i)
				      : NULL);
}

bool json_has_number(JsonObject *o, const char *member, gint64 number)
{
	JsonNode *array = json_object_get_member(o, member);

	for (guint i = 0; array && i < json_count(array); i++) {
		JsonNode *node = json_array_get_element(json_node_get_array(array), i);

		if (type_of(node) == G_TYPE_INT64 && json_node_get_int(node) == number)
			return true;
	}
	return false;
}
