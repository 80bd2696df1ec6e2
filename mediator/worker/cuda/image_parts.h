/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How images of modules are built, as far as their size is concerned. */
#ifndef VGPU_WORKER_CUDA_IMAGE_PARTS_H
#define VGPU_WORKER_CUDA_IMAGE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_FATBIN_MAGIC 0xBA55ED50u

/* Several images in one, for several devices. */
struct image_fatbin {
	uint32_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint64_t bytes; /* of what follows the header */
};

/* One of them; more of its header may follow. */
struct image_part {
	uint16_t kind; /* IMAGE_PART_* */
	uint16_t version;
	uint32_t header_bytes;
	uint64_t bytes; /* of what follows the header */
	uint32_t packed_bytes;
	uint32_t options;
	uint16_t minor, major;
	uint32_t arch;
	uint32_t name_offset, name_length;
	uint64_t flags;
};

#define IMAGE_PART_CUBIN 2u
#define IMAGE_PART_LZ4 0x2000u /* flags: how it is packed */
#define IMAGE_PART_ZSTD 0x8000u

/* Does [offset, offset + bytes) lie within `size`? */
static inline bool image_within(uint64_t offset, uint64_t bytes, uint64_t size)
{
	return offset <= size && bytes <= size - offset;
}

/* Is this an ELF file whose headers and sections lie within its `size` bytes? */
bool image_elf_is_sane(const uint8_t *data, uint64_t size);

#endif /* VGPU_WORKER_CUDA_IMAGE_PARTS_H */
