/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The export tables: what they hold, and what their functions do. */
#include "fake_cuda.h"

#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../export.h"
#include "../handshake.h"
#include "../md2.h"
#include "../tables.h"

/* The table, which must be there. */
static const union export_slot *get_table(const char *uuid)
{
	const void *table = (void *)1;
	CUuuid id;

	for (int i = 0; i < 16; i++, uuid += 2) {
		if (*uuid == '-')
			uuid++;
		id.bytes[i] =
			(char)(g_ascii_xdigit_value(uuid[0]) << 4 | g_ascii_xdigit_value(uuid[1]));
	}
	if (export_table_get(&table, &id) != CUDA_SUCCESS)
		g_assert_null(table);
	return table;
}

#define INTERFACE "6bd5fb6c-5bf4-e74a-8987-d93912fd9df9"
#define TLS "42d85a81-23f6-cb47-8298-f6e78a3aecdc"
#define HOOKS "a094798c-2e74-2e74-93f2-0800200c0a66"
#define STORAGE "c693336e-1121-df11-a8c3-68f355d89593"
#define CHECKS "263e8860-7cd2-6143-92f6-bbd5006dfa7e"
#define HANDSHAKE "d4082055-bde6-704b-8d34-ba123c66e1f2"
#define CONTEXT "21318c60-9714-3248-8ca6-41ff7324c8f2"
#define MODULE "6e163fbe-b958-444d-835c-e182aff1991e"

static void test_tables(void)
{
	static const struct {
		const char *uuid;
		size_t slots, first; /* the first slot that is a function */
	} tables[] = {
		{INTERFACE, 13, 1}, {TLS, 4, 1},      {HOOKS, 7, 1},  {STORAGE, 4, 0},
		{CHECKS, 17, 1},    {CONTEXT, 93, 1}, {MODULE, 8, 1},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
		const union export_slot *t = get_table(tables[i].uuid);

		g_assert_nonnull(t);
		if (tables[i].first)
			g_assert_cmpuint(t[0].size, ==, tables[i].slots * sizeof(void *));
		for (size_t slot = tables[i].first; slot < tables[i].slots; slot++)
			g_assert_true(t[slot].call != NULL);
	}
}

