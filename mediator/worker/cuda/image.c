/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images of modules: the driver takes an address without a length, so what an
 * image says of its own size must be true before the driver reads it.
 */
#include <elf.h>
#include <string.h>

#include "blobs.h"

#define FATBIN_MAGIC 0xBA55ED50u

struct fatbin_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint64_t bytes; /* of what follows the header */
};

static bool within(uint64_t offset, uint64_t bytes, uint64_t size)
{
	return offset <= size && bytes <= size - offset;
}

static bool fatbin_is_sane(const uint8_t *data, uint64_t size)
{
	struct fatbin_header h;

	if (size < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	return h.header_bytes >= sizeof(h) && within(h.header_bytes, h.bytes, size);
}

static bool sections_are_sane(const uint8_t *data, uint64_t size, const Elf64_Ehdr *e)
{
	for (unsigned int i = 0; i < e->e_shnum; i++) {
		Elf64_Shdr sh;

		memcpy(&sh, data + e->e_shoff + (uint64_t)i * sizeof(sh), sizeof(sh));
		if (sh.sh_type != SHT_NOBITS && !within(sh.sh_offset, sh.sh_size, size))
			return false;
	}
	return true;
}

static bool segments_are_sane(const uint8_t *data, uint64_t size, const Elf64_Ehdr *e)
{
	for (unsigned int i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, data + e->e_phoff + (uint64_t)i * sizeof(ph), sizeof(ph));
		if (!within(ph.p_offset, ph.p_filesz, size))
			return false;
	}
	return true;
}

static bool elf_is_sane(const uint8_t *data, uint64_t size)
{
	Elf64_Ehdr e;

	if (size < sizeof(e))
		return false;
	memcpy(&e, data, sizeof(e));
	if (e.e_ident[EI_CLASS] != ELFCLASS64 ||
	    (e.e_shnum && e.e_shentsize != sizeof(Elf64_Shdr)) ||
	    (e.e_phnum && e.e_phentsize != sizeof(Elf64_Phdr)))
		return false;
	return within(e.e_shoff, (uint64_t)e.e_shnum * sizeof(Elf64_Shdr), size) &&
	       within(e.e_phoff, (uint64_t)e.e_phnum * sizeof(Elf64_Phdr), size) &&
	       sections_are_sane(data, size, &e) && segments_are_sane(data, size, &e);
}

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
		if (sh.sh_type != SHT_NOBITS || !within(sh.sh_name, length, names.sh_size) ||
		    !within(names.sh_offset, names.sh_size, size) ||
		    memcmp(data + names.sh_offset + sh.sh_name, prefix, length) != 0)
			continue;
		if (__builtin_add_overflow(sum, sh.sh_size, &sum))
			return UINT64_MAX;
	}
	return sum;
}

uint64_t image_memory(const struct blob *b)
{
	uint64_t sum = b->bytes;

	if (b->bytes >= SELFMAG && !memcmp(b->data, ELFMAG, SELFMAG) &&
	    __builtin_add_overflow(sum, zeros_of(b->data, b->bytes), &sum))
		return UINT64_MAX;
	return sum;
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
	if (magic == FATBIN_MAGIC)
		return fatbin_is_sane(b->data, b->bytes);
	if (!memcmp(&magic, ELFMAG, SELFMAG))
		return elf_is_sane(b->data, b->bytes);
	return looks_like_text(b->data, b->bytes);
}
