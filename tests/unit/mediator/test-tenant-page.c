/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page of a tenant's limits: readers see one set of limits or another, and no mixture. */
#include <glib.h>
#include <string.h>

#include "tenant_page.h"

#define ROUNDS 200000u

static void test_refresh(void)
{
	struct tenant_limits page = {0}, copy = {0};
	const struct tenant_limits first = {.classes = 3, .memory = 7, .cap_percent = 100};
	const struct tenant_limits second = {.classes = 1, .memory = 5, .memory_percent = 25};

	g_assert_false(tenant_limits_refresh(&page, &copy)); /* nothing was written yet */
	tenant_limits_write(&page, &first);
	g_assert_true(tenant_limits_refresh(&page, &copy));
	g_assert_cmpuint(copy.version, ==, TENANT_PAGE_VERSION);
	g_assert_cmpuint(copy.classes, ==, 3);
	g_assert_cmpuint(copy.memory, ==, 7);
	g_assert_cmpuint(copy.cap_percent, ==, 100);
	g_assert_false(tenant_limits_refresh(&page, &copy));
	tenant_limits_write(&page, &second);
	g_assert_true(tenant_limits_refresh(&page, &copy));
	g_assert_cmpuint(copy.memory, ==, 5);
	g_assert_cmpuint(copy.memory_percent, ==, 25);
}

/* A daemon that dies while it writes neither hangs a reader nor spoils what it has. */
static void test_dead_writer(void)
{
	struct tenant_limits page = {0}, copy = {0};
	const struct tenant_limits limits = {.memory = 7}, next = {.memory = 8};

	tenant_limits_write(&page, &limits);
	g_assert_true(tenant_limits_refresh(&page, &copy));
	page.seq++;
	page.memory = 1;
	g_assert_false(tenant_limits_refresh(&page, &copy));
	g_assert_cmpuint(copy.memory, ==, 7);
	tenant_limits_write(&page, &next);
	g_assert_cmpuint(page.seq % 2, ==, 0);
	g_assert_true(tenant_limits_refresh(&page, &copy));
	g_assert_cmpuint(copy.memory, ==, 8);
}

static gpointer write_on(gpointer data)
{
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		const struct tenant_limits limits = {
			.memory = i, .calls_rate = i, .cap_percent = i, .kernel_ns = i};

		tenant_limits_write(data, &limits);
	}
	return NULL;
}

static void test_no_mixture(void)
{
	struct tenant_limits page = {0}, copy = {0};
	GThread *writer = g_thread_new("writer", write_on, &page);
	uint64_t last = 0;

	while (last < ROUNDS) {
		if (!tenant_limits_refresh(&page, &copy))
			continue;
		g_assert_cmpuint(copy.memory, >, last);
		g_assert_cmpuint(copy.calls_rate, ==, copy.memory);
		g_assert_cmpuint(copy.cap_percent, ==, copy.memory);
		g_assert_cmpuint(copy.kernel_ns, ==, copy.memory);
		last = copy.memory;
	}
	g_thread_join(writer);
}

static void test_memory_on(void)
{
	struct tenant_limits l = {.memory = 100};

	g_assert_cmpuint(tenant_memory_on(&l, 1000), ==, 100);
	g_assert_cmpuint(tenant_memory_on(&l, 10), ==, 10);
	l.memory = TENANT_NO_LIMIT;
	g_assert_cmpuint(tenant_memory_on(&l, 1000), ==, 1000);
	l.memory_percent = 25;
	g_assert_cmpuint(tenant_memory_on(&l, 1000), ==, 250);
	g_assert_cmpuint(tenant_memory_on(&l, G_MAXUINT64), ==, G_MAXUINT64 / 4);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tenant-page/refresh", test_refresh);
	g_test_add_func("/tenant-page/dead-writer", test_dead_writer);
	g_test_add_func("/tenant-page/no-mixture", test_no_mixture);
	g_test_add_func("/tenant-page/memory-on", test_memory_on);
	return g_test_run();
}
