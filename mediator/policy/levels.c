/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The levels of trust: what each gives where a tenant's file says nothing else. */
#include <string.h>

#include "policy_priv.h"

#define MIB (1ull << 20)
#define SECOND 1000000000ull

/* Who brings no code of his own cannot hurt much: the commands of the device are ours. */
#define CLASSES_UNTRUSTED (POLICY_BUILTIN | POLICY_MEMORY)
#define CLASSES_LOW (CLASSES_UNTRUSTED | POLICY_KERNELS)
#define CLASSES_MEDIUM (CLASSES_LOW | POLICY_GRAPHS | POLICY_CALLBACKS | POLICY_PINNED)

struct level {
	const char *name;
	uint32_t classes;
	uint64_t memory;
	guint weight;
	guint sessions;
	struct policy_rate calls;
	struct policy_rate bytes;
	uint64_t kernel_ns;
	guint faults;
};

/* The documents have this table: gpu_mediator.tenant(5) and doc/tenants.md. */
static const struct level levels[] = {
	[POLICY_UNTRUSTED] = {"untrusted",
			      CLASSES_UNTRUSTED,
			      128 * MIB,
			      10,
			      4,
			      {20000, 20000},
			      {256 * MIB, 256 * MIB},
			      2 * SECOND,
			      3},
	[POLICY_LOW] = {"low",
			CLASSES_LOW,
			256 * MIB,
			25,
			8,
			{100000, 100000},
			{1024 * MIB, 1024 * MIB},
			5 * SECOND,
			3},
	[POLICY_MEDIUM] =
		{"medium", CLASSES_MEDIUM, 512 * MIB, 50, 16, {0, 0}, {0, 0}, 10 * SECOND, 5},
	[POLICY_HIGH] =
		{"high", CLASSES_MEDIUM, 1024 * MIB, 80, 32, {0, 0}, {0, 0}, 60 * SECOND, 5},
	[POLICY_SYSTEM] =
		{"system", POLICY_ALL, 2048 * MIB, 100, 64, {0, 0}, {0, 0}, POLICY_NO_LIMIT, 0},
};

void policy_set_level(struct policy *p, enum policy_level level)
{
	const struct level *l = &levels[level];

	p->level = level;
	p->classes = l->classes;
	p->memory = l->memory;
	p->memory_percent = 0;
	p->weight = l->weight;
	p->sessions = l->sessions;
	p->calls = l->calls;
	p->bytes = l->bytes;
	p->kernel_ns = l->kernel_ns;
	p->faults = l->faults;
}

const char *policy_level_name(enum policy_level level)
{
	return levels[level].name;
}

bool policy_level_parse(const char *text, enum policy_level *level)
{
	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
		if (strcmp(levels[i].name, text) == 0) {
			*level = (enum policy_level)i;
			return true;
		}
	}
	return false;
}
