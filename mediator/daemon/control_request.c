/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests at the control socket: one table of verbs, one of members. */
#include "control_request.h"

#include <json-glib/json-glib.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "audit.h"

/* Of a text in a request. */
#define TEXT_MAX 1024
#define ID_MAX 64

#define BIT(member) (1u << (member))

enum member { TENANT, SESSION, KEY, VALUE, KIND, SINCE, AFTER, MOST, OFF, FOR, MEMBERS };

static const struct {
	const char *name;
	uint32_t may, must; /* BIT()s of members */
	bool changes;
} verbs[CONTROL_VERBS] = {
	[CONTROL_STATUS] = {"status", 0, 0, false},
	[CONTROL_TENANTS] = {"tenants", BIT(TENANT), 0, false},
	[CONTROL_SESSIONS] = {"sessions", BIT(TENANT), 0, false},
	[CONTROL_AUDIT] = {"audit", BIT(TENANT) | BIT(KIND) | BIT(SINCE) | BIT(AFTER) | BIT(MOST),
			   0, false},
	[CONTROL_SET] = {"set", 0, BIT(TENANT) | BIT(KEY) | BIT(VALUE), true},
	[CONTROL_EVICT] = {"evict", BIT(TENANT) | BIT(SESSION), 0, true},
	[CONTROL_QUARANTINE] = {"quarantine", BIT(FOR) | BIT(OFF), BIT(TENANT), true},
	[CONTROL_DRAIN] = {"drain", BIT(OFF), 0, true},
	[CONTROL_RELOAD] = {"reload", 0, 0, true},
};

enum shape { TEXT, NUMBER, FLAG };

static const struct {
	const char *name;
	enum shape shape;
} members[MEMBERS] = {
	[TENANT] = {"tenant", TEXT}, [SESSION] = {"session", NUMBER}, [KEY] = {"key", TEXT},
	[VALUE] = {"value", TEXT},   [KIND] = {"kind", TEXT},         [SINCE] = {"since", TEXT},
	[AFTER] = {"after", NUMBER}, [MOST] = {"most", NUMBER},       [OFF] = {"off", FLAG},
	[FOR] = {"for", TEXT},
};

const char *control_verb_name(enum control_verb verb)
{
	return verb < CONTROL_VERBS ? verbs[verb].name : "unknown";
}

bool control_verb_changes(enum control_verb verb)
{
	return verb < CONTROL_VERBS && verbs[verb].changes;
}

void control_request_clear(struct control_request *r)
{
	g_free(r->id);
	g_free(r->tenant);
	g_free(r->key);
	g_free(r->value);
	g_free(r->time);
	memset(r, 0, sizeof(*r));
}

/* A parser that calls itself for what is nested is not given anything nested. */
static bool is_flat(const char *line, size_t length)
{
	bool in_text = false;
	unsigned int open = 0;

	for (size_t i = 0; i < length; i++) {
		if (in_text && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			in_text = !in_text;
		else if (!in_text &&
			 (line[i] == '[' || line[i] == '{' || line[i] == '/' || line[i] == '#'))
			open++;
	}
	return open == 1;
}

/* The parser makes something of escapes that are none, too, and not always UTF-8. */
static const char *text_of(JsonNode *node)
{
	const char *text = NULL;

	if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
		text = json_node_get_string(node);
	return text && strlen(text) <= TEXT_MAX && g_utf8_validate(text, -1, NULL) ? text : NULL;
}

static bool number_of(JsonNode *node, uint64_t *number)
{
	if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64 ||
	    json_node_get_int(node) < 0)
		return false;
	*number = (uint64_t)json_node_get_int(node);
	return true;
}

static char *take_time(const char *text, gint64 *time)
{
	GDateTime *t = g_date_time_new_from_iso8601(text, NULL);

	if (!t)
		return g_strdup("\"since\" must be a time such as 2026-11-27T08:15:02Z");
	*time = g_date_time_to_unix(t) * G_USEC_PER_SEC + g_date_time_get_microsecond(t);
	g_date_time_unref(t);
	return NULL;
}

static char *take_text(struct control_request *r, enum member m, JsonNode *node)
{
	const char *text = text_of(node);

	if (!text)
		return g_strdup_printf("\"%s\" must be a text, in UTF-8, of at most %d bytes",
				       members[m].name, TEXT_MAX);
	switch (m) {
	case TENANT:
		r->tenant = g_strdup(text);
		break;
	case KEY:
		r->key = g_strdup(text);
		break;
	case VALUE:
		r->value = g_strdup(text);
		break;
	case FOR:
		r->time = g_strdup(text);
		break;
	case KIND:
		r->kind = audit_kind_parse(text);
		return r->kind < 0 ? g_strdup("\"kind\" is not one of those in the specification")
				   : NULL;
	default:
		return take_time(text, &r->since);
	}
	return NULL;
}

