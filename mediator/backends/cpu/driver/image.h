/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding the PTX in what a program gives as a module. */
#ifndef VGPU_CPU_IMAGE_H
#define VGPU_CPU_IMAGE_H

#include <stddef.h>

enum image_result {
	IMAGE_PTX,
	IMAGE_NO_PTX,  /* machine code only */
	IMAGE_INVALID, /* no module at all, or a broken one */
};

/*
 * `image` begins with what says how long it is: text that ends in 0, or the
 * header of a fatbin or an ELF file.  IMAGE_PTX: *text (g_free) has *length bytes.
 */
enum image_result image_ptx(const void *image, char **text, size_t *length);
/* The same for a fatbin of which `size` bytes are there. */
enum image_result fatbin_ptx(const void *fatbin, size_t size, char **text, size_t *length);
/* Bytes that a fatbin's header says it has, 0 if it is none. */
size_t fatbin_size(const void *fatbin);

#endif /* VGPU_CPU_IMAGE_H */
