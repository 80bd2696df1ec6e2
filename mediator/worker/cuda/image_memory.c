/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device memory that an image takes.  Its variables of zeros are not in it, only
 * their size is, and a few bytes can ask for all that a device has.
 */
#include <elf.h>
#include <string.h>

#include "blobs.h"
#include "image_parts.h"

/* Variables that begin as zeros: sections without content, but not shared memory's. */
static uint64_t zeros_of(const uint8_t *data, uint64_t size)
{
	Elf64_Shdr names, sh;
	uint64_t sum = 0;
	Elf64_Ehdr e;

	memcpy(&e, data, sizeof(e));
	if (e.e_shstrndx >= e.e_shnum)
		return 0;
	memcpy(&names, data + e.e_shoff + (uint64_t)e.e_shstrndx * sizeof(names), sizeof(names));
	for (unsigned int i = 0; i < e.e_shnum; i++) {
		static const char prefix[] = ".nv.global";
		const size_t length = sizeof(prefix) - 1;

		memcpy(&sh, data + e.e_shoff + (uint64_t)i * sizeof(sh), sizeof(sh));
		if (sh.sh_type != SHT_NOBITS || !image_within(sh.sh_name, length, names.sh_size) ||
		    !image_within(names.sh_offset, names.sh_size, size) ||
		    memcmp(data + names.sh_offset + sh.sh_name, prefix, length) != 0)
			continue;
		if (__builtin_add_overflow(sum, sh.sh_size, &sum))
			return UINT64_MAX;
	}
	return sum;
}

static uint64_t zeros_of_part(const struct image_part *p, const uint8_t *data)
{
	if (p->kind != IMAGE_PART_CUBIN || (p->flags & (IMAGE_PART_LZ4 | IMAGE_PART_ZSTD)) ||
	    !image_elf_is_sane(data, p->bytes))
		return 0;
	return zeros_of(data, p->bytes);
}

/* The driver takes the one that fits the device: the largest is as good as any other's. */
static uint64_t zeros_of_fatbin(const uint8_t *data)
{
	struct image_fatbin h;
	uint64_t at, end, most = 0;

	memcpy(&h, data, sizeof(h));
	end = h.header_bytes + h.bytes;
	for (at = h.header_bytes; image_within(at, sizeof(struct image_part), end);) {
		struct image_part p;
		uint64_t zeros;

		memcpy(&p, data + at, sizeof(p));
		if (p.header_bytes < sizeof(p) || !image_within(at + p.header_bytes, p.bytes, end))
			break;
		at += p.header_bytes;
		zeros = zeros_of_part(&p, data + at);
		if (zeros > most)
			most = zeros;
		at += p.bytes;
	}
	return most;
}

uint64_t image_memory(const struct blob *b)
{
	uint64_t sum = b->bytes, zeros = 0;
	uint32_t magic = 0;

	memcpy(&magic, b->data, b->bytes < sizeof(magic) ? b->bytes : sizeof(magic));
	if (!memcmp(&magic, ELFMAG, SELFMAG))
		zeros = zeros_of(b->data, b->bytes);
	else if (magic == IMAGE_FATBIN_MAGIC)
		zeros = zeros_of_fatbin(b->data);
	return __builtin_add_overflow(sum, zeros, &sum) ? UINT64_MAX : sum;
}
