/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export tables, one a file, and what they are made of.
 *
 * What is known of them is public knowledge from projects that serve the same
 * start-up: ZLUDA (dark_api), Lupine, smolvm, and XSched for the names of the
 * Tools* tables.  Each file says what it has from where.  A slot of which
 * nothing is known refuses its caller and does not crash it.
 */
#ifndef CUDA_EXPORT_TABLES_H
#define CUDA_EXPORT_TABLES_H

#include <stddef.h>

#include "../api.h"

/* One slot: a function, or in most tables' slot 0 the table's size in bytes. */
union export_slot {
	size_t size;
	void (*call)(void);
};

/* Slots filled by name: EXPORT_CALL(f) for a function of any type. */
#define EXPORT_SIZE(table)            \
	{                             \
		.size = sizeof(table) \
	}
#define EXPORT_CALL(f)                      \
	{                                   \
		.call = (void (*)(void))(f) \
	}

/* What unknown slots hold. */
#define EXPORT_REFUSE EXPORT_CALL(export_refuse)
CUresult export_refuse(void);

/* What slots hold that are hooks, for which there is nothing to do. */
#define EXPORT_IDLE EXPORT_CALL(export_idle)
size_t export_idle(void);

extern const union export_slot export_cudart_interface[13];
extern const union export_slot export_tools_tls[4];
extern const union export_slot export_runtime_hooks[7];
extern const union export_slot export_context_storage[4];
extern const union export_slot export_context_checks[17];
extern const union export_slot export_device_layout[12];
extern const union export_slot export_tools_context[93];
extern const union export_slot export_tools_module[8];

/* INTEGRITY_CHECK; NULL in a library that was built without (-Dhandshake=false). */
extern const union export_slot *const export_handshake;

#endif /* CUDA_EXPORT_TABLES_H */
