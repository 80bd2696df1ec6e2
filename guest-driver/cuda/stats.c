// SPDX-License-Identifier: GPL-2.0-or-later
/* With VGPU_STATS=1 in the environment: one line about the calls, when the program ends. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "context.h"
#include "staging.h"

static __attribute__((destructor)) void tell(void)
{
	const char *wish = getenv("VGPU_STATS");
	uint64_t calls = 0, waited = 0;

	if (!wish || strcmp(wish, "1") != 0 || !shim_initialised())
		return;
	client_counts(&calls, &waited);
	fprintf(stderr,
		"vgpu-stats: calls %" PRIu64 " quiet %" PRIu64 " waited %" PRIu64
		" host_copied %llu\n",
		calls, calls - waited, waited, staging_bytes());
}
