/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's library with no VM: sessions by the daemon's socket. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend.h"
#include "vgpu.h"

#define PAGE 4096u
#define MIB (1024u * 1024)

static struct vgpu_session *open_session(const struct daemon_proc *p)
{
	char *where = g_strconcat("unix:", p->socket, NULL);
	struct vgpu_session *s = vgpu_session_open(where);

	if (!s)
		g_error("%s: %s", where, g_strerror(errno));
	g_free(where);
	return s;
}

static int nop(struct vgpu_session *s)
{
	return vgpu_call(s, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0, 120000);
}

/* ---------------------------------------------------------------- gpu_test */

/* Runs gpu_test with these words after --device; its exit status. */
static int gpu_test(const char *where, const char *const *words)
{
	const char *argv[16] = {g_getenv("GPU_TEST"), "--device", where};
	GError *err = NULL;
	int n = where ? 3 : 1, status;

	while (*words)
		argv[n++] = *words++;
	argv[n] = NULL;
	g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, NULL, NULL, &status, &err);
	g_assert_no_error(err);
	g_assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Who is no tenant is told so, and what is to be done; without a daemon it is another error. */
static void test_refused(void)
{
	struct daemon_proc *p = daemon_start_closed(NULL, NULL);
	char *where = g_strdup_printf("unix:%s", p->socket);
	char *wanted = g_strdup_printf("users=%u", getuid());

	g_assert_null(vgpu_session_open(where));
	g_assert_cmpint(errno, ==, ECONNREFUSED);
	g_assert_nonnull(strstr(vgpu_open_reason(), "no tenant"));
	g_assert_nonnull(strstr(vgpu_open_reason(), wanted));
	g_assert_cmpint(gpu_test(where, (const char *[]){"status", NULL}), ==, 1);
	daemon_stop(p);
	g_assert_null(vgpu_session_open(where));
	g_assert_cmpint(errno, !=, ECONNREFUSED);
	g_assert_cmpstr(vgpu_open_reason(), ==, "");
	g_free(wanted);
	g_free(where);
}

