/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images of modules: the driver takes an address without a length, so what an
 * image says of its own size must be true before the driver reads it.
 */
#include <elf.h>
#include <string.h>

#include "blobs.h"
#include "image_parts.h"

static bool fatbin_is_sane(const uint8_t *data, uint64_t size)
{
	struct image_fatbin h;

	if (size < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	return h.header_bytes >= sizeof(h) && image_within(h.header_bytes, h.bytes, size);
}

static bool sections_are_sane(const uint8_t *data, uint64_t size, const Elf64_Ehdr *e)
{
	for (unsigned int i = 0; i < e->e_shnum; i++) {
		Elf64_Shdr sh;

		memcpy(&sh, data + e->e_shoff + (uint64_t)i * sizeof(sh), sizeof(sh));
		if (sh.sh_type != SHT_NOBITS && !image_within(sh.sh_offset, sh.sh_size, size))
			return false;
	}
	return true;
}

static bool segments_are_sane(const uint8_t *data, uint64_t size, const Elf64_Ehdr *e)
{
	for (unsigned int i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, data + e->e_phoff + (uint64_t)i * sizeof(ph), sizeof(ph));
		if (!image_within(ph.p_offset, ph.p_filesz, size))
			return false;
	}
	return true;
}

bool image_elf_is_sane(const uint8_t *data, uint64_t size)
{
	Elf64_Ehdr e;

	if (size < sizeof(e))
		return false;
	memcpy(&e, data, sizeof(e));
	if (e.e_ident[EI_CLASS] != ELFCLASS64 ||
	    (e.e_shnum && e.e_shentsize != sizeof(Elf64_Shdr)) ||
	    (e.e_phnum && e.e_phentsize != sizeof(Elf64_Phdr)))
		return false;
	return image_within(e.e_shoff, (uint64_t)e.e_shnum * sizeof(Elf64_Shdr), size) &&
	       image_within(e.e_phoff, (uint64_t)e.e_phnum * sizeof(Elf64_Phdr), size) &&
	       sections_are_sane(data, size, &e) && segments_are_sane(data, size, &e);
}

/* Text ends with the zeros that follow each blob. */
static bool looks_like_text(const uint8_t *data, uint64_t size)
{
	uint64_t n = size < 64 ? size : 64;

	for (uint64_t i = 0; i < n && data[i]; i++) {
		if (data[i] < 0x20 && data[i] != '\n' && data[i] != '\r' && data[i] != '\t')
			return false;
	}
	/* No other kind: some, such as a fatbin's wrapper, hold addresses. */
	return size && data[0] && data[0] < 0x7f;
}

bool image_is_sane(const struct blob *b)
{
	uint32_t magic = 0;

	if (!b->data)
		return false;
	memcpy(&magic, b->data, b->bytes < sizeof(magic) ? b->bytes : sizeof(magic));
	if (magic == IMAGE_FATBIN_MAGIC)
		return fatbin_is_sane(b->data, b->bytes);
	if (!memcmp(&magic, ELFMAG, SELFMAG))
		return image_elf_is_sane(b->data, b->bytes);
	return looks_like_text(b->data, b->bytes);
}
