/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeping toolstacks from saving the domain: Xen asks an emulator beside the
 * device model nothing, and would go on without what is behind the device.
 *
 * Both libxl and xenopsd have the device model write its state to a file of a
 * fixed name when the guest has been suspended, and libxl lets the guest run on
 * if that file cannot be opened.  So its place is taken, by a link to nowhere:
 * what it points at cannot be made, and whoever clears up can remove it.
 */
#ifndef VGPU_XEN_UNSAVED_H
#define VGPU_XEN_UNSAVED_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Takes the place.  False with `err` set: saving is not refused. */
bool unsaved_begin(uint32_t domid, GError **err);
/* Gives it back, if it is still ours. */
void unsaved_end(uint32_t domid);

#endif /* VGPU_XEN_UNSAVED_H */
