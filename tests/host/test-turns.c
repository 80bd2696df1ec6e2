/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tenants that share the GPU (here: the cpu backend), through a real daemon and
 * its workers.  What each had is taken from the daemon's record, which is
 * played again: other decisions than those recorded would be an error.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "frontend.h"
#include "leases_record.h"
#include "sanitized.h"

#define MIB (1024u * 1024)
#define MS 1000000ull
#define SECOND 1000000000ull
#define TENANTS 8u
/* Requests in the ring: its owner wants the GPU even if it has no processor for a while. */
#define AHEAD 400u
/* Sessions that come and go. */
#define ROUNDS (SANITIZED ? 10 : 50)

/* --------------------------------------------------------------- the record */

struct history {
	struct lease_account account[TENANTS];
	uint64_t longest_ns; /* charged at once */
	uint64_t first_ns, last_ns;
	gint64 events;
};

static void collect(const struct leases *l, uint64_t now, const struct lease_event *e, void *opaque)
{
	struct history *h = opaque;

	(void)e;
	/* Tenants have numbers in the order of their names. */
	for (uint32_t i = 0; i < TENANTS; i++) {
		const uint64_t before = h->account[i].contended_ns;

		leases_account(l, i + 1, &h->account[i]);
		h->longest_ns = MAX(h->longest_ns, h->account[i].contended_ns - before);
	}
	if (!h->first_ns)
		h->first_ns = now;
	h->last_ns = now;
}

static struct history play(const struct daemon_proc *p)
{
	char *path = g_build_filename(p->dir, "record", NULL);
	struct history h = {.events = 0};
	GError *err = NULL;
	char *text;

	g_assert_true(g_file_get_contents(path, &text, NULL, &err));
	h.events = leases_replay(text, collect, &h, &err);
	g_assert_no_error(err);
	g_free(text);
	g_free(path);
	return h;
}

static uint64_t contended(const struct history *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < TENANTS; i++)
		sum += h->account[i].contended_ns;
	return sum;
}

/* -------------------------------------------------------------- the tenants */

struct tenant {
	struct frontend *f;
	struct fqueue *q;
	uint32_t side; /* of the matrices */
	GThread *thread;
	gint stop;
	gint done;      /* requests */
	uint32_t begun; /* ... that have no answer yet */
};

static struct daemon_proc *start(void)
{
	/* The daemon's directory is not known yet, but it is this process's. */
	struct daemon_proc *p = daemon_start_closed(NULL, "[tenant]\nusers=54321\n");
	char *record = g_build_filename(p->dir, "record", NULL);
	char *config = g_strdup_printf("[backend]\nbackend=cpu\n[tenants]\nrecord=%s\n", record);
	int status;

	/* Again, now that it is. */
	daemon_signal(p, SIGTERM);
	status = daemon_wait(p);
	g_assert_cmpint(status, ==, 0);
	daemon_tenant(p, "vm1", NULL);
	g_assert_true(g_file_set_contents(p->config, config, -1, NULL));
	g_free(config);
	g_free(record);
	return p;
}

static void put_tenant(const struct daemon_proc *p, uint32_t i, const char *limits)
{
	char *text = g_strdup_printf("[tenant]\nlevel=system\nsocket=%s/t%u.sock\n[limits]\n%s",
				     p->dir, i, limits);
	char *name = g_strdup_printf("t%u", i);

	daemon_tenant(p, name, text);
	g_free(name);
	g_free(text);
}

static struct tenant *tenant_new(const struct daemon_proc *p, uint32_t i, uint32_t side)
{
	const uint64_t bytes = (uint64_t)side * side * sizeof(float);
	struct tenant *t = g_new0(struct tenant, 1);
	char *name = g_strdup_printf("t%u", i);

