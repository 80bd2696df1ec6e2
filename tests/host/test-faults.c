/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tenants whose sessions fail: counted, shut out for a growing time, let in
 * again by time and by hand, over a restart of the daemon; and beside it all
 * another tenant whose calls are all answered.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdio.h"
#include "frontend.h"

#define MIB (1024u * 1024)

/* ------------------------------------------------------------------- tenants */
static void put_tenant(const struct daemon_proc *p, const char *name, const char *more)
{
	char *text = g_strdup_printf("[tenant]\nlevel=medium\nsocket=%s/%s.sock\n%s", p->dir, name,
				     more);

	daemon_tenant(p, name, text);
	g_free(text);
}

static void reload(struct daemon_proc *p)
{
	g_assert_cmpint(truncate(p->log, 0), ==, 0);
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "configuration reloaded");
	daemon_expect_log(p, "tenants in");
}

/* vm1 with these lines of [faults], and vm2. */
static struct daemon_proc *start(const char *faults)
{
	struct daemon_proc *p = daemon_start_closed(NULL, NULL);

	put_tenant(p, "vm1", faults);
	put_tenant(p, "vm2", "");
	reload(p);
	return p;
}

static struct frontend *connect_as(const struct daemon_proc *p, const char *name)
{
	return frontend_new_own(p, name, 4 * MIB);
}

static int nop(struct fqueue *q)
{
	return fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0);
}

static bool knows_quarantine(struct fqueue *q)
{
	struct vgpu_tenant_result t;

	g_assert_cmpint(fqueue_call(q, VGPU_CMD_TENANT, NULL, 0, NULL, 0, &t, sizeof(t)), ==, 0);
	return t.flags & VGPU_TENANT_QUARANTINED;
}

/* Tries to begin a session; the status. */
static int try(struct frontend *f, char reason[VGPU_REASON_MAX])
{
	struct fqueue *q;
	int status;

	f->ram_used = 0;
	q = fqueue_prepare(f, 0, 256, 0);
	status = fqueue_start(q);
	g_strlcpy(reason, q->reason, VGPU_REASON_MAX);
	if (status == 0)
		fqueue_end(q);
	else
		fqueue_free(q);
	return status;
}

static void expect_shut_out(struct frontend *f, const char *words)
{
	char reason[VGPU_REASON_MAX];

	g_assert_cmpint(try(f, reason), ==, -EACCES);
	if (!strstr(reason, words))
		g_error("\"%s\" lacks \"%s\"", reason, words);
}

static void expect_let_in(struct frontend *f)
{
	char reason[VGPU_REASON_MAX];

	g_assert_cmpint(try(f, reason), ==, 0);
}

/* -------------------------------------------------------------------- faults */

static bool has(const GArray *pids, pid_t pid)
{
	for (guint i = 0; i < pids->len; i++) {
		if (g_array_index(pids, pid_t, i) == pid)
			return true;
	}
	return false;
}

/* The worker that was not there before. */
static pid_t new_worker(const struct daemon_proc *p, const GArray *before)
{
	GArray *pids = daemon_workers(p);
	pid_t found = 0;

	for (guint i = 0; i < pids->len && !found; i++) {
		if (!has(before, g_array_index(pids, pid_t, i)))
			found = g_array_index(pids, pid_t, i);
	}
	g_array_unref(pids);
	g_assert_cmpint(found, >, 0);
	return found;
}

/* A session whose worker is killed: by SIGKILL, as sanitizers catch what crashes send. */
static void crash(const struct daemon_proc *p, struct frontend *f)
{
	GArray *before = daemon_workers(p);
	struct fqueue *q;

	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpint(kill(new_worker(p, before), SIGKILL), ==, 0);
	g_array_unref(before);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EIO);
	fqueue_free(q);
}