static char *take_number(struct control_request *r, enum member m, JsonNode *node)
{
	uint64_t number;

	if (!number_of(node, &number) || (m == MOST && (number < 1 || number > AUDIT_RECENT)))
		return g_strdup_printf("\"%s\" must be a whole number%s", members[m].name,
				       m == MOST ? " from 1 to 1000" : " that is not negative");
	if (m == SESSION)
		r->session = number;
	else if (m == AFTER)
		r->after = number;
	else
		r->most = (guint)number;
	return NULL;
}

static char *take_member(struct control_request *r, enum member m, JsonNode *node)
{
	switch (members[m].shape) {
	case TEXT:
		return take_text(r, m, node);
	case NUMBER:
		return take_number(r, m, node);
	case FLAG:
		break;
	}
	if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
		return g_strdup_printf("\"%s\" must be true or false", members[m].name);
	r->off = json_node_get_boolean(node);
	return NULL;
}

static int find_member(const char *name)
{
	for (int m = 0; m < MEMBERS; m++) {
		if (strcmp(members[m].name, name) == 0)
			return m;
	}
	return -1;
}

static char *take_members(struct control_request *r, JsonObject *o)
{
	uint32_t seen = 0, may = verbs[r->verb].may | verbs[r->verb].must;
	JsonObjectIter iter;
	const char *name;
	JsonNode *node;
	char *why = NULL;

	json_object_iter_init(&iter, o);
	while (!why && json_object_iter_next(&iter, &name, &node)) {
		int m = find_member(name);

		if (strcmp(name, "id") == 0 || strcmp(name, "verb") == 0)
			continue;
		if (m < 0 || !(may & BIT(m)))
			return g_strdup_printf("\"%s\" has no such member as one of those given",
					       verbs[r->verb].name);
		seen |= BIT(m);
		why = take_member(r, (enum member)m, node);
	}
	for (int m = 0; !why && m < MEMBERS; m++) {
		if (verbs[r->verb].must & ~seen & BIT(m))
			why = g_strdup_printf("\"%s\" needs \"%s\"", verbs[r->verb].name,
					      members[m].name);
	}
	if (!why && r->verb == CONTROL_EVICT && !r->tenant == !r->session)
		why = g_strdup("\"evict\" needs either \"tenant\" or \"session\"");
	if (!why && r->verb == CONTROL_QUARANTINE && r->time && r->off)
		why = g_strdup("\"quarantine\" needs at most one of \"for\" and \"off\"");
	return why;
}

static void take_id(struct control_request *r, JsonObject *o)
{
	JsonNode *node = json_object_get_member(o, "id");
	const char *text = node ? text_of(node) : NULL;
	uint64_t number;

	if (node && number_of(node, &number))
		r->id = g_strdup_printf("%" G_GUINT64_FORMAT, number);
	else if (text && strlen(text) <= ID_MAX)
		r->id = json_to_string(node, FALSE);
}

static char *take_verb(struct control_request *r, JsonObject *o)
{
	JsonNode *node = json_object_get_member(o, "verb");
	const char *text = node ? text_of(node) : NULL;

	for (int v = 0; text && v < CONTROL_VERBS; v++) {
		if (strcmp(verbs[v].name, text) == 0) {
			r->verb = (enum control_verb)v;
			return NULL;
		}
	}
	return g_strdup(text ? "there is no such verb" : "a request needs a \"verb\"");
}

char *control_request_parse(struct control_request *r, const char *line, size_t length)
{
	JsonParser *parser = json_parser_new_immutable();
	JsonNode *root = NULL;
	char *why = NULL;

	*r = (struct control_request){.kind = -1};
	if (length < CONTROL_LINE_MAX && g_utf8_validate(line, (gssize)length, NULL) &&
	    is_flat(line, length) && json_parser_load_from_data(parser, line, (gssize)length, NULL))
		root = json_parser_get_root(parser);
	if (root && JSON_NODE_HOLDS_OBJECT(root)) {
		JsonObject *o = json_node_get_object(root);

		take_id(r, o);
		why = take_verb(r, o);
		if (!why)
			why = take_members(r, o);
	} else {
		why = g_strdup(
			"a request is a line with one JSON object, with nothing nested in it");
	}
	g_object_unref(parser);
	return why;
}
