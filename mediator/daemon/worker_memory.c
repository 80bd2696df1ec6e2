/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers that the kernel kills for memory.  It sends the signal that everybody
 * can send; what it was for stands in the counters of the tenant's group, and
 * there before the signal is sent.
 */
#include "worker_memory.h"

#include <string.h>

#include "tenant.h"
#include "worker_groups.h"

/* The number behind a word at the beginning of a line; 0: there is no such line. */
static uint64_t number_of(const char *text, const char *word)
{
	const size_t n = strlen(word);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, word, n) == 0 && line[n] == ' ')
			return g_ascii_strtoull(line + n, NULL, 10);
	}
	return 0;
}

/* False: there is no group, or its kernel does not tell. */
static bool look(const struct tenant *t, uint64_t *reached, uint64_t *killed)
{
	char *group = worker_group_of(t);
	char *path = group ? g_build_filename(group, "memory.events", NULL) : NULL;
	char *text = NULL;
	const bool ok = path && g_file_get_contents(path, &text, NULL, NULL);

	if (ok) {
		*reached = number_of(text, "oom");
		*killed = number_of(text, "oom_kill");
	}
	g_free(text);
	g_free(path);
	g_free(group);
	return ok;
}

void worker_memory_begin(struct tenant *t)
{
	struct worker_memory *m = &t->host_memory;

	if (!m->known)
		m->known = look(t, &m->reached, &m->killed);
}

enum worker_death worker_memory_death(struct tenant *t)
{
	struct worker_memory *m = &t->host_memory;
	uint64_t reached, killed;

	if (!m->known || !look(t, &reached, &killed))
		return WORKER_DEATH_OTHER;
	if (killed > m->killed) {
		/* Several may have died before we came to look. */
		m->unnamed += killed - m->killed;
		m->by_limit = reached > m->reached;
	}
	m->reached = reached;
	m->killed = killed;
	if (!m->unnamed)
		return WORKER_DEATH_OTHER;
	m->unnamed--;
	return m->by_limit ? WORKER_DEATH_LIMIT : WORKER_DEATH_HOST_SHORT;
}
