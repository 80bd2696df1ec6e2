/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 1734dc26-800d-4745-8726-c0f1e7dd8bca: how the multiprocessors of a device are
 * grouped, as far as can be seen.
 *
 * cuBLASLt of CUDA 13.0 asks for it when it chooses among its kernels for a
 * device of compute capability 9.0, does not look whether it got the table, and
 * calls slot 4 with the addresses of two 64-bit words.  If that call fails it
 * chooses without it (seen on an H200, 2026-11-21).  So it fails.
 */
#include "tables.h"

const union export_slot export_device_layout[12] = {
	[0] = EXPORT_SIZE(export_device_layout),
	[1] = EXPORT_REFUSE,
	[2] = EXPORT_REFUSE,
	[3] = EXPORT_REFUSE,
	[4] = EXPORT_REFUSE,
	[5] = EXPORT_REFUSE,
	[6] = EXPORT_REFUSE,
	[7] = EXPORT_REFUSE,
	[8] = EXPORT_REFUSE,
	[9] = EXPORT_REFUSE,
	[10] = EXPORT_REFUSE,
	[11] = EXPORT_REFUSE,
};