	t->side = side;
	t->f = frontend_new_own(p, name, 3 * bytes + 2 * MIB);
	g_free(name);
	t->q = fqueue_new(t->f, 0, 4096, 3);
	for (uint32_t k = 0; k < 3; k++)
		buffer_set_flat(t->q, k, k < 2 ? VGPU_BUFFER_READ : VGPU_BUFFER_WRITE,
				frontend_alloc(t->f, bytes, 4096, NULL), bytes);
	return t;
}

static void submit(struct tenant *t)
{
	const uint64_t bytes = (uint64_t)t->side * t->side * sizeof(float);
	const struct vgpu_matmul dims = {.m = t->side, .n = t->side, .k = t->side};
	const struct vgpu_desc d[3] = {{0, 0, 0, bytes}, {1, 0, 0, bytes}, {2, 0, 0, bytes}};

	fqueue_submit(t->q, VGPU_CMD_MATMUL, d, 3, &dims, sizeof(dims));
	t->begun++;
}

static void receive(struct tenant *t)
{
	uint8_t record[VGPU_RECORD_MAX];
	const struct vgpu_response *r = (const void *)record;

	fqueue_receive(t->q, record);
	g_assert_cmpint((int32_t)r->status, ==, 0);
	t->begun--;
	g_atomic_int_inc(&t->done);
}

/* Never without a request in the ring; those that are left go with the session. */
static gpointer work(gpointer data)
{
	struct tenant *t = data;

	while (!g_atomic_int_get(&t->stop)) {
		while (t->begun < AHEAD)
			submit(t);
		receive(t);
	}
	return NULL;
}

static void begin(struct tenant *t)
{
	t->thread = g_thread_new("tenant", work, t);
}

static void end(struct tenant *t)
{
	g_atomic_int_set(&t->stop, 1);
	if (t->thread)
		g_thread_join(t->thread);
	t->thread = NULL;
}

static void tenant_free(struct tenant *t)
{
	end(t);
	if (t->q)
		fqueue_end(t->q);
	frontend_free(t->f);
	g_free(t);
}

static void wait_for_contention(const struct daemon_proc *p, uint64_t ns)
{
	struct history h = {.events = 0};

	WAIT_UNTIL((h = play(p), contended(&h) >= ns));
}

/* -------------------------------------------------------------------- cases */

/* All want it all the time: what they had is as their weights. */
static void share(const uint32_t *weight, const uint32_t *side, uint32_t n, uint64_t ns)
{
	struct daemon_proc *p = start();
	struct tenant *t[TENANTS];
	struct history h;
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		char *limits = g_strdup_printf("weight=%u\n", weight[i]);

		put_tenant(p, i, limits);
		g_free(limits);
		sum += weight[i];
	}
	daemon_again(p);
	for (uint32_t i = 0; i < n; i++)
		t[i] = tenant_new(p, i, side[i]);
	for (uint32_t i = 0; i < n; i++)
		begin(t[i]);
	wait_for_contention(p, ns);
	h = play(p);
	for (uint32_t i = 0; i < n; i++) {
		double wanted = (double)weight[i] / sum;
		double had = (double)h.account[i].contended_ns / (double)contended(&h);
		/* Somebody's turn may just be over that is yet to be made up for. */
		double slack = wanted / 4 + 2.0 * (double)h.longest_ns / (double)contended(&h);

		g_test_message("weight %u of %u, matrices of %u: %.3f, should be %.3f, give or "
			       "take %.3f; %u turns",
			       weight[i], sum, side[i], had, wanted, slack,
			       (unsigned int)h.account[i].turns);
		g_assert_cmpfloat(ABS(had - wanted), <, slack);
	}
	for (uint32_t i = 0; i < n; i++)
		tenant_free(t[i]);
	daemon_stop(p);
}

static void test_two(void)
{
	share((const uint32_t[]){10, 10}, (const uint32_t[]){128, 256}, 2, SECOND);
	share((const uint32_t[]){10, 40}, (const uint32_t[]){256, 128}, 2, SECOND);
}

static void test_eight(void)
{
	share((const uint32_t[]){10, 20, 30, 40, 10, 20, 30, 40},
	      (const uint32_t[]){64, 128, 192, 64, 128, 192, 64, 128}, 8, 3 * SECOND);
}

