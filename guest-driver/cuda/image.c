// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images of device code.
 *
 * A program gives a pointer and no length, which is in the image itself.  The
 * program's memory is trusted; the host checks all of it again by itself.
 */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob.h"
#include "cancel.h"

#ifndef EM_CUDA
#define EM_CUDA 190
#endif

#define WRAPPER_MAGIC 0x466243b1u
#define FATBIN_MAGIC 0xba55ed50u

/* What nvcc's objects hold: where the fat binary is. */
struct wrapper {
	uint32_t magic;
	uint32_t version;
	const void *data;
	const void *other;
};

struct fatbin_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint64_t bytes; /* that follow the header */
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* The end of the last thing that an ELF file's tables name. */
static size_t elf_size(const void *image)
{
	const uint8_t *base = image;
	Elf64_Ehdr h;
	size_t end;

	memcpy(&h, base, sizeof(h));
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_CUDA ||
	    h.e_ehsize != sizeof(h) || (h.e_shnum && h.e_shentsize != sizeof(Elf64_Shdr)) ||
	    (h.e_phnum && h.e_phentsize != sizeof(Elf64_Phdr)))
		return 0;
	end = larger(h.e_ehsize, h.e_shoff + (size_t)h.e_shnum * h.e_shentsize);
	end = larger(end, h.e_phoff + (size_t)h.e_phnum * h.e_phentsize);
	for (unsigned int i = 0; i < h.e_shnum; i++) {
		Elf64_Shdr s;

		memcpy(&s, base + h.e_shoff + (size_t)i * h.e_shentsize, sizeof(s));
		if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL)
			end = larger(end, s.sh_offset + s.sh_size);
	}
	for (unsigned int i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, base + h.e_phoff + (size_t)i * h.e_phentsize, sizeof(p));
		end = larger(end, p.p_offset + p.p_filesz);
	}
	return end;
}

/* PTX begins with white space, a comment or a directive. */
static bool is_text(const char *s)
{
	return *s == '/' || *s == '.' || *s == ' ' || *s == '\n' || *s == '\r' || *s == '\t';
}

CUresult image_of(const void *image, struct image *out)
{
	struct fatbin_header f;
	uint32_t magic;

	if (!image)
		return CUDA_ERROR_INVALID_VALUE;
	if (is_text(image)) {
		*out = (struct image){image, strlen(image) + 1};
		return CUDA_SUCCESS;
	}
	if (!*(const char *)image) /* an empty text may be no longer than this */
		return CUDA_ERROR_INVALID_IMAGE;
	memcpy(&magic, image, sizeof(magic));
	if (magic == WRAPPER_MAGIC) {
		struct wrapper w;

		memcpy(&w, image, sizeof(w));
		image = w.data;
		if (!image)
			return CUDA_ERROR_INVALID_IMAGE;
		memcpy(&magic, image, sizeof(magic));
	}
	if (magic == FATBIN_MAGIC) {
		memcpy(&f, image, sizeof(f));
		*out = (struct image){image, f.header_bytes + f.bytes};
		return CUDA_SUCCESS;
	}
	if (memcmp(image, ELFMAG, SELFMAG) != 0)
		return CUDA_ERROR_INVALID_IMAGE;
	*out = (struct image){image, elf_size(image)};
	return out->size ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

CUresult image_read_file(const char *path, struct image *out)
{
	int cancel = cancel_disable();
	FILE *f = path ? fopen(path, "rbe") : NULL;
	char *data = NULL;
	long size;

	if (!f) {
		cancel_restore(cancel);
		return path ? CUDA_ERROR_FILE_NOT_FOUND : CUDA_ERROR_INVALID_VALUE;
	}
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
		data = malloc((size_t)size + 1);
		if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
			free(data);
			data = NULL;
		}
	}
	fclose(f);
	cancel_restore(cancel);
	if (!data)
		return CUDA_ERROR_OPERATING_SYSTEM;
	data[size] = 0;
	*out = (struct image){data, (size_t)size + 1};
	return CUDA_SUCCESS;
}

void image_free_file(struct image *i)
{
	free((void *)(uintptr_t)i->data);
}

CUresult image_send(const struct image *i, unsigned long long *blob)
{
	return blob_send(i->data, i->size, blob);
}
