/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The levels of trust: what each gives where a tenant's file says nothing else. */
#include <string.h>

#include "policy_priv.h"

#define MIB (1ull << 20)
#define SECOND 1000000000ull

/*
 * Level untrusted has the device's own commands alone: their code is ours, and
 * the driver sees neither images nor addresses of the guest's choosing.
 */
#define CLASSES_LOW (POLICY_BUILTIN | POLICY_MEMORY | POLICY_KERNELS)
#define CLASSES_MEDIUM (CLASSES_LOW | POLICY_GRAPHS | POLICY_CALLBACKS | POLICY_PINNED)

struct level {
	const char *name;
	uint32_t classes;
	guint weight;
	guint sessions;
	guint faults;
	uint64_t memory;
	uint64_t kernel_ns;
	struct policy_rate calls;
	struct policy_rate bytes;
};

/* clang-format off */
#define RATE(n) {n, n}
#define NO_RATE {0, 0}

/* The documents have this table: gpu_mediator.tenant(5). */
static const struct level levels[] = {
	[POLICY_UNTRUSTED] = {"untrusted", POLICY_BUILTIN, 10, 4, 3, 128 * MIB, 2 * SECOND,
			      RATE(20000), RATE(256 * MIB)},
	[POLICY_LOW] = {"low", CLASSES_LOW, 25, 8, 3, 256 * MIB, 5 * SECOND,
			RATE(100000), RATE(1024 * MIB)},
	[POLICY_MEDIUM] = {"medium", CLASSES_MEDIUM, 50, 16, 5, 512 * MIB, 10 * SECOND,
			   NO_RATE, NO_RATE},
	[POLICY_HIGH] = {"high", CLASSES_MEDIUM, 80, 32, 5, 1024 * MIB, 60 * SECOND,
			 NO_RATE, NO_RATE},
	[POLICY_SYSTEM] = {"system", POLICY_ALL, 100, 64, 0, 2048 * MIB, POLICY_NO_LIMIT,
			   NO_RATE, NO_RATE},
};
/* clang-format on */

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
