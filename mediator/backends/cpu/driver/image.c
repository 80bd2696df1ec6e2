/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modules come as PTX text, as a fatbin (several texts and machine codes, some
 * of them compressed), or as machine code, which is of no use here.  The small
 * structure that points to a fatbin is refused: whoever asks is in another
 * process, and a pointer from there means nothing.
 */
#include "image.h"

#include <elf.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if HAVE_LZ4
#include <lz4.h>
#endif
#if HAVE_ZSTD
#include <zstd.h>
#endif

#define FATBIN_MAGIC 0xba55ed50u
#define KIND_PTX 1u
#define FLAG_LZ4 0x2000u
#define FLAG_ZSTD 0x8000u
#define TEXT_MAX ((size_t)64 << 20)

struct fatbin {
	uint32_t magic;
	uint16_t version, header;
	uint64_t size; /* of what follows the header */
};

struct part {
	uint16_t kind, version;
	uint32_t header;
	uint64_t size; /* of what follows the header */
	uint32_t compressed, options;
	uint16_t minor, major;
	uint32_t arch, name_offset, name_length;
	uint64_t flags, unused, plain; /* plain: bytes when decompressed */
};

static bool unpack(const struct part *p, const uint8_t *data, size_t size, char *out)
{
	(void)p;
	(void)data;
	(void)size;
	(void)out;
#if HAVE_LZ4
	if (p->flags & FLAG_LZ4)
		return LZ4_decompress_safe((const char *)data, out, (int)size, (int)p->plain) ==
		       (int)p->plain;
#endif
#if HAVE_ZSTD
	if (p->flags & FLAG_ZSTD)
		return ZSTD_decompress(out, p->plain, data, size) == p->plain;
#endif
	return false;
}

static char *take(const struct part *p, const uint8_t *data, size_t *length)
{
	size_t size = p->compressed ? p->compressed : p->size;
	char *text;

	if (!(p->flags & (FLAG_LZ4 | FLAG_ZSTD))) {
		*length = p->size;
		return g_strndup((const char *)data, p->size);
	}
	if (size > p->size || !p->plain || p->plain > TEXT_MAX || size > TEXT_MAX)
		return NULL;
	text = g_try_malloc(p->plain + 1);
	if (!text || !unpack(p, data, size, text)) {
		g_free(text);
		return NULL;
	}
	text[p->plain] = '\0';
	*length = p->plain;
	return text;
}

size_t fatbin_size(const void *fatbin)
{
	struct fatbin f;

	memcpy(&f, fatbin, sizeof(f));
	if (f.magic != FATBIN_MAGIC || f.header < sizeof(f) || f.size > TEXT_MAX)
		return 0;
	return f.header + f.size;
}

/* The text for the newest device of those that are there. */
enum image_result fatbin_ptx(const void *fatbin, size_t size, char **text, size_t *length)
{
	const uint8_t *base = fatbin;
	size_t at, end;
	uint32_t best = 0;
	struct fatbin f;

	*text = NULL;
	if (size < sizeof(f))
		return IMAGE_INVALID;
	end = fatbin_size(fatbin);
	if (!end || end > size)
		return IMAGE_INVALID;
	memcpy(&f, fatbin, sizeof(f));
	for (at = f.header; end - at >= sizeof(struct part);) {
		struct part p;

		memcpy(&p, base + at, sizeof(p));
		if (p.header < sizeof(p) || p.header > end - at || p.size > end - at - p.header) {
			g_clear_pointer(text, g_free);
			return IMAGE_INVALID;
		}
		if (p.kind == KIND_PTX && p.arch >= best) {
			size_t bytes = 0;
			char *found = take(&p, base + at + p.header, &bytes);

			if (found) {
				g_free(*text);
				*text = found;
				*length = bytes;
				best = p.arch;
			}
		}
		at += p.header + p.size;
	}
	return *text ? IMAGE_PTX : IMAGE_NO_PTX;
}

enum image_result image_ptx(const void *image, char **text, size_t *length)
{
	uint32_t magic;

	/* A text may be shorter than a number. */
	for (size_t i = 0; i < sizeof(magic); i++)
		if (!((const char *)image)[i])
			return IMAGE_INVALID;
	memcpy(&magic, image, sizeof(magic));
	if (!memcmp(image, ELFMAG, SELFMAG))
		return IMAGE_NO_PTX;
	if (magic == FATBIN_MAGIC)
		return fatbin_ptx(image, fatbin_size(image), text, length);
	*length = strlen(image);
	*text = g_strndup(image, *length);
	return IMAGE_PTX;
}
