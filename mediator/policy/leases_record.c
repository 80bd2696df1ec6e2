/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Histories of leases as text. */
#include "leases_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD "leases 1 "

static const char *const event_name[] = {
	[LEASE_TENANT] = "tenant",   [LEASE_TENANT_GONE] = "tenant-gone",
	[LEASE_SESSION] = "session", [LEASE_SESSION_GONE] = "session-gone",
	[LEASE_WANTS] = "wants",     [LEASE_RETURNS] = "returns",
	[LEASE_TIMER] = "timer",
};

static const char *const word_name[] = {
	[LEASE_FREE] = "free",
	[LEASE_WAIT] = "wait",
	[LEASE_GRANT] = "grant",
	[LEASE_REVOKE] = "revoke",
};

/* ------------------------------------------------------------------ writing */

void leases_record_begin(GString *out, const struct leases_config *c)
{
	g_string_append_printf(out, HEAD "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			       c->quantum_ns, c->round_ns, c->drain_ns, c->period_ns);
}

static void put_event(GString *out, uint64_t now, const struct lease_event *e)
{
	g_string_append_printf(out, "e %" PRIu64 " %s", now, event_name[e->kind]);
	switch (e->kind) {
	case LEASE_TENANT:
		g_string_append_printf(out, " %" PRIu64 " %u %u", e->tenant, e->weight,
				       e->cap_percent);
		break;
	case LEASE_TENANT_GONE:
		g_string_append_printf(out, " %" PRIu64, e->tenant);
		break;
	case LEASE_SESSION:
		g_string_append_printf(out, " %" PRIu64 " %" PRIu64, e->session, e->tenant);
		break;
	case LEASE_SESSION_GONE:
	case LEASE_WANTS:
		g_string_append_printf(out, " %" PRIu64, e->session);
		break;
	case LEASE_RETURNS:
		g_string_append_printf(out, " %" PRIu64 " %" PRIu64 " %d", e->session, e->serial,
				       e->wants);
		break;
	case LEASE_TIMER:
	default:
		break;
	}
	g_string_append_c(out, '\n');
}

static void put_action(GString *out, const struct lease_action *a)
{
	g_string_append_printf(out, "a %" PRIu64 " %s", a->session, word_name[a->word]);
	if (a->word == LEASE_GRANT || a->word == LEASE_REVOKE) {
		g_string_append_printf(out, " %" PRIu64, a->serial);
		if (a->until == LEASE_OPEN)
			g_string_append(out, " open");
		else
			g_string_append_printf(out, " %" PRIu64, a->until);
	}
	g_string_append_c(out, '\n');
}

void leases_record_step(GString *out, uint64_t now, const struct lease_event *e,
			const struct lease_action *a, size_t n)
{
	put_event(out, now, e);
	for (size_t i = 0; i < n; i++)
		put_action(out, &a[i]);
}

/* ------------------------------------------------------------------ reading */

/* A number, and the blank before it. */
static bool number(const char **p, uint64_t *out)
{
	char *end;

	if (**p != ' ' || !g_ascii_isdigit((*p)[1]))
		return false;
	*out = g_ascii_strtoull(*p + 1, &end, 10);
	*p = end;
	return true;
}

static bool small(const char **p, uint32_t *out)
{
	uint64_t n;

	if (!number(p, &n) || n > UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool flag(const char **p, bool *out)
{
	uint64_t n;

	if (!number(p, &n) || n > 1)
		return false;
	*out = n;
	return true;
}

static bool kind_of(const char **p, enum lease_event_kind *kind)
{
	for (size_t i = 1; i < G_N_ELEMENTS(event_name); i++) {
		const size_t n = strlen(event_name[i]);

		if (strncmp(*p, event_name[i], n) == 0 && ((*p)[n] == ' ' || !(*p)[n])) {
			*kind = (enum lease_event_kind)i;
			*p += n;
			return true;
		}
	}
	return false;
}

static bool get_event(const char *p, uint64_t *now, struct lease_event *e)
{
	bool ok;

	*e = (struct lease_event){0};
	if (*p++ != 'e' || !number(&p, now) || *p++ != ' ' || !kind_of(&p, &e->kind))
		return false;
	switch (e->kind) {
	case LEASE_TENANT:
		ok = number(&p, &e->tenant) && small(&p, &e->weight) && small(&p, &e->cap_percent);
		break;
	case LEASE_TENANT_GONE:
		ok = number(&p, &e->tenant);
		break;
	case LEASE_SESSION:
		ok = number(&p, &e->session) && number(&p, &e->tenant);
		break;
	case LEASE_SESSION_GONE:
	case LEASE_WANTS:
		ok = number(&p, &e->session);
		break;
	case LEASE_RETURNS:
		ok = number(&p, &e->session) && number(&p, &e->serial) && flag(&p, &e->wants);
		break;
	case LEASE_TIMER:
	default:
		ok = true;
		break;
	}
	return ok && !*p;
}

static struct leases *get_head(const char *line)
{
	struct leases_config c;
	const char *p = line + strlen(HEAD) - 1;

	if (!g_str_has_prefix(line, HEAD) || !number(&p, &c.quantum_ns) ||
	    !number(&p, &c.round_ns) || !number(&p, &c.drain_ns) || !number(&p, &c.period_ns) ||
	    *p || !c.quantum_ns || !c.round_ns)
		return NULL;
	return leases_new(&c);
}

/* Writes all anew, event by event, and sees whether the lines are the same. */
static gint64 play(struct leases *l, char **line, guint lines, leases_replay_fn after, void *opaque,
		   GError **err)
{
	GString *again = g_string_new(NULL);
	gint64 events = 0;
	guint i = 1;

	while (i < lines) {
		const struct lease_action *a;
		struct lease_event e;
		uint64_t now;
		size_t n;

		if (!get_event(line[i], &now, &e)) {
			g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
				    "line %u is no event: %s", i + 1, line[i]);
			break;
		}
		i++;
		a = leases_step(l, now, &e, &n);
		for (size_t k = 0; k < n; k++, i++) {
			g_string_truncate(again, 0);
			put_action(again, &a[k]);
			g_string_truncate(again, again->len - 1);
			if (i < lines && strcmp(again->str, line[i]) == 0)
				continue;
			if (i < lines) {
				g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
					    "line %u is \"%s\", but what comes out now is \"%s\"",
					    i + 1, line[i], again->str);
				goto out;
			}
			break; /* the end was cut off */
		}
		events++;
		if (after)
			after(l, now, &e, opaque);
	}
out:
	g_string_free(again, TRUE);
	return *err ? -1 : events;
}

gint64 leases_replay(const char *text, leases_replay_fn after, void *opaque, GError **err)
{
	GError *own = NULL;
	char **line = g_strsplit(text, "\n", -1);
	guint lines = g_strv_length(line);
	struct leases *l = lines ? get_head(line[0]) : NULL;
	gint64 events = -1;

	/* What follows the last newline is nothing, or was not finished. */
	if (!l)
		g_set_error(&own, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "line 1 is not the beginning of a history of leases");
	else
		events = play(l, line, lines - 1, after, opaque, &own);
	if (own)
		g_propagate_error(err, own);
	leases_free(l);
	g_strfreev(line);
	return events;
}
