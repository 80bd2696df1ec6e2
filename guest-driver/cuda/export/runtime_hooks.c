/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TOOLS_RUNTIME_CALLBACK_HOOKS, a094798c-2e74-2e74-93f2-0800200c0a66: how a
 * profiler hears of calls of the runtime.
 *
 * Slots 2 and 6 give arrays in which the runtime looks up, call by call,
 * whether somebody listens (the sizes are ZLUDA's: 1024 and 14 numbers).
 * Nobody does: both stay zero.  The other slots report events (smolvm).
 */
#include "tables.h"

#include <stdint.h>

static uint32_t listeners[1024];
static uint32_t more_listeners[14];

static void give_listeners(void **array, size_t *entries)
{
	if (array)
		*array = listeners;
	if (entries)
		*entries = sizeof(listeners) / sizeof(listeners[0]);
}

static void give_more_listeners(void **array, size_t *entries)
{
	if (array)
		*array = more_listeners;
	if (entries)
		*entries = sizeof(more_listeners) / sizeof(more_listeners[0]);
}

const union export_slot export_runtime_hooks[7] = {
	[0] = EXPORT_SIZE(export_runtime_hooks),
	[1] = EXPORT_IDLE,
	[2] = EXPORT_CALL(give_listeners),
	[3] = EXPORT_IDLE,
	[4] = EXPORT_IDLE,
	[5] = EXPORT_IDLE,
	[6] = EXPORT_CALL(give_more_listeners),
};
