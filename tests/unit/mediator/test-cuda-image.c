/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an image is charged for: cubins and fatbins made here, whole and broken.
 * What crashes on a broken one is found by the sanitizers.
 */
#include <elf.h>
#include <glib.h>
#include <string.h>

#include "blobs.h"
#include "image_parts.h"

#define MIB ((uint64_t)1 << 20)

static const char names[] = "\0.nv.global\0.nv.global.init\0.nv.shared.k\0.shstrtab";
enum { GLOBAL = 1, INIT = 12, SHARED = 28, SHSTRTAB = 41 };

/* Appends; where it is. */
static guint append(GByteArray *a, const void *data, size_t bytes)
{
	const guint at = a->len;

	g_byte_array_append(a, data, (guint)bytes);
	return at;
}

/* A cubin with variables of so many zeros, in two sections, and others that do not count. */
static GByteArray *cubin(uint64_t zeros, uint64_t more)
{
	GByteArray *a = g_byte_array_new();
	Elf64_Ehdr e = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
			.e_shoff = sizeof(e),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 6,
			.e_shstrndx = 1};
	const uint64_t end = sizeof(e) + 6 * sizeof(Elf64_Shdr);
	const Elf64_Shdr sections[6] = {
		{0},
		{.sh_name = SHSTRTAB,
		 .sh_type = SHT_STRTAB,
		 .sh_offset = end,
		 .sh_size = sizeof(names)},
		{.sh_name = GLOBAL, .sh_type = SHT_NOBITS, .sh_size = zeros},
		{.sh_name = SHARED, .sh_type = SHT_NOBITS, .sh_size = 1000 * MIB},
		{.sh_name = INIT, .sh_type = SHT_PROGBITS, .sh_offset = end, .sh_size = 16},
		{.sh_name = GLOBAL, .sh_type = SHT_NOBITS, .sh_size = more},
	};

	append(a, &e, sizeof(e));
	append(a, sections, sizeof(sections));
	append(a, names, sizeof(names));
	return a;
}

static GByteArray *fatbin(void)
{
	const struct image_fatbin h = {
		.magic = IMAGE_FATBIN_MAGIC, .version = 1, .header_bytes = 16};
	GByteArray *a = g_byte_array_new();

	append(a, &h, sizeof(h));
	return a;
}

/* Takes `content`. */
static void add(GByteArray *fat, uint16_t kind, uint64_t flags, GByteArray *content)
{
	const struct image_part p = {.kind = kind,
				     .header_bytes = 64, /* 16 bytes more than we know */
				     .bytes = content->len,
				     .flags = flags};
	static const uint8_t rest[16];
	struct image_fatbin h;

	append(fat, &p, sizeof(p));
	append(fat, rest, sizeof(rest));
	append(fat, content->data, content->len);
	memcpy(&h, fat->data, sizeof(h));
	h.bytes = fat->len - sizeof(h);
	memcpy(fat->data, &h, sizeof(h));
	g_byte_array_free(content, TRUE);
}

/* Beside its own bytes. */
static uint64_t zeros(const GByteArray *a)
{
	const struct blob b = {.data = a->data, .bytes = a->len};

	g_assert_true(image_is_sane(&b));
	return image_memory(&b) - b.bytes;
}

static void expect(GByteArray *a, uint64_t bytes)
{
	g_assert_cmpuint(zeros(a), ==, bytes);
	g_byte_array_free(a, TRUE);
}

static void test_cubin(void)
{
	GByteArray *a = cubin(UINT64_MAX, 1);
	const struct blob b = {.data = a->data, .bytes = a->len};

	expect(cubin(0, 0), 0);
	expect(cubin(300 * MIB, 5), 300 * MIB + 5);
	g_assert_cmpuint(image_memory(&b), ==, UINT64_MAX);
	g_byte_array_free(a, TRUE);
}

