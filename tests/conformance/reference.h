/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What plain copies by the driver reach on the same machine, as a yardstick.
 */
#ifndef VGPU_CONFORMANCE_REFERENCE_H
#define VGPU_CONFORMANCE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

/* GB/s, the best of several; 0 where it could not be measured. */
struct reference {
	double pinned_to_device, pinned_from_device;
	double pageable_to_device, pageable_from_device;
};

/* Copies `size` bytes to and from `device`; false where there is no driver. */
bool reference_measure(unsigned int device, size_t size, struct reference *out);

#endif /* VGPU_CONFORMANCE_REFERENCE_H */