static void test_programs(void)
{
	static const char *const commands[][6] = {
		{"nop"},
		{"nop", "--wait", "poll", "--repeat", "1000"},
		{"vector_add"},
		{"vector_add", "--size", "1M"},
		{"vector_add", "--size", "100", "--wait", "interrupt"},
		{"matmul", "--dims", "65x33x17"},
		{"bandwidth", "--size", "5000004", "--repeat", "3"},
		{"info"},
		{"status"},
		{"stress", "--seconds", "1"},
	};
	struct daemon_proc *p = daemon_start(NULL);
	char *where = g_strconcat("unix:", p->socket, NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		g_assert_cmpint(gpu_test(where, commands[i]), ==, 0);
	g_setenv("VGPU_TRANSPORT", where, TRUE);
	g_assert_cmpint(gpu_test(NULL, commands[0]), ==, 0);
	g_unsetenv("VGPU_TRANSPORT");
	daemon_expect_workers(p, 0);
	daemon_stop(p);
	g_assert_cmpint(gpu_test(where, commands[0]), ==, 77);
	g_free(where);
}

/* ------------------------------------------------------------------- areas */

/* The host adds what lies in three pages of an area. */
static void check_reach(struct vgpu_session *s, const struct vgpu_area *a)
{
	const struct vgpu_desc d[3] = {{.buffer = a->buffer, .length = PAGE},
				       {.buffer = a->buffer, .offset = PAGE, .length = PAGE},
				       {.buffer = a->buffer, .offset = 2 * PAGE, .length = PAGE}};
	const struct vgpu_vector_add body = {.elements = PAGE / sizeof(float)};
	struct vgpu_compute_result r;
	float *v = a->addr;

	for (unsigned int i = 0; i < PAGE / 4; i++) {
		v[i] = (float)i;
		v[PAGE / 4 + i] = 1000;
	}
	g_assert_cmpint(
		vgpu_call(s, VGPU_CMD_VECTOR_ADD, d, 3, &body, sizeof(body), &r, sizeof(r), 120000),
		==, sizeof(r));
	for (unsigned int i = 0; i < PAGE / 4; i++)
		g_assert_true(v[PAGE / 2 + i] == (float)i + 1000);
}

static bool is_zero(const struct vgpu_area *a)
{
	const uint8_t *at = a->addr;

	return !at[0] && !memcmp(at, at + 1, a->length - 1);
}

/* What the host says of itself may be old when it is read: that costs a moment and no more. */
static void test_doorbell_missed(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct vgpu_session *s = open_session(p);
	struct vgpu_queue_header *hdr = vgpu_session_ring(s)->hdr;

	g_assert_cmpint(nop(s), ==, 0);
	g_usleep(G_USEC_PER_SEC / 5); /* by then the worker sleeps */
	__atomic_or_fetch(&hdr->host_flags, VGPU_HOST_POLLS, __ATOMIC_SEQ_CST);
	g_assert_cmpint(nop(s), ==, 0);
	vgpu_session_close(s);
	daemon_stop(p);
}

static void test_areas(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct vgpu_session *s = open_session(p);
	struct vgpu_area a, b;
	uint8_t *room = mmap(NULL, 8 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	g_assert_true(room != MAP_FAILED);
	g_assert_cmpint(vgpu_area_create(s, NULL, 3 * PAGE, &a), ==, 0);
	g_assert_true(is_zero(&a));
	check_reach(s, &a);
	g_assert_cmpint(vgpu_area_create(s, room + MIB, 4 * MIB, &b), ==, 0);
	g_assert_true(b.addr == room + MIB && is_zero(&b));
	check_reach(s, &b);
	check_reach(s, &a);
	/* What is given back is a hole, and the caller's room stays his. */
	g_assert_cmpint(vgpu_area_destroy(s, &b), ==, 0);
	g_assert_true(mmap(room + MIB, PAGE, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
	g_assert_cmpint(vgpu_area_create(s, room, 4 * MIB, &b), ==, 0);
	g_assert_true(is_zero(&b));
	check_reach(s, &b);
	g_assert_cmpint(vgpu_area_destroy(s, &a), ==, 0);
	g_assert_cmpint(vgpu_area_destroy(s, &b), ==, 0);
	/* A large one that crosses the border of the regions. */
	g_assert_cmpint(vgpu_area_create(s, NULL, 64 * MIB, &a), ==, 0);
	g_assert_cmpuint((uintptr_t)a.addr % (2 * MIB), ==, 0);
	check_reach(s, &a);
	vgpu_session_close(s);
	munmap(a.addr, a.length);
	munmap(room, 8 * MIB);
	daemon_expect_workers(p, 0);
	daemon_stop(p);
}

static void test_area_limits(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct vgpu_session *s = open_session(p);
	struct vgpu_area *a = g_new0(struct vgpu_area, VGPU_BUFFERS_MAX + 1);
	uint32_t handle;

#define REFUSED(call, error)                       \
	do {                                       \
		g_assert_cmpint(call, ==, -1);     \
		g_assert_cmpint(errno, ==, error); \
	} while (0)
	REFUSED(vgpu_area_create(s, NULL, 0, a), EINVAL);
	REFUSED(vgpu_area_create(s, NULL, PAGE + 1, a), EINVAL);
	REFUSED(vgpu_area_create(s, (void *)17, PAGE, a), EINVAL);
	REFUSED(vgpu_area_create(s, NULL, VGPU_BUFFER_BYTES_MAX + PAGE, a), EMSGSIZE);
	REFUSED(vgpu_buffer_register(s, a, PAGE, VGPU_BUFFER_READ, &handle), EOPNOTSUPP);
	for (unsigned int i = 0; i < VGPU_BUFFERS_MAX; i++)
		g_assert_cmpint(vgpu_area_create(s, NULL, PAGE, &a[i]), ==, 0);
	REFUSED(vgpu_area_create(s, NULL, PAGE, &a[VGPU_BUFFERS_MAX]), ENOSPC);
	for (unsigned int i = 0; i < VGPU_BUFFERS_MAX; i += 2)
		g_assert_cmpint(vgpu_area_destroy(s, &a[i]), ==, 0);
	for (unsigned int i = 0; i < VGPU_BUFFERS_MAX; i += 2)
		g_assert_cmpint(vgpu_area_create(s, NULL, 3 * PAGE, &a[i]), ==, 0);
	check_reach(s, &a[VGPU_BUFFERS_MAX - 2]);
	for (unsigned int i = 0; i < VGPU_BUFFERS_MAX; i++)
		g_assert_cmpint(vgpu_area_destroy(s, &a[i]), ==, 0);
	g_assert_cmpint(nop(s), ==, 0);
	vgpu_session_close(s);
	g_free(a);
	daemon_stop(p);
}

/* -------------------------------------------------------- ends and restarts */

static void test_worker_killed(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct vgpu_session *s = open_session(p), *other;
	GArray *pids = daemon_workers(p);
	struct vgpu_area a;

	g_assert_cmpuint(pids->len, ==, 1);
	g_assert_cmpint(vgpu_area_create(s, NULL, 3 * PAGE, &a), ==, 0);
	check_reach(s, &a);
	other = open_session(p);
	g_assert_cmpint(kill(g_array_index(pids, pid_t, 0), SIGKILL), ==, 0);
	REFUSED(nop(s), EIO);
	REFUSED(nop(s), EIO);
	g_assert_cmpint(vgpu_area_destroy(s, &a), ==, 0);
	g_assert_cmpint(nop(other), ==, 0);
	vgpu_session_close(s);
	s = open_session(p);
	g_assert_cmpint(nop(s), ==, 0);
	vgpu_session_close(s);
	vgpu_session_close(other);
	g_array_free(pids, TRUE);
	daemon_stop(p);
}

static void test_daemon_restarts(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct vgpu_session *s = open_session(p);
	struct vgpu_area a;

	g_assert_cmpint(vgpu_area_create(s, NULL, 3 * PAGE, &a), ==, 0);
	for (int round = 0; round < 2; round++) {
		daemon_crash(p);
		g_assert_cmpint(vgpu_session_tend(s), ==, 0);
		g_assert_cmpint(nop(s), ==, 0); /* nobody is needed for that */
		check_reach(s, &a);
		daemon_again(p);
		WAIT_UNTIL(vgpu_session_tend(s) == 0 && daemon_log_has(p, "session resumed"));
		g_assert_cmpint(nop(s), ==, 0);
		check_reach(s, &a);
		daemon_expect_workers(p, 1);
	}
	g_assert_cmpint(vgpu_area_destroy(s, &a), ==, 0);
	/* One that ends well takes its workers with it. */
	daemon_signal(p, SIGTERM);
	daemon_wait(p);
	REFUSED(nop(s), EIO);
	vgpu_session_close(s);
	daemon_stop(p);
}

/* A child has no part in the session, and cannot keep it alive. */
static void test_fork(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct vgpu_session *s = open_session(p);
	int gate[2];
	pid_t child;

	g_assert_cmpint(pipe(gate), ==, 0);
	g_assert_cmpint(nop(s), ==, 0);
	child = fork();
	if (!child) {
		char c;

		vgpu_session_forget(s);
		close(gate[1]);
		_exit(read(gate[0], &c, 1) == 0 ? 0 : 1);
	}
	g_assert_cmpint(nop(s), ==, 0);
	vgpu_session_close(s);
	daemon_expect_workers(p, 0);
	close(gate[1]);
	g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
	close(gate[0]);
	daemon_stop(p);
}

/* A process that just ends leaves nothing. */
static void test_exit(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	pid_t child = fork();

	if (!child)
		_exit(nop(open_session(p)) == 0 ? 0 : 1);
	WAIT_UNTIL(waitpid(child, NULL, WNOHANG) == child);
	daemon_expect_workers(p, 0);
	daemon_stop(p);
}

#define TEST(path, fn) g_test_add_func("/host/local/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("refused", test_refused);
	TEST("programs", test_programs);
	TEST("doorbell-missed", test_doorbell_missed);
	TEST("areas", test_areas);
	TEST("area-limits", test_area_limits);
	TEST("worker-killed", test_worker_killed);
	TEST("daemon-restarts", test_daemon_restarts);
	TEST("fork", test_fork);
	TEST("exit", test_exit);
	return g_test_run();
}