/* Turns that last far longer than they should are charged to the next ones. */
static void test_overstay(void)
{
	share((const uint32_t[]){10, 10}, (const uint32_t[]){768, 64}, 2, 4 * SECOND);
}

static struct daemon_proc *start_with(const char *first, const char *second)
{
	struct daemon_proc *p = start();

	put_tenant(p, 0, first);
	if (second)
		put_tenant(p, 1, second);
	daemon_again(p);
	return p;
}

static void wait_for_work(struct tenant *t, gint more)
{
	gint enough = g_atomic_int_get(&t->done) + more;

	WAIT_UNTIL(g_atomic_int_get(&t->done) >= enough);
}

static pid_t only_worker(const struct daemon_proc *p)
{
	GArray *pids = daemon_workers(p);
	pid_t pid;

	g_assert_cmpuint(pids->len, ==, 1);
	pid = g_array_index(pids, pid_t, 0);
	g_array_free(pids, TRUE);
	return pid;
}

/* Nobody asks while there is nobody else. */
static void test_alone(void)
{
	struct daemon_proc *p = start_with("", "");
	struct tenant *t = tenant_new(p, 0, 64);
	struct history before = play(p), after;

	begin(t);
	wait_for_work(t, 500);
	after = play(p);
	g_assert_cmpint(after.events, ==, before.events);
	g_assert_cmpuint(after.account[0].turns, ==, 0);
	tenant_free(t);
	daemon_expect_log(p, "gpu_us=");
	g_assert_false(daemon_log_has(p, "gpu_us=0"));
	daemon_stop(p);
}

/* One who comes now and then is served, and the other has all the rest, without a word. */
static void test_idle(void)
{
	struct daemon_proc *p = start_with("", "");
	struct tenant *busy = tenant_new(p, 0, 128), *seldom = tenant_new(p, 1, 64);
	struct history h;

	begin(busy);
	for (int i = 0; i < 20; i++) {
		submit(seldom);
		receive(seldom);
		wait_for_work(busy, 10);
	}
	h = play(p);
	g_assert_cmpuint(h.account[1].turns, >=, 1);
	g_assert_cmpuint(h.account[1].turns, <=, 200);
	/* It wants nothing any more: who is left has a lease without an end. */
	WAIT_UNTIL((h = play(p), !h.account[1].holds && !h.account[1].wants));
	WAIT_UNTIL((h = play(p), h.account[0].holds));
	wait_for_work(busy, 100);
	g_assert_cmpint(play(p).events, ==, h.events);
	tenant_free(seldom);
	tenant_free(busy);
	daemon_stop(p);
}

/* One request at a time: nothing in the ring but what waits for its turn. */
static gpointer work_singly(gpointer data)
{
	struct tenant *t = data;

	while (!g_atomic_int_get(&t->stop)) {
		submit(t);
		receive(t);
	}
	return NULL;
}

/* Others come and go in the midst of work, and who waits for them hears of it each time. */
static void test_come_and_go(void)
{
	struct daemon_proc *p = start_with("", "");
	struct tenant *stays = tenant_new(p, 0, 64);

	stays->thread = g_thread_new("tenant", work_singly, stays);
	for (int i = 0; i < ROUNDS; i++) {
		struct tenant *comes = tenant_new(p, 1, 64);

		for (int k = 0; k < 50; k++)
			submit(comes);
		receive(comes);
		tenant_free(comes);
		wait_for_work(stays, 1);
	}
	tenant_free(stays);
	daemon_stop(p);
}

/*
 * Longer than a turn, but less than what is left behind: a sanitizer makes it many
 * times as long.
 */
#define LONG_DIMS (SANITIZED ? 192u : 1024u)