/* The daemon hears of the crash when the guest has already had the session stopped. */
static void crash_and_stop(struct daemon_proc *p, struct frontend *f)
{
	GArray *before = daemon_workers(p);
	struct vgpu_msg_queue m = {.queue = 0};
	struct vgpu_msg_queue_reply r;
	struct vgpu_msg_header h;
	struct fqueue *q;
	size_t nfds = 0;
	pid_t worker;

	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(q), ==, 0);
	worker = new_worker(p, before);
	g_array_unref(before);
	m.session = q->session;
	daemon_signal(p, SIGSTOP);
	frontend_send(f, VGPU_MSG_QUEUE_STOP, VGPU_MSG_NEED_REPLY, &m, sizeof(m), NULL, 0);
	/* Not by SIGSEGV, which sanitizers catch. */
	g_assert_cmpint(kill(worker, SIGABRT), ==, 0);
	fqueue_expect_hup(q);
	daemon_signal(p, SIGCONT);
	g_assert_true(frontend_recv(f, &h, &r, sizeof(r), NULL, &nfds));
	g_assert_cmpuint(h.request, ==, VGPU_MSG_QUEUE_STOP);
	fqueue_free(q);
}

/* The one worker that there is. */
static pid_t only_worker(const struct daemon_proc *p)
{
	GArray *pids = daemon_workers(p);
	pid_t pid;

	g_assert_cmpuint(pids->len, ==, 1);
	pid = g_array_index(pids, pid_t, 0);
	g_array_unref(pids);
	return pid;
}

/* Another daemon, and vm1's device comes to it with its session. */
static void next_daemon(struct daemon_proc *p, struct frontend *f, struct fqueue *q)
{
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
}

/* One whose guest makes nonsense of its ring. */
static void spoil_one(struct fqueue *q)
{
	__atomic_store_n(&q->ring.hdr->req_prod, UINT32_MAX, __ATOMIC_RELEASE);
	fqueue_kick(q);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EPROTO);
	fqueue_free(q);
}

static void spoil(struct frontend *f)
{
	f->ram_used = 0;
	spoil_one(fqueue_new(f, 0, 256, 0));
}

/* ----------------------------------------------------------- an administrator */

/* Says a line at the control socket; the answer. */
static char *control(const struct daemon_proc *p, const char *line)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[65536];
	size_t have = 0;

	g_snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", p->dir);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
	g_assert_cmpint(send(fd, line, strlen(line), MSG_NOSIGNAL), ==, (ssize_t)strlen(line));
	while (!have || answer[have - 1] != '\n') {
		ssize_t n = recv(fd, answer + have, sizeof(answer) - 1 - have, 0);

		g_assert_cmpint(n, >, 0);
		have += (size_t)n;
	}
	answer[have] = '\0';
	close(fd);
	return g_strdup(answer);
}

static void expect_answer(const struct daemon_proc *p, const char *line, const char *words)
{
	char *answer = control(p, line);

	if (!strstr(answer, words))
		g_error("to %s: \"%s\" lacks \"%s\"", line, answer, words);
	g_free(answer);
}

static guint count_audit(const struct daemon_proc *p, const char *words)
{
	char *path = g_build_filename(p->dir, "run", "audit.log", NULL), *text = NULL;
	guint n = 0;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	for (const char *at = text; (at = strstr(at, words)); at++)
		n++;
	g_free(text);
	g_free(path);
	return n;
}

/* Has the worker of vm1 taken this daemon's pages, and carried over what it had used? */
static bool has_come_by(const struct daemon_proc *p)
{
	char *answer = control(p, "{\"verb\":\"tenants\",\"tenant\":\"vm1\"}\n");
	const bool yes = strstr(answer, "\"calls\":") && !strstr(answer, "\"calls\":0,");

	g_free(answer);
	return yes;
}

/* As next_daemon(), with the worker come by at the new one. */
static void change_daemon(struct daemon_proc *p, struct frontend *f, struct fqueue *q)
{
	g_assert_cmpint(nop(q), ==, 0);
	daemon_crash(p);
	next_daemon(p, f, q);
	WAIT_UNTIL(has_come_by(p));
}

/* A session of vm1 whose worker another daemon started, and that has come by at this one. */
static struct fqueue *adopted(struct daemon_proc *p, struct frontend *f)
{
	struct fqueue *q;

	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	change_daemon(p, f, q);
	return q;
}

/* ---------------------------------------------------------------- another one */
struct other {
	struct frontend *f;
	struct fqueue *q;
	GThread *thread;
	gint stop, done;
};

