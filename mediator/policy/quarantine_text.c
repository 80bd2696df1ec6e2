/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tenant's faults and quarantine as text, for the next daemon. */
#include <string.h>

#include "quarantine.h"

#define GROUP "quarantine"

/* More doublings than there are from a nanosecond to a year. */
#define LEVEL_MAX 64u

char *quarantine_save(const struct quarantine *q, const char *boot)
{
	GKeyFile *file = g_key_file_new();
	GString *faults = g_string_new(NULL);
	char *text;

	for (uint32_t i = 0; i < q->n; i++)
		g_string_append_printf(faults, "%" G_GUINT64_FORMAT ";", q->fault[i]);
	g_key_file_set_string(file, GROUP, "boot", boot);
	g_key_file_set_uint64(file, GROUP, "now", q->now);
	g_key_file_set_uint64(file, GROUP, "began", q->began);
	g_key_file_set_uint64(file, GROUP, "until", q->until);
	g_key_file_set_uint64(file, GROUP, "calm", q->calm);
	g_key_file_set_uint64(file, GROUP, "level", q->level);
	g_key_file_set_boolean(file, GROUP, "by-hand", q->by_hand);
	g_key_file_set_value(file, GROUP, "faults", faults->str);
	text = g_key_file_to_data(file, NULL, NULL);
	g_string_free(faults, TRUE);
	g_key_file_free(file);
	return text;
}

static bool take_faults(struct quarantine *q, GKeyFile *file, GError **err)
{
	gsize n = 0;
	char **list = g_key_file_get_string_list(file, GROUP, "faults", &n, err);
	bool ok = list && n <= QUARANTINE_FAULTS_MAX;

	for (gsize i = 0; ok && i < n; i++) {
		guint64 at;

		ok = g_ascii_string_to_unsigned(list[i], 10, 0, G_MAXUINT64, &at, NULL);
		q->fault[i] = at;
	}
	q->n = ok ? (uint32_t)n : 0;
	g_strfreev(list);
	if (!ok && !*err)
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			    "faults: not at most %u times", QUARANTINE_FAULTS_MAX);
	return ok;
}

static bool take(struct quarantine *q, GKeyFile *file, GError **err)
{
	const struct {
		const char *name;
		uint64_t *value;
	} numbers[] = {
		{"now", &q->now}, {"began", &q->began}, {"until", &q->until}, {"calm", &q->calm}};
	GError *why = NULL;
	guint64 level = 0;

	for (size_t i = 0; !why && i < G_N_ELEMENTS(numbers); i++)
		*numbers[i].value = g_key_file_get_uint64(file, GROUP, numbers[i].name, &why);
	if (!why)
		level = g_key_file_get_uint64(file, GROUP, "level", &why);
	q->level = (uint32_t)MIN(level, G_MAXUINT32);
	if (!why)
		q->by_hand = g_key_file_get_boolean(file, GROUP, "by-hand", &why);
	if (!why)
		take_faults(q, file, &why);
	if (why)
		g_propagate_error(err, why);
	return !why;
}

/* Could quarantine_step() have left it so? */
static bool is_sane(const struct quarantine *q)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < q->n; i++) {
		if (q->fault[i] < before || q->fault[i] > q->now)
			return false;
		before = q->fault[i];
	}
	if (q->level > LEVEL_MAX || q->calm > q->now)
		return false;
	if (!q->until)
		return !q->began && !q->by_hand;
	if (q->began > q->now || q->until <= q->now)
		return false;
	return q->until == QUARANTINE_OPEN ? q->by_hand : q->until - q->now <= QUARANTINE_MOST_NS;
}

/* What was before the clock began counts as its beginning. */
static uint64_t moved(uint64_t at, uint64_t from, uint64_t to)
{
	const uint64_t age = from - at;

	return age < to ? to - age : 0;
}

static void move(struct quarantine *q, uint64_t to)
{
	const uint64_t from = q->now;

	for (uint32_t i = 0; i < q->n; i++)
		q->fault[i] = moved(q->fault[i], from, to);
	if (q->until) {
		q->began = moved(q->began, from, to);
		if (q->until != QUARANTINE_OPEN)
			q->until = to + (q->until - from);
	}
	q->calm = moved(q->calm, from, to);
	q->now = to;
}

static bool load(struct quarantine *q, GKeyFile *file, const char *boot, uint64_t now, GError **err)
{
	char *wrote = g_key_file_get_string(file, GROUP, "boot", err);
	bool same = g_strcmp0(wrote, boot) == 0;
	bool ok = wrote && take(q, file, err);

	g_free(wrote);
	if (!ok)
		return false;
	if (!is_sane(q) || (same && q->now > now)) {
		g_set_error_literal(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
				    "its times do not go together");
		return false;
	}
	if (!same)
		move(q, now);
	return true;
}

bool quarantine_load(struct quarantine *q, const char *text, gsize length, const char *boot,
		     uint64_t now, GError **err)
{
	GKeyFile *file = g_key_file_new();
	bool ok;

	memset(q, 0, sizeof(*q));
	ok = g_key_file_load_from_data(file, text, length, G_KEY_FILE_NONE, err) &&
	     load(q, file, boot, now, err);
	if (!ok)
		memset(q, 0, sizeof(*q));
	g_key_file_free(file);
	return ok;
}
