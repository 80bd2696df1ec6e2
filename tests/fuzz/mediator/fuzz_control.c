/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes the parser of requests at the control socket.
 *
 * Input: one line.  What comes out is bounded, valid UTF-8, and what the verb
 * needs; what goes into an answer is JSON.
 */
#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "control_request.h"

#define CHECK(what)              \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

static void check_text(const char *text)
{
	CHECK(!text || (strlen(text) < CONTROL_LINE_MAX && g_utf8_validate(text, -1, NULL)));
}

static void check_id(const char *id)
{
	JsonNode *node = id ? json_from_string(id, NULL) : NULL;

	CHECK(!id || (node && JSON_NODE_HOLDS_VALUE(node) && !strchr(id, '\n')));
	if (node)
		json_node_unref(node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request r;
	char *line = g_malloc(size ? size : 1); /* not one byte more: reading on is found out */
	char *why;

	memcpy(line, data, size);
	why = control_request_parse(&r, line, size);
	check_id(r.id);
	check_text(r.tenant);
	check_text(r.key);
	check_text(r.value);
	if (!why) {
		CHECK(size < CONTROL_LINE_MAX);
		CHECK(r.verb < CONTROL_VERBS);
		CHECK(r.kind >= -1 && r.kind < AUDIT_KINDS);
		CHECK(r.most <= AUDIT_RECENT);
		CHECK(r.verb != CONTROL_SET || (r.tenant && r.key && r.value));
		CHECK(r.verb != CONTROL_EVICT || !r.tenant != !r.session);
	}
	g_free(why);
	g_free(line);
	control_request_clear(&r);
	return 0;
}