static gpointer work(gpointer data)
{
	struct other *o = data;

	while (!g_atomic_int_get(&o->stop)) {
		g_assert_cmpint(nop(o->q), ==, 0);
		g_atomic_int_inc(&o->done);
	}
	return NULL;
}

static void other_begin(struct other *o, const struct daemon_proc *p)
{
	*o = (struct other){.f = connect_as(p, "vm2")};
	o->q = fqueue_new(o->f, 0, 256, 0);
	o->thread = g_thread_new("other", work, o);
}

static void other_end(struct other *o)
{
	const gint enough = g_atomic_int_get(&o->done) + 10;

	WAIT_UNTIL(g_atomic_int_get(&o->done) >= enough);
	g_atomic_int_set(&o->stop, 1);
	g_thread_join(o->thread);
	fqueue_end(o->q);
	frontend_free(o->f);
}

/* --------------------------------------------------------------------- tests */

/* One fails again and again: ever longer out, and nobody else is touched. */
static void test_again_and_again(void)
{
	struct daemon_proc *p = start("[faults]\nfaults=2\nquarantine=200ms\nquarantine-most=1h\n");
	struct frontend *f = connect_as(p, "vm1"), *g = connect_as(p, "vm1");
	struct fqueue *before = fqueue_new(g, 1, 256, 0);
	struct other o;
	char reason[VGPU_REASON_MAX];

	other_begin(&o, p);
	g_assert_false(knows_quarantine(before));
	for (guint round = 1; round <= 4; round++) {
		crash(p, f);
		expect_let_in(f); /* once is nothing */
		spoil(f);
		WAIT_UNTIL(count_audit(p, "\"event\":\"begun\"") == round);
		/* It ends by itself, and not by what is tried meanwhile. */
		WAIT_UNTIL(try(f, reason) == 0);
		WAIT_UNTIL(count_audit(p, "\"event\":\"ended\"") == round);
		g_assert_cmpint(nop(before), ==, 0);
	}
	/* The fifth lasts long enough to be looked at. */
	put_tenant(p, "vm1", "[faults]\nfaults=1\nquarantine=30m\nquarantine-most=1h\n");
	reload(p);
	crash(p, f);
	expect_shut_out(f,
			"the tenant is quarantined as its sessions failed too often, for another "
			"3600 s");
	g_assert_true(knows_quarantine(before));
	g_assert_cmpint(nop(before), ==, 0);
	expect_answer(p, "{\"verb\":\"tenants\",\"tenant\":\"vm1\"}\n",
		      "\"faults\":{\"crash\":5,\"gpu-error\":0,\"kernel-time\":0,\"memory\":0,"
		      "\"queue\":4,\"host-memory\":0},\"quarantine\":{\"active\":true,\"count\":5");
	expect_answer(p, "{\"verb\":\"status\"}\n", "\"tenants_quarantined\":1");
	expect_answer(p, "{\"verb\":\"tenants\",\"tenant\":\"vm2\"}\n", "\"active\":false");
	g_assert_cmpuint(count_audit(p, "\"kind\":\"fault\""), ==, 9);
	g_assert_cmpuint(count_audit(p, "\"cause\":\"quarantined\""), >=, 1);
	other_end(&o);
	fqueue_end(before);
	frontend_free(f);
	frontend_free(g);
	daemon_stop(p);
}

/* An administrator's word: for a time, without an end, lifted. */
static void test_by_hand(void)
{
	struct daemon_proc *p = start("");
	struct frontend *f = connect_as(p, "vm1"), *g = connect_as(p, "vm2");
	char reason[VGPU_REASON_MAX];

	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\"}\n", "\"ok\":true");
	expect_shut_out(f, "the host's administrator has quarantined the tenant, until it is "
			   "lifted");
	expect_let_in(g);
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"for\":\"2h\"}\n",
		      "\"ok\":true");
	expect_shut_out(f, "for another 7");
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"off\":true}\n",
		      "\"lifted\":1");
	expect_let_in(f);
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"off\":true}\n",
		      "is not quarantined");
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"for\":\"soon\"}\n",
		      "bad-value");
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm9\"}\n", "not-found");
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"for\":\"200ms\"}\n",
		      "\"ok\":true");
	WAIT_UNTIL(try(f, reason) == 0);
	g_assert_cmpuint(count_audit(p, "\"kind\":\"quarantine\",\"cause\":\"administrator\""), >=,
			 4);
	frontend_free(f);
	frontend_free(g);
	daemon_stop(p);
}

