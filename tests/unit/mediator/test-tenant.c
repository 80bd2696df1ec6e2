/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pages of a tenant: limits that change while they are read, charges of
 * several sessions at the same time, peers that write nonsense.
 */
#include <glib.h>
#include <string.h>

#include "worker.h" /* the daemon has a tenant.h, too */

#define MIB ((uint64_t)1 << 20)

static struct tenant_limits limits;
static struct tenant_usage usage;

static void pages(uint64_t memory)
{
	memset(&usage, 0, sizeof(usage));
	usage.version = TENANT_PAGE_VERSION;
	limits = (struct tenant_limits){.version = TENANT_PAGE_VERSION,
					.classes = POLICY_BUILTIN,
					.memory = memory,
					.cap_percent = 100};
}

/* As the daemon does it. */
static void begin_write(void)
{
	__atomic_store_n(&limits.seq, limits.seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_write(void)
{
	__atomic_store_n(&limits.seq, limits.seq + 1, __ATOMIC_RELEASE);
}

static void set_memory(uint64_t memory)
{
	begin_write();
	limits.memory = memory;
	end_write();
}

static void test_open(void)
{
	struct worker_tenant t = {0};

	pages(MIB);
	g_assert_false(tenant_open(&t, &limits, &usage, TENANT_SESSIONS_MAX));
	limits.version++;
	g_assert_false(tenant_open(&t, &limits, &usage, 0));
	limits.version--;
	usage.version = 0;
	g_assert_false(tenant_open(&t, &limits, &usage, 0));
	usage.version = TENANT_PAGE_VERSION;
	g_assert_true(tenant_open(&t, &limits, &usage, TENANT_SESSIONS_MAX - 1));
	g_assert_cmpuint(t.limits.memory, ==, MIB);
	g_assert_true(tenant_allows(&t, POLICY_BUILTIN));
	g_assert_true(tenant_allows(&t, 0));
	g_assert_false(tenant_allows(&t, POLICY_BUILTIN | POLICY_KERNELS));
}

/* In the midst of the very first writing: nothing is allowed until it is over. */
static void test_opens_in_writing(void)
{
	struct worker_tenant t = {0};

	pages(MIB);
	begin_write();
	g_assert_true(tenant_open(&t, &limits, &usage, 0));
	g_assert_false(tenant_allows(&t, POLICY_BUILTIN));
	g_assert_false(tenant_charge(&t, 1));
	end_write();
	tenant_look(&t);
	g_assert_true(tenant_allows(&t, POLICY_BUILTIN));
	g_assert_true(tenant_charge(&t, 1));
}

/* A daemon that died while it wrote: what held before goes on to hold. */
static void test_half_written(void)
{
	struct worker_tenant t = {0};

	pages(MIB);
	tenant_open(&t, &limits, &usage, 0);
	begin_write();
	limits.memory = 5;
	for (int i = 0; i < 1000; i++)
		tenant_look(&t);
	g_assert_cmpuint(t.limits.memory, ==, MIB);
	end_write();
	tenant_look(&t);
	g_assert_cmpuint(t.limits.memory, ==, 5);
}

static bool writes; /* until false */

static gpointer writer(gpointer unused)
{
	(void)unused;
	for (uint64_t n = 0; __atomic_load_n(&writes, __ATOMIC_RELAXED); n++) {
		begin_write();
		__atomic_store_n(&limits.memory, n, __ATOMIC_RELAXED);
		__atomic_store_n(&limits.calls_rate, n, __ATOMIC_RELAXED);
		__atomic_store_n(&limits.bytes_burst, n, __ATOMIC_RELAXED);
		__atomic_store_n(&limits.kernel_ns, n, __ATOMIC_RELAXED);
		end_write();
	}
	return NULL;
}

/* What is read was written together. */
static void test_torn(void)
{
	struct worker_tenant t = {0};
	GThread *thread;
	uint64_t seen = 0;

	pages(0);
	tenant_open(&t, &limits, &usage, 0);
	__atomic_store_n(&writes, true, __ATOMIC_RELAXED);
	thread = g_thread_new("writer", writer, NULL);
	for (int i = 0; i < 300000 || (!t.limits.memory && i < 100000000); i++) {
		tenant_look(&t);
		g_assert_cmpuint(t.limits.calls_rate, ==, t.limits.memory);
		g_assert_cmpuint(t.limits.bytes_burst, ==, t.limits.memory);
		g_assert_cmpuint(t.limits.kernel_ns, ==, t.limits.memory);
		g_assert_cmpuint(t.limits.memory, >=, seen);
		seen = t.limits.memory;
	}
	__atomic_store_n(&writes, false, __ATOMIC_RELAXED);
	g_thread_join(thread);
	tenant_look(&t);
	g_assert_cmpuint(t.limits.memory, ==, limits.memory);
}

/* ------------------------------------------------------------------ memory */

static void test_charge(void)
{
	struct worker_tenant t = {0};
	uint64_t free_bytes = 100 * MIB, total = 200 * MIB;

	pages(10 * MIB);
	tenant_open(&t, &limits, &usage, 3);
	g_assert_true(tenant_charge(&t, 10 * MIB));
	g_assert_false(tenant_charge(&t, 1));
	g_assert_true(tenant_charge(&t, 0));
	g_assert_cmpuint(usage.session[3].memory, ==, 10 * MIB);
	g_assert_cmpuint(usage.session[3].refused, ==, 1);
	tenant_discharge(&t, 4 * MIB);
	g_assert_false(tenant_charge(&t, 4 * MIB + 1));
	g_assert_false(tenant_charge(&t, UINT64_MAX));
	tenant_memory_seen(&t, &free_bytes, &total);
	g_assert_cmpuint(total, ==, 10 * MIB);
	g_assert_cmpuint(free_bytes, ==, 4 * MIB);
	/* A device that has less than that says so. */
	free_bytes = 3, total = 7;
	tenant_memory_seen(&t, &free_bytes, &total);
	g_assert_cmpuint(total, ==, 7);
	g_assert_cmpuint(free_bytes, ==, 3);
	g_assert_cmpuint(t.own.memory_most, ==, 10 * MIB);
	/* More than there was cannot be given back. */
	tenant_discharge(&t, UINT64_MAX);
	g_assert_cmpuint(tenant_memory(&t), ==, 0);
	g_assert_false(tenant_charge(&t, 10 * MIB + 1));
}

/* Over a limit that was lowered: what is there stays, and grows no more. */
static void test_lowered(void)
{
	struct worker_tenant t = {0};
	uint64_t free_bytes = 100 * MIB, total = 200 * MIB;

	pages(10 * MIB);
	tenant_open(&t, &limits, &usage, 0);
	g_assert_true(tenant_charge(&t, 8 * MIB));
	set_memory(4 * MIB);
	g_assert_false(tenant_charge(&t, 1));
	g_assert_cmpuint(usage.session[0].memory, ==, 8 * MIB);
	tenant_memory_seen(&t, &free_bytes, &total);
	g_assert_cmpuint(total, ==, 4 * MIB);
	g_assert_cmpuint(free_bytes, ==, 0);
	tenant_discharge(&t, 6 * MIB);
	g_assert_true(tenant_charge(&t, 2 * MIB));
	g_assert_false(tenant_charge(&t, 1));
	set_memory(TENANT_NO_LIMIT);
	g_assert_true(tenant_charge(&t, 1ull << 50));
}

/* A peer that was taken over can deny its own tenant, and cannot gain us anything. */
static void test_peers(void)
{
	struct worker_tenant t = {0};

	pages(10 * MIB);
	tenant_open(&t, &limits, &usage, 1);
	usage.session[0].memory = UINT64_MAX;
	usage.session[2].memory = UINT64_MAX;
	g_assert_false(tenant_charge(&t, 1));
	usage.session[0].memory = usage.session[2].memory = 0;
	g_assert_true(tenant_charge(&t, 6 * MIB));
	/* ... nor by writing where ours stands. */
	usage.session[1].memory = 0;
	g_assert_false(tenant_charge(&t, 6 * MIB));
	usage.session[1].memory = 0 - MIB;
	tenant_discharge(&t, 6 * MIB);
	g_assert_cmpuint(usage.session[1].memory, ==, 0);
}

static struct worker_tenant *keeper;
static uint64_t kept;

static bool give_kept(void *opaque)
{
	g_assert_true(opaque == &kept);
	/* It may charge by itself, and is not asked again for that. */
	g_assert_false(tenant_charge(keeper, 1ull << 40));
	tenant_discharge(keeper, kept);
	kept = 0;
	return true;
}

/* A part of the GPU's memory, which is known only once the driver is open. */
static void test_percent(void)
{
	struct worker_tenant t = {0};

	pages(TENANT_NO_LIMIT);
	limits.memory_percent = 10;
	tenant_open(&t, &limits, &usage, 0);
	g_assert_false(tenant_charge(&t, 1));
	t.device_memory = 50 * MIB;
	g_assert_true(tenant_charge(&t, 5 * MIB));
	g_assert_false(tenant_charge(&t, 1));
}

static void test_reclaim(void)
{
	struct worker_tenant t = {.reclaim = give_kept, .opaque = &kept};

	pages(10 * MIB);
	tenant_open(&t, &limits, &usage, 0);
	keeper = &t;
	kept = 7 * MIB;
	g_assert_true(tenant_charge(&t, kept));
	g_assert_true(tenant_charge(&t, 5 * MIB));
	g_assert_cmpuint(kept, ==, 0);
	g_assert_cmpuint(tenant_memory(&t), ==, 5 * MIB);
	/* What no giving back could make possible costs nothing. */
	kept = MIB;
	g_assert_true(tenant_charge(&t, kept));
	g_assert_false(tenant_charge(&t, 11 * MIB));
	g_assert_cmpuint(kept, ==, MIB);
}

#define SESSIONS 4
#define ROUNDS 20000

static uint64_t in_all, most; /* what they hold, counted apart */

static gpointer one_session(gpointer number)
{
	struct worker_tenant t = {0};
	GRand *g = g_rand_new_with_seed(GPOINTER_TO_UINT(number));
	uint64_t own = 0;

	g_assert_true(tenant_open(&t, &limits, &usage, GPOINTER_TO_UINT(number)));
	for (int i = 0; i < ROUNDS; i++) {
		const uint64_t bytes = (uint64_t)g_rand_int_range(g, 1, 300);

		if (g_rand_boolean(g) && tenant_charge(&t, bytes)) {
			const uint64_t now = __atomic_add_fetch(&in_all, bytes, __ATOMIC_SEQ_CST);

			own += bytes;
			g_assert_cmpuint(now, <=, limits.memory);
		} else if (own > bytes) {
			__atomic_sub_fetch(&in_all, bytes, __ATOMIC_SEQ_CST);
			own -= bytes;
			tenant_discharge(&t, bytes);
		}
		g_assert_cmpuint(t.own.memory, ==, own);
	}
	__atomic_add_fetch(&most, t.own.memory_most, __ATOMIC_SEQ_CST);
	g_rand_free(g);
	return NULL;
}

/* Together never beyond the limit, whoever asks when. */
static void test_together(void)
{
	GThread *thread[SESSIONS];
	uint64_t sum = 0;

	pages(2000);
	for (guint i = 0; i < SESSIONS; i++)
		thread[i] = g_thread_new("session", one_session, GUINT_TO_POINTER(i));
	for (guint i = 0; i < SESSIONS; i++)
		g_thread_join(thread[i]);
	for (guint i = 0; i < SESSIONS; i++)
		sum += usage.session[i].memory;
	g_assert_cmpuint(sum, ==, in_all);
	g_assert_cmpuint(most, >, 1000); /* it was a crowd */
}

/* ------------------------------------------------------------------- rates */

static void test_rates(void)
{
	struct worker_tenant a = {0}, b = {0};
	const uint64_t now = 1000000000;

	pages(TENANT_NO_LIMIT);
	limits.calls_rate = 1000;
	limits.calls_burst = 2;
	limits.bytes_rate = 1000000;
	limits.bytes_burst = 1000;
	tenant_open(&a, &limits, &usage, 0);
	tenant_open(&b, &limits, &usage, 1);
	g_assert_cmpuint(tenant_wait(&a, now), ==, 0);
	g_assert_cmpuint(tenant_wait(&b, now), ==, 0);
	g_assert_cmpuint(tenant_wait(&a, now), ==, 1000000);
	g_assert_cmpuint(tenant_wait(&b, now), ==, 1000000);
	/* A second's worth of bytes; the bucket's own are not waited for. */
	tenant_bytes(&a, now, 1000000, 7);
	g_assert_cmpuint(usage.session[0].bytes, ==, 1000000);
	g_assert_cmpuint(usage.session[0].host_copied, ==, 7);
	g_assert_cmpuint(tenant_wait(&b, now), ==, 999000000);
	g_assert_cmpuint(tenant_wait(&b, now + 999000000), ==, 0);
}

/* One request as the loop takes it: was it let through? */
static bool passes(struct worker_tenant *t, uint64_t now)
{
	return tenant_has_paid(t, now) || !tenant_wait(t, now);
}

/* Sessions pay in advance where the burst is large, and yet no more passes than that. */
static void test_paid_in_advance(void)
{
	struct worker_tenant a = {0}, b = {0};
	const uint64_t now = 1000000000, burst = 4 * 64 * TENANT_SESSIONS_MAX;
	uint64_t passed = 0;

	pages(TENANT_NO_LIMIT);
	limits.calls_rate = 1000;
	limits.calls_burst = burst;
	limits.bytes_rate = limits.bytes_burst = 1000000;
	tenant_open(&a, &limits, &usage, 0);
	tenant_open(&b, &limits, &usage, 1);
	g_assert_cmpuint(a.ahead, ==, 4);
	g_assert_true(passes(&a, now));
	g_assert_cmpuint(a.paid, ==, 4);
	/* A debt of bytes is waited for all the same, and then what was paid for counts. */
	tenant_bytes(&b, now, 3000000, 0);
	g_assert_false(passes(&a, now));
	g_assert_cmpuint(a.paid, ==, 4);
	g_assert_true(passes(&a, now + 3000000000));
	g_assert_cmpuint(a.paid, ==, 3);
	while (passes(&a, now + 3000000000) || passes(&b, now + 3000000000))
		passed++;
	g_assert_cmpuint(passed, <=, burst);
	g_assert_cmpuint(passed, >=, burst - burst / 64 - 10);
	/* It stays paid for while the limit is the same, and no longer. */
	a.paid = 4;
	limits.seq += 2;
	tenant_look(&a);
	g_assert_cmpuint(a.paid, ==, 4);
	limits.calls_rate++;
	limits.seq += 2;
	tenant_look(&a);
	g_assert_cmpuint(a.paid, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tenant/open", test_open);
	g_test_add_func("/tenant/opens-in-writing", test_opens_in_writing);
	g_test_add_func("/tenant/half-written", test_half_written);
	g_test_add_func("/tenant/torn", test_torn);
	g_test_add_func("/tenant/charge", test_charge);
	g_test_add_func("/tenant/lowered", test_lowered);
	g_test_add_func("/tenant/peers", test_peers);
	g_test_add_func("/tenant/percent", test_percent);
	g_test_add_func("/tenant/reclaim", test_reclaim);
	g_test_add_func("/tenant/together", test_together);
	g_test_add_func("/tenant/rates", test_rates);
	g_test_add_func("/tenant/paid-in-advance", test_paid_in_advance);
	return g_test_run();
}
