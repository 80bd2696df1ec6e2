/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Export tables: the private tables of functions that cuGetExportTable()
 * hands to NVIDIA's own runtime and libraries.
 */
#ifndef CUDA_EXPORT_H
#define CUDA_EXPORT_H

#include "../api.h"

/*
 * The table that `id` names, in *table.
 *
 * The tables are the library's own and live as long as it does; they answer
 * before cuInit() and without a device.  A table that we do not have:
 * CUDA_ERROR_NOT_FOUND and NULL, at which NVIDIA's libraries do without it.
 */
CUresult export_table_get(const void **table, const CUuuid *id);

/*
 * `context` is about to go, or its contents are (destroyed, primary context
 * reset or released for the last time): tells everyone who keeps something
 * with it, then forgets what they kept.
 *
 * Call it while `context` still is a valid handle, with no lock held that a
 * cu* function takes: what is called back may call the driver.
 */
void export_context_gone(CUcontext context);

#endif /* CUDA_EXPORT_H */
