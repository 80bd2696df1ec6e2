// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the program's own memory is mapped.
 *
 * Only /proc/self/maps tells private mappings from shared ones.  It is in the
 * order of addresses; neighbours that are mapped alike count as one.
 */
#include "mappings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct line {
	uint64_t from, to;
	int protection;
	bool shared;
};

static bool parse(const char *text, struct line *l)
{
	char mode[5];

	if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s", &l->from, &l->to, mode) != 3)
		return false;
	l->protection = (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0) |
			(mode[2] == 'x' ? PROT_EXEC : 0);
	l->shared = mode[3] != 'p';
	return true;
}

/* Takes one more line; false: what was looked for is complete. */
static bool add(struct mapping *m, const struct line *l, uint64_t addr, int *found)
{
	if (l->to <= addr)
		return true;
	if (*found ? l->from != m->end || l->protection != m->protection || l->shared != m->shared
		   : l->from > addr)
		return false;
	*m = (struct mapping){l->to, l->protection, l->shared};
	*found = 1;
	return true;
}

int mapping_at(uint64_t addr, struct mapping *m)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char *text = NULL;
	size_t room = 0;
	struct line l;
	int found = 0;

	if (!f)
		return -1;
	while (getline(&text, &room, f) > 0) {
		if (!parse(text, &l)) {
			found = -1;
			break;
		}
		if (!add(m, &l, addr, &found))
			break;
	}
	if (ferror(f))
		found = -1;
	free(text);
	fclose(f);
	return found;
}
