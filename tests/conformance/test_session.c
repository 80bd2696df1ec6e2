/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions as such: what they tell of the device, coming and going.
 */
#include <errno.h>
#include <string.h>

#include "ram.h"
#include "tests.h"

static void test_identity(void)
{
	g_assert_cmpuint(subject.ops->api, ==, VGPU_BACKEND_API);
	g_assert_true(subject.ops->id == VGPU_BACKEND_CPU || subject.ops->id == VGPU_BACKEND_CUDA);
	g_assert_cmpstr(subject.ops->name, ==,
			subject.ops->id == VGPU_BACKEND_CPU ? "cpu" : "cuda");
}

static void test_info(void)
{
	struct vgpu_backend *be = subject_open();
	struct vgpu_info_result info;

	memset(&info, 0xff, sizeof(info));
	assert_ok(subject.ops->info(be, &info));
	g_assert_cmpuint(info.backend, ==, subject.ops->id);
	g_assert_nonnull(memchr(info.name, '\0', sizeof(info.name)));
	g_assert_cmpuint(strlen(info.name), >, 0);
	g_assert_cmpuint(info.memory_total, >, 0);
	g_assert_cmpuint(info.memory_free, <=, info.memory_total);
	g_assert_cmpuint(info.multiprocessors, >, 0);
	if (subject.ops->id == VGPU_BACKEND_CUDA) {
		/* Within a major version any driver serves any runtime. */
		g_assert_cmpuint(info.driver_version / 1000, >=, info.runtime_version / 1000);
		g_assert_cmpuint(info.compute_major, >=, 7);
	} else {
		g_assert_cmpuint(info.driver_version, ==, 0);
		g_assert_cmpuint(info.runtime_version, ==, 0);
	}
	g_test_message("%s, compute %u.%u, %u multiprocessors, driver %u, runtime %u, "
		       "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " MiB free",
		       info.name, info.compute_major, info.compute_minor, info.multiprocessors,
		       info.driver_version, info.runtime_version, (guint64)info.memory_free >> 20,
		       (guint64)info.memory_total >> 20);
	subject.ops->close(be);
}

static void test_probe_without_device(void)
{
	GError *err = NULL;
	char *text = NULL;

	if (subject.ops->id == VGPU_BACKEND_CPU) {
		g_test_skip("there is one host");
		return;
	}
	g_assert_cmpint(subject.ops->probe(4711, &text, &err), <, 0);
	g_assert_nonnull(err);
	g_test_message("device 4711: %s", err->message);
	g_clear_error(&err);
	g_assert_null(text);
}

static void test_idle(void)
{
	for (int i = 0; i < 1000; i++)
		subject.ops->close(subject_open());
	subject.ops->close(NULL);
}

static uint64_t free_memory(void)
{
	struct vgpu_backend *be = subject_open();
	struct vgpu_info_result info;

	assert_ok(subject.ops->info(be, &info));
	subject.ops->close(be);
	return info.memory_free;
}

/* A session that has worked leaves nothing on the device. */
static void test_reopen(void)
{
	const uint64_t n = 1u << 20;
	float *x = random_floats(1, n);
	uint64_t before = free_memory(), after;

	for (int i = 0; i < 20; i++) {
		struct vgpu_backend *be = subject_open();
		struct ram *ram = ram_new(be, (size_t)32 << 20);
		struct vgpu_operand *op = operand_new(ram, SHAPE_PAGES, n * sizeof(float));
		struct vgpu_work work = {0};

		operand_store(ram, op, x);
		assert_ok(subject.ops->vector_add(be, op, op, op, n, &work));
		operand_free(op);
		/* Now and then the session goes before its memory does. */
		if (i % 2) {
			ram_free(ram);
			subject.ops->close(be);
		} else {
			subject.ops->close(be);
			ram->be = NULL;
			ram_free(ram);
		}
	}
	after = free_memory();
	g_test_message("free before %" G_GUINT64_FORMAT " KiB, after %" G_GUINT64_FORMAT " KiB",
		       (guint64)before >> 10, (guint64)after >> 10);
	if (subject.ops->id == VGPU_BACKEND_CUDA)
		/* The driver keeps some; each session had a good 8 MiB. */
		g_assert_cmpuint(after + ((uint64_t)64 << 20), >=, before);
	g_free(x);
}

/* ------------------------------------------------------------- who pays */
static struct {
	uint64_t limit, taken, most;
} purse;

static bool purse_take(void *opaque, uint64_t bytes)
{
	g_assert_true(opaque == &purse);
	if (bytes > purse.limit - purse.taken)
		return false;
	purse.taken += bytes;
	purse.most = MAX(purse.most, purse.taken);
	return true;
}

static void purse_give(void *opaque, uint64_t bytes)
{
	g_assert_true(opaque == &purse);
	g_assert_cmpuint(bytes, <=, purse.taken);
	purse.taken -= bytes;
}

static int there_and_back(struct vgpu_backend *be, const struct vgpu_operand *op)
{
	struct vgpu_bandwidth_result result = {0};
	struct vgpu_work work = {0};

	return subject.ops->bandwidth(be, op, 1, &result, &work);
}

/* Memory is asked for before it is allocated, the command that gets none fails alone. */
static void test_account(void)
{
	const struct vgpu_account account = {purse_take, purse_give, &purse};
	const uint64_t bytes = (uint64_t)8 << 20;
	struct vgpu_backend *be = subject_open();
	struct ram *ram = ram_new(be, (size_t)32 << 20);
	struct vgpu_operand *op = operand_new(ram, SHAPE_PAGES, bytes);
	struct vgpu_work work = {0};

	g_assert_nonnull(subject.ops->account);
	subject.ops->account(be, &account);
	purse.limit = bytes - 1;
	g_assert_cmpint(there_and_back(be, op), ==, -ENOMEM);
	g_assert_cmpuint(purse.taken, ==, 0);
	purse.limit = bytes;
	assert_ok(there_and_back(be, op));
	assert_ok(there_and_back(be, op));
	g_assert_cmpuint(purse.most, >=, bytes);
	if (subject.ops->id == VGPU_BACKEND_CUDA) {
		purse.limit = 4 * bytes;
		assert_ok(subject.ops->vector_add(be, op, op, op, bytes / sizeof(float), &work));
		g_assert_cmpuint(purse.taken, >, bytes);
		/* What that left in other buffers makes room for this one. */
		purse.limit = purse.taken;
		operand_free(op);
		op = operand_new(ram, SHAPE_PAGES, bytes + bytes / 2);
		assert_ok(there_and_back(be, op));
	}
	operand_free(op);
	ram_free(ram);
	subject.ops->close(be);
	g_assert_cmpuint(purse.taken, ==, 0);
}

static void test_device_identity(void)
{
	struct vgpu_backend *be = subject_open();
	struct vgpu_info_result info;
	char name[128] = "";
	uint64_t memory = 0;

	g_assert_nonnull(subject.ops->identity);
	assert_ok(subject.ops->identity(be, name, &memory));
	assert_ok(subject.ops->info(be, &info));
	g_assert_cmpstr(name, ==, info.name);
	g_assert_cmpuint(memory, ==, info.memory_total);
	subject.ops->close(be);
}

void add_session_tests(void)
{
	g_test_add_func("/session/account", test_account);
	g_test_add_func("/session/device-identity", test_device_identity);
	g_test_add_func("/session/identity", test_identity);
	g_test_add_func("/session/info", test_info);
	g_test_add_func("/session/probe-without-device", test_probe_without_device);
	g_test_add_func("/session/idle", test_idle);
	g_test_add_func("/session/reopen", test_reopen);
}