/* A daemon that died tells the next one; so does one that ended. */
static void test_restart(void)
{
	struct daemon_proc *p = start("[faults]\nfaults=2\nquarantine=1h\nquarantine-most=8h\n");
	struct frontend *f = connect_as(p, "vm1");
	char *state = g_build_filename(p->dir, "run", "quarantine", "vm1", NULL);

	crash(p, f);
	daemon_crash(p);
	daemon_again(p);
	frontend_free(f);
	f = connect_as(p, "vm1");
	/* One of before and one of now. */
	crash(p, f);
	expect_shut_out(f, "too often, for another 3");
	frontend_free(f);
	daemon_signal(p, SIGTERM);
	daemon_wait(p);
	daemon_again(p);
	f = connect_as(p, "vm1");
	expect_shut_out(f, "too often, for another 3");
	/* Gone and here again is no way out. */
	daemon_tenant(p, "vm1", NULL);
	reload(p);
	frontend_free(f);
	put_tenant(p, "vm1", "[faults]\nfaults=2\nquarantine=1h\nquarantine-most=8h\n");
	reload(p);
	f = connect_as(p, "vm1");
	expect_shut_out(f, "too often, for another 3");
	expect_answer(p, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"off\":true}\n",
		      "\"lifted\":1");
	expect_let_in(f);
	g_assert_false(g_file_test(state, G_FILE_TEST_EXISTS));
	frontend_free(f);
	/* What cannot be its own is said and dropped. */
	daemon_signal(p, SIGTERM);
	daemon_wait(p);
	g_assert_true(g_file_set_contents(state, "[quarantine]\nuntil=yes\n", -1, NULL));
	daemon_again(p);
	daemon_expect_log(p, "tenant vm1: its faults before are not known");
	f = connect_as(p, "vm1");
	expect_let_in(f);
	frontend_free(f);
	g_free(state);
	daemon_stop(p);
}

/* What is no fault: to end, to be stopped, evicted, to lose one's device. */
static void test_no_fault(void)
{
	struct daemon_proc *p = start("[faults]\nfaults=1\nquarantine=1h\n");
	struct frontend *f = connect_as(p, "vm1");
	struct fqueue *q;

	expect_let_in(f);
	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	expect_answer(p, "{\"verb\":\"evict\",\"tenant\":\"vm1\"}\n", "\"sessions\":1");
	g_assert_cmpint(fqueue_expect_lost(q), ==, -ECANCELED);
	fqueue_free(q);
	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(q), ==, 0);
	frontend_free(f); /* the device goes, and its session with it */
	fqueue_free(q);
	daemon_expect_workers(p, 0);
	f = connect_as(p, "vm1");
	expect_let_in(f);
	frontend_free(f);
	daemon_stop(p);
}

static void expect_faults(const struct daemon_proc *p, const char *faults)
{
	char *words = g_strdup_printf("\"faults\":{%s,\"host-memory\":0}", faults);

	expect_answer(p, "{\"verb\":\"tenants\",\"tenant\":\"vm1\"}\n", words);
	g_free(words);
}

#define FAULTS(crash, queue) \
	"\"crash\":" crash ",\"gpu-error\":0,\"kernel-time\":0,\"memory\":0,\"queue\":" queue

