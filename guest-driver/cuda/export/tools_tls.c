/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TOOLS_TLS, 42d85a81-23f6-cb47-8298-f6e78a3aecdc: what each thread keeps for
 * profilers.
 *
 * Slot 2 is called by libraries whenever they work (smolvm, Lupine: with one
 * argument).  There is no profiler in the guest, so nothing is kept.
 */
#include "tables.h"

const union export_slot export_tools_tls[4] = {
	[0] = EXPORT_SIZE(export_tools_tls),
	[1] = EXPORT_IDLE,
	[2] = EXPORT_IDLE,
	[3] = EXPORT_IDLE,
};