static void test_text(void)
{
	static uint8_t text[] = ".version 8.0\n.target sm_90\n.global .b8 x[1000000];\n";
	const struct blob b = {.data = text, .bytes = sizeof(text)};

	g_assert_true(image_is_sane(&b));
	g_assert_cmpuint(image_memory(&b), ==, sizeof(text));
}

/* The driver takes one of its cubins. */
static void test_fatbin(void)
{
	GByteArray *a = fatbin();

	g_assert_cmpuint(zeros(a), ==, 0);
	add(a, IMAGE_PART_CUBIN, 0x11, cubin(3 * MIB, 0));
	g_assert_cmpuint(zeros(a), ==, 3 * MIB);
	add(a, IMAGE_PART_CUBIN, 0x11, cubin(5 * MIB, 2 * MIB));
	add(a, IMAGE_PART_CUBIN, 0x11, cubin(4 * MIB, 0));
	g_assert_cmpuint(zeros(a), ==, 7 * MIB);
	/* What would have to be unpacked or compiled does not tell. */
	add(a, IMAGE_PART_CUBIN, 0x11 | IMAGE_PART_ZSTD, cubin(9 * MIB, 0));
	add(a, IMAGE_PART_CUBIN, 0x11 | IMAGE_PART_LZ4, cubin(9 * MIB, 0));
	add(a, 1, 0x11, cubin(9 * MIB, 0));
	expect(a, 7 * MIB);
}

/* A part that is longer than what there is ends it; so does one that is too short. */
static void test_broken_parts(void)
{
	GByteArray *a = fatbin();
	guint second;
	struct image_part p;

	add(a, IMAGE_PART_CUBIN, 0, cubin(3 * MIB, 0));
	second = a->len;
	add(a, IMAGE_PART_CUBIN, 0, cubin(4 * MIB, 0));
	memcpy(&p, a->data + second, sizeof(p));
	p.bytes++;
	memcpy(a->data + second, &p, sizeof(p));
	g_assert_cmpuint(zeros(a), ==, 3 * MIB);
	p.bytes = UINT64_MAX;
	memcpy(a->data + second, &p, sizeof(p));
	g_assert_cmpuint(zeros(a), ==, 3 * MIB);
	p.bytes = 0;
	p.header_bytes = 0;
	memcpy(a->data + second, &p, sizeof(p));
	g_assert_cmpuint(zeros(a), ==, 3 * MIB);
	p.header_bytes = UINT32_MAX;
	memcpy(a->data + second, &p, sizeof(p));
	expect(a, 3 * MIB);
}

/* Whatever stands in it: no byte is read that is not there, and it is charged for what it is. */
static void test_any(void)
{
	GRand *g = g_rand_new_with_seed(1);

	for (int i = 0; i < 20000; i++) {
		GByteArray *a = cubin(MIB, MIB);
		struct blob b;

		if (i % 2) {
			GByteArray *fat = fatbin();

			add(fat, IMAGE_PART_CUBIN, 0, a);
			add(fat, IMAGE_PART_CUBIN, 0, cubin(MIB, 0));
			a = fat;
		}
		for (int k = g_rand_int_range(g, 1, 6); k; k--)
			a->data[g_rand_int_range(g, 0, (gint32)a->len)] =
				(guint8)g_rand_int_range(g, 0, 256);
		/* Of its own size, so that the sanitizer knows where it ends. */
		b = (struct blob){.data = g_memdup2(a->data, a->len), .bytes = a->len};
		if (image_is_sane(&b))
			g_assert_cmpuint(image_memory(&b), >=, b.bytes);
		g_free(b.data);
		g_byte_array_free(a, TRUE);
	}
	g_rand_free(g);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda-image/cubin", test_cubin);
	g_test_add_func("/mediator/cuda-image/text", test_text);
	g_test_add_func("/mediator/cuda-image/fatbin", test_fatbin);
	g_test_add_func("/mediator/cuda-image/broken-parts", test_broken_parts);
	g_test_add_func("/mediator/cuda-image/any", test_any);
	return g_test_run();
}