/* Workers of a daemon before are nobody's children: what they leave behind tells of their end. */
static void test_adopted(void)
{
	struct daemon_proc *p = start("[faults]\nfaults=10\n");
	struct frontend *f = connect_as(p, "vm1");
	struct fqueue *q = adopted(p, f);

	change_daemon(p, f, q);
	g_assert_cmpint(kill(only_worker(p), SIGABRT), ==, 0);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EIO);
	fqueue_free(q);
	expect_faults(p, FAULTS("1", "0"));
	g_assert_cmpuint(count_audit(p, "\"fault\":\"crash\""), ==, 1);
	/* Stopped by its device; over several daemons. */
	q = adopted(p, f);
	change_daemon(p, f, q);
	fqueue_end(q);
	expect_faults(p, FAULTS("0", "0"));
	/* It ends by itself, as its guest's program did. */
	q = adopted(p, f);
	fdio_clear(&q->lifeline);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EIO);
	fqueue_free(q);
	expect_faults(p, FAULTS("0", "0"));
	/* Its queue is broken: that is one fault, and no crash. */
	spoil_one(adopted(p, f));
	expect_faults(p, FAULTS("0", "1"));
	/* The daemon ends it. */
	q = adopted(p, f);
	expect_answer(p, "{\"verb\":\"evict\",\"tenant\":\"vm1\"}\n", "\"sessions\":1");
	g_assert_cmpint(fqueue_expect_lost(q), ==, -ECANCELED);
	fqueue_free(q);
	expect_faults(p, FAULTS("0", "0"));
	g_assert_cmpuint(count_audit(p, "\"kind\":\"fault\""), ==, 2);
	frontend_free(f);
	daemon_stop(p);
}

/* One that never came by could leave nothing: it is not known how it ended. */
static void test_unknown_end(void)
{
	struct daemon_proc *p = start("[faults]\nfaults=1\nquarantine=1h\n");
	struct frontend *f = connect_as(p, "vm1");
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	daemon_crash(p);
	g_assert_cmpint(kill(only_worker(p), SIGSTOP), ==, 0);
	next_daemon(p, f, q);
	g_assert_cmpint(kill(only_worker(p), SIGKILL), ==, 0);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EIO);
	fqueue_free(q);
	expect_let_in(f);
	expect_faults(p, FAULTS("0", "0"));
	frontend_free(f);
	daemon_stop(p);
}

/* A guest that is quick to clean up after a crash does not make it undone. */
static void test_crash_and_stop(void)
{
	struct daemon_proc *p = start("[faults]\nfaults=1\nquarantine=1h\n");
	struct frontend *f = connect_as(p, "vm1");

	crash_and_stop(p, f);
	WAIT_UNTIL(count_audit(p, "\"fault\":\"crash\"") == 1);
	expect_shut_out(f, "too often, for another 3");
	frontend_free(f);
	daemon_stop(p);
}

/* A piece of work that takes too long; the worker hangs in it. */
static void test_too_long(void)
{
	const uint32_t side = 4096;
	const uint64_t bytes = (uint64_t)side * side * sizeof(float);
	const struct vgpu_matmul dims = {.m = side, .n = side, .k = side};
	const struct vgpu_desc d[3] = {{0, 0, 0, bytes}, {1, 0, 0, bytes}, {2, 0, 0, bytes}};
	struct daemon_proc *p = start("[limits]\nmemory=1G\nlongest-kernel=100ms\n"
				      "[faults]\nfaults=1\nquarantine=1h\n");
	struct frontend *f = frontend_new_own(p, "vm1", 3 * bytes + 2 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 3);

	for (uint32_t i = 0; i < 3; i++)
		buffer_set_flat(q, i, i < 2 ? VGPU_BUFFER_READ : VGPU_BUFFER_WRITE,
				frontend_alloc(f, bytes, 4096, NULL), bytes);
	fqueue_submit(q, VGPU_CMD_MATMUL, d, 3, &dims, sizeof(dims));
	g_assert_cmpint(fqueue_expect_lost(q), ==, -ETIME);
	fqueue_free(q);
	expect_shut_out(f, "too often, for another 3");
	g_assert_cmpuint(count_audit(p, "\"fault\":\"kernel-time\""), ==, 1);
	frontend_free(f);
	daemon_stop(p);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/faults/again-and-again", test_again_and_again);
	g_test_add_func("/faults/by-hand", test_by_hand);
	g_test_add_func("/faults/restart", test_restart);
	g_test_add_func("/faults/no-fault", test_no_fault);
	g_test_add_func("/faults/adopted", test_adopted);
	g_test_add_func("/faults/unknown-end", test_unknown_end);
	g_test_add_func("/faults/crash-and-stop", test_crash_and_stop);
	g_test_add_func("/faults/too-long", test_too_long);
	return g_test_run();
}