static void test_unknown(void)
{
	CUuuid id = {{0}};
	const void *table = (void *)1;

	g_assert_null(get_table("f8cff951-2146-8b4e-b9e2-fb469e7c0dd9"));
	g_assert_null(get_table("00000000-0000-0000-0000-000000000000"));
	g_assert_cmpint(export_table_get(&table, &id), ==, CUDA_ERROR_NOT_FOUND);
	g_assert_null(table);
	g_assert_cmpint(export_table_get(&table, NULL), ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(export_table_get(NULL, &id), ==, CUDA_ERROR_INVALID_VALUE);
}

/* Slots that are neither known nor hooks may be called with whatever, and refuse. */
static void test_refusals(void)
{
	const union export_slot *t = get_table(CONTEXT);
	unsigned int refused = 0;

	for (int i = 1; i < 93; i++) {
		CUresult (*f)(void *, void *, void *) =
			(CUresult(*)(void *, void *, void *))t[i].call;

		if (i == 4 || i == 39 || i == 51)
			continue;
		g_assert_cmpint(f(NULL, NULL, NULL), ==, CUDA_ERROR_NOT_SUPPORTED);
		refused++;
	}
	g_assert_cmpuint(refused, ==, 89);
}

static void test_interface(void)
{
	const union export_slot *t = get_table(INTERFACE);
	CUresult (*load)(CUmodule *, const void *) =
		(CUresult(*)(CUmodule *, const void *))t[1].call;
	CUresult (*primary)(CUcontext *, CUdevice) = (CUresult(*)(CUcontext *, CUdevice))t[2].call;
	CUresult (*load8)(const void *, CUmodule *, void *, void *, unsigned int) =
		(CUresult(*)(const void *, CUmodule *, void *, void *, unsigned int))t[8].call;
	CUcontext ctx = NULL;
	CUmodule module = NULL;
	int image;

	g_assert_cmpint(load(&module, &image), ==, CUDA_SUCCESS);
	g_assert_true(module == (CUmodule)(void *)&image);
	g_assert_cmpint(load(NULL, &image), ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(load(&module, NULL), ==, CUDA_ERROR_INVALID_VALUE);
	module = NULL;
	g_assert_cmpint(load8(&image, &module, NULL, NULL, 0), ==, CUDA_SUCCESS);
	g_assert_true(module == (CUmodule)(void *)&image);
	g_assert_cmpint(load8(&image, &module, NULL, NULL, 1), ==, CUDA_ERROR_NOT_SUPPORTED);

	g_assert_cmpint(primary(&ctx, 0), ==, CUDA_SUCCESS);
	g_assert_true(ctx == FAKE_PRIMARY);
	g_assert_cmpint(primary(&ctx, 5), ==, CUDA_ERROR_INVALID_DEVICE);
	g_assert_cmpint(primary(NULL, 0), ==, CUDA_ERROR_INVALID_VALUE);
}

static void test_hooks(void)
{
	const union export_slot *t = get_table(HOOKS);
	uint32_t *array = NULL;
	size_t n = 0;

	((void (*)(uint32_t **, size_t *))t[2].call)(&array, &n);
	g_assert_cmpuint(n, ==, 1024);
	for (size_t i = 0; i < n; i++)
		g_assert_cmpuint(array[i], ==, 0);
	((void (*)(uint32_t **, size_t *))t[6].call)(&array, &n);
	g_assert_cmpuint(n, ==, 14);
	for (size_t i = 0; i < n; i++)
		g_assert_cmpuint(array[i], ==, 0);
}

static void test_checks(void)
{
	const union export_slot *t = get_table(CHECKS);
	CUresult (*check)(CUcontext, unsigned int *, const void **) =
		(CUresult(*)(CUcontext, unsigned int *, const void **))t[2].call;
	const void *detail = NULL;
	unsigned int special = 7;

	g_assert_cmpint(check(FAKE_PRIMARY, &special, &detail), ==, CUDA_SUCCESS);
	g_assert_cmpuint(special, ==, 0);
	g_assert_cmpuint(((unsigned int (*)(void))t[3].call)(), ==, 0);
}

static unsigned int visited;
static void visit(void *arg, CUfunction f, uint64_t owner)
{
	g_assert_true(arg == &visited);
	g_assert_cmpuint(owner, ==, 0x77);
	visited += (unsigned int)(uintptr_t)f;
}

static void test_module(void)
{
	const union export_slot *t = get_table(MODULE);
	uint64_t (*each)(CUcontext, CUmodule, void (*)(void *, CUfunction, uint64_t), void *) =
		(uint64_t(*)(CUcontext, CUmodule, void (*)(void *, CUfunction, uint64_t),
			     void *))t[7]
			.call;

	g_assert_cmpuint(each(NULL, (CUmodule)0x77, visit, &visited), ==, 3);
	g_assert_cmpuint(visited, ==, 1 + 2 + 3);
	g_assert_cmpuint(each(NULL, NULL, visit, &visited), ==, 0);
}

/* ---- storage */

typedef void (*end_fn)(CUcontext, void *, void *);
static CUresult (*put)(CUcontext, void *, void *, end_fn);
static CUresult (*delete)(CUcontext, void *);
static CUresult (*get)(void **, CUcontext, void *);
static int key_a, key_b, value_1, value_2, ended;

static void assert_value(CUcontext c, void *key, const void *expected)
{
	void *value = (void *)1;
	CUresult r = get(&value, c, key);

	g_assert_true(value == expected);
	g_assert_cmpint(r, ==, expected ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

static void find_storage(void)
{
	const union export_slot *t = get_table(STORAGE);

	put = (CUresult(*)(CUcontext, void *, void *, end_fn))t[0].call;
	delete = (CUresult(*)(CUcontext, void *))t[1].call;
	get = (CUresult(*)(void **, CUcontext, void *))t[2].call;
}

static void test_storage(void)
{
	struct context current = {.self = 0x2000};
	CUcontext mine = (CUcontext)0x2000, other = (CUcontext)0x3000;
	void *value;

	find_storage();
	fake_current = NULL;
	g_assert_cmpint(put(NULL, &key_a, &value_1, NULL), ==, CUDA_ERROR_INVALID_CONTEXT);
	g_assert_cmpint(get(&value, NULL, &key_a), ==, CUDA_ERROR_INVALID_CONTEXT);
	g_assert_cmpint(get(NULL, mine, &key_a), ==, CUDA_ERROR_INVALID_VALUE);

	fake_current = &current;
	assert_value(NULL, &key_a, NULL);
	g_assert_cmpint(put(NULL, &key_a, &value_1, NULL), ==, CUDA_SUCCESS);
	assert_value(NULL, &key_a, &value_1);
	assert_value((CUcontext)-1, &key_a, &value_1);
	assert_value(mine, &key_a, &value_1);
	assert_value(mine, &key_b, NULL);
	assert_value(other, &key_a, NULL);
	g_assert_cmpint(put(mine, &key_a, &value_2, NULL), ==, CUDA_SUCCESS);
	assert_value(NULL, &key_a, &value_2);
	g_assert_cmpint(delete (NULL, &key_a), ==, CUDA_SUCCESS);
	assert_value(NULL, &key_a, NULL);
	g_assert_cmpint(delete (NULL, &key_a), ==, CUDA_ERROR_INVALID_HANDLE);
	fake_current = NULL;
}

/* As the runtime may: it looks at the storage from within. */
static void note_end(CUcontext c, void *key, void *value)
{
	g_assert_true(c == FAKE_PRIMARY);
	g_assert_true(value == &value_1);
	assert_value(c, key, NULL);
	ended++;
}

static void test_storage_end(void)
{
	CUcontext other = (CUcontext)0x3000;
	int keys[200];

	find_storage();
	for (int i = 0; i < 200; i++)
		g_assert_cmpint(put(FAKE_PRIMARY, &keys[i], &value_1, i % 2 ? note_end : NULL), ==,
				CUDA_SUCCESS);
	g_assert_cmpint(put(other, &key_a, &value_2, note_end), ==, CUDA_SUCCESS);
	assert_value(FAKE_PRIMARY, &keys[7], &value_1);
	export_context_gone(FAKE_PRIMARY);
	g_assert_cmpint(ended, ==, 100);
	for (int i = 0; i < 200; i++)
		assert_value(FAKE_PRIMARY, &keys[i], NULL);
	assert_value(other, &key_a, &value_2);
	g_assert_cmpint(delete (other, &key_a), ==, CUDA_SUCCESS);
	export_context_gone(other);
	g_assert_cmpint(ended, ==, 100);
}

static void *replace(void *arg)
{
	g_assert_cmpint(put(FAKE_PRIMARY, &key_a, arg, NULL), ==, CUDA_SUCCESS);
	return NULL;
}

/* What this thread remembers must not outlive another thread's change. */
static void test_storage_threads(void)
{
	int values[50];
	pthread_t t;

	find_storage();
	for (int i = 0; i < 50; i++) {
		g_assert_cmpint(pthread_create(&t, NULL, replace, &values[i]), ==, 0);
		pthread_join(t, NULL);
		assert_value(FAKE_PRIMARY, &key_a, &values[i]);
	}
	export_context_gone(FAKE_PRIMARY);
	assert_value(FAKE_PRIMARY, &key_a, NULL);
}

/* ---- handshake */

#ifdef WITH_HANDSHAKE

static void assert_bytes(const uint8_t *got, const char *hex, size_t n)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < n; i++)
		g_string_append_printf(text, "%02x", got[i]);
	g_assert_cmpstr(text->str, ==, hex);
}

/* From RFC 1319, A.5. */
static void test_md2(void)
{
	static const char *const vectors[][2] = {
		{"", "8350e5a3e24c153df2275c9f80692773"},
		{"a", "32ec01ec4a6dac72c0ab96fb34c0b5d1"},
		{"abc", "da853b0d3f88d99b30283a69e6ded6bb"},
		{"message digest", "ab4f496bfb2a530b219ff33031fe06b0"},
		{"abcdefghijklmnopqrstuvwxyz", "4e8ddff3650292ab5a4108c3aa47940b"},
		{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		 "d5976f79d83d3a0dc9806c3c66f3efd8"},
	};
	uint8_t digest[MD2_SIZE];
	struct md2 m;

	for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++) {
		md2_start(&m);
		md2_add(&m, vectors[i][0], strlen(vectors[i][0]));
		md2_finish(&m, digest);
		assert_bytes(digest, vectors[i][1], sizeof(digest));
	}
}

/* Numbers of a real run, from the tests of ZLUDA's dark_api: half-way through. */
static void test_digest_begins(void)
{
	static const uint8_t key[] = {0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52,
				      0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f};
	const struct handshake_process process = {
		.driver_version = 0x2f30,
		.version = 12082,
		.process = 0x002fa423,
		.thread = 0xf79c1000,
		.cudart_table = 0x00007ffff6958240,
		.handshake_table = 0x00007ffff6958220,
		.function = 0x00007ffff2aaf4a0,
		.seconds = 0x682b9cee,
	};
	struct md2 m;

	hmac_md2_start(&m, key);
	assert_bytes(m.state, "8b219a49e86d1aeef237f9b54a8c3c75", MD2_SIZE);
	md2_add(&m, &process, sizeof(process));
	assert_bytes(m.state, "0afdabc9ff9ba0be4d303282744fa748", MD2_SIZE);
	assert_bytes(m.checksum, "6428d9e1d434c0a94988c96158dd6674", MD2_SIZE);
}

static void test_handshake(void)
{
	const union export_slot *t = get_table(HANDSHAKE);
	CUresult (*ask)(uint32_t, uint64_t, uint64_t *) =
		(CUresult(*)(uint32_t, uint64_t, uint64_t *))t[1].call;
	struct handshake_device devices[2];
	struct handshake_process process = {
		.driver_version = FAKE_VERSION,
		.version = 13002,
		.process = (uint32_t)getpid(),
		.thread = (uint32_t)(uintptr_t)pthread_self(),
		.cudart_table = (uintptr_t)get_table(INTERFACE),
		.handshake_table = (uintptr_t)t,
		.function = (uintptr_t)t[1].call,
		.seconds = 1234567890,
	};
	uint64_t answer[2], expected[2];

	g_assert_cmpuint(t[0].size, ==, 3 * sizeof(void *));
	g_assert_true(t[2].call != NULL);
	for (int d = 0; d < 2; d++) {
		for (int i = 0; i < 16; i++)
			devices[d].uuid[i] = (uint8_t)(i + 16 * d);
		devices[d].pci_domain = 100 * CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID + d;
		devices[d].pci_bus = 100 * CU_DEVICE_ATTRIBUTE_PCI_BUS_ID + d;
		devices[d].pci_device = 100 * CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID + d;
	}
	handshake_digest(&process, devices, 2, (uint8_t *)expected);
	g_assert_cmpint(ask(13002, 1234567890, answer), ==, CUDA_SUCCESS);
	g_assert_cmpmem(answer, sizeof(answer), expected, sizeof(expected));

	g_assert_cmpint(ask(13000, 1234567890, answer), ==, CUDA_SUCCESS);
	g_assert_cmpuint(answer[0], ==, 0x3341181c03cb675c);
	g_assert_cmpuint(answer[1], ==, 0x8ed383aa1f4cd1e8);
	g_assert_cmpint(ask(13001, 1234567890, answer), ==, CUDA_SUCCESS);
	g_assert_cmpuint(answer[0], ==, 0x1841181c03cb675c);
	g_assert_cmpint(ask(13002, 1234567890, NULL), ==, CUDA_ERROR_INVALID_VALUE);
}

#else

static void test_no_handshake(void)
{
	g_assert_null(get_table(HANDSHAKE));
}

#endif

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/export/tables", test_tables);
	g_test_add_func("/export/unknown", test_unknown);
	g_test_add_func("/export/refusals", test_refusals);
	g_test_add_func("/export/interface", test_interface);
	g_test_add_func("/export/hooks", test_hooks);
	g_test_add_func("/export/checks", test_checks);
	g_test_add_func("/export/module", test_module);
	g_test_add_func("/export/storage", test_storage);
	g_test_add_func("/export/storage-end", test_storage_end);
	g_test_add_func("/export/storage-threads", test_storage_threads);
#ifdef WITH_HANDSHAKE
	g_test_add_func("/export/md2", test_md2);
	g_test_add_func("/export/digest-begins", test_digest_begins);
	g_test_add_func("/export/handshake", test_handshake);
#else
	g_test_add_func("/export/no-handshake", test_no_handshake);
#endif
	return g_test_run();
}
