/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ToolsModule, 6e163fbe-b958-444d-835c-e182aff1991e: the functions of a
 * module, for profilers.
 *
 * Slot 7 from Lupine: it calls back for each function, and its return value
 * is their number.  The driver's own function objects, into which a profiler
 * would look, are not ours to imitate: the callback gets the same handles
 * that cuModuleGetFunction() gives.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tables.h"

typedef void (*visit_fn)(void *arg, CUfunction function, uint64_t owner);

/* Slot 7. */
static uint64_t each_function(CUcontext context, CUmodule module, visit_fn visit, void *arg)
{
	unsigned n = 0;
	CUfunction *functions;

	(void)context;
	if (!module || cuModuleGetFunctionCount(&n, module) || !n)
		return 0;
	functions = calloc(n, sizeof(*functions));
	if (!functions || cuModuleEnumerateFunctions(functions, n, module))
		n = 0;
	for (unsigned i = 0; visit && i < n; i++)
		visit(arg, functions[i], (uintptr_t)module);
	free(functions);
	return n;
}

const union export_slot export_tools_module[8] = {
	EXPORT_SIZE(export_tools_module),
	EXPORT_REFUSE,
	EXPORT_REFUSE,
	EXPORT_REFUSE,
	EXPORT_REFUSE,
	EXPORT_REFUSE,
	EXPORT_REFUSE,
	EXPORT_CALL(each_function),
};