/* The worker dies with the lease: others go on at once, and the session's end is told. */
static void test_death(void)
{
	struct daemon_proc *p = start_with("", "");
	struct tenant *victim = tenant_new(p, 0, LONG_DIMS), *other;
	pid_t pid = only_worker(p);

	for (unsigned int i = 0; i < 200; i++)
		submit(victim);
	WAIT_UNTIL(__atomic_load_n(&victim->q->page->in_flight, __ATOMIC_ACQUIRE));
	other = tenant_new(p, 1, 64);
	begin(other);
	wait_for_work(other, 20);
	WAIT_UNTIL(play(p).account[0].holds);
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(fqueue_expect_lost(victim->q), ==, -EIO);
	wait_for_work(other, 100);
	fqueue_free(victim->q);
	victim->q = NULL;
	tenant_free(victim);
	tenant_free(other);
	daemon_stop(p);
}

/* Without a daemon nobody shares the GPU out, and nobody waits for it. */
static void test_no_daemon(void)
{
	struct daemon_proc *p = start_with("", "");
	struct tenant *t[2] = {tenant_new(p, 0, 256), tenant_new(p, 1, 256)};

	for (int i = 0; i < 2; i++)
		begin(t[i]);
	wait_for_contention(p, SECOND / 2);
	daemon_crash(p);
	for (int i = 0; i < 2; i++)
		wait_for_work(t[i], 100);
	for (int i = 0; i < 2; i++)
		end(t[i]);
	/* The next one shares it out again. */
	daemon_again(p);
	for (int i = 0; i < 2; i++) {
		frontend_reconnect(t[i]->f);
		g_assert_cmpint(fqueue_resume(t[i]->q), ==, 0);
		g_atomic_int_set(&t[i]->stop, 0);
	}
	for (int i = 0; i < 2; i++)
		begin(t[i]);
	wait_for_contention(p, SECOND / 2);
	for (int i = 0; i < 2; i++)
		tenant_free(t[i]);
	daemon_stop(p);
}

/* A cap holds also where nobody else wants the GPU; a reload lifts it. */
static void test_cap(void)
{
	struct daemon_proc *p = start_with("cap=20%\n", NULL);
	struct tenant *t = tenant_new(p, 0, 128);
	struct history h;
	uint64_t most;

	begin(t);
	WAIT_UNTIL((h = play(p), h.account[0].held_ns > SECOND / 2));
	most = (h.last_ns - h.first_ns) / 5;
	/* Besides it a burst, and what the last command took too long. */
	g_assert_cmpuint(h.account[0].held_ns, <=, most + 200 * MS);
	put_tenant(p, 0, "cap=none\n");
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "reloaded");
	WAIT_UNTIL((h = play(p), !h.account[0].holds));
	wait_for_work(t, 100);
	g_assert_cmpint(play(p).events, ==, h.events);
	tenant_free(t);
	daemon_stop(p);
}

/* What does not end in its time ends the session: here the worker cannot even say so. */
static void test_too_long(void)
{
	struct daemon_proc *p = start_with("longest-kernel=100ms\n", NULL);
	struct tenant *t = tenant_new(p, 0, 4096);

	submit(t);
	g_assert_cmpint(fqueue_expect_lost(t->q), ==, -ETIME);
	g_assert_nonnull(strstr(t->q->reason, "longer than the tenant may"));
	daemon_expect_log(p, "hangs with work on the GPU");
	fqueue_free(t->q);
	t->q = NULL;
	tenant_free(t);
	daemon_stop(p);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/turns/two", test_two);
	g_test_add_func("/turns/eight", test_eight);
	g_test_add_func("/turns/overstay", test_overstay);
	g_test_add_func("/turns/alone", test_alone);
	g_test_add_func("/turns/idle", test_idle);
	g_test_add_func("/turns/come-and-go", test_come_and_go);
	g_test_add_func("/turns/death", test_death);
	g_test_add_func("/turns/no-daemon", test_no_daemon);
	g_test_add_func("/turns/cap", test_cap);
	g_test_add_func("/turns/too-long", test_too_long);
	return g_test_run();
}
