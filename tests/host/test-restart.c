/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon dies and comes back, is reloaded, is started twice. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "fdio.h"
#include "frontend.h"

#define MIB (1024u * 1024)
#define CPU "[backend]\nbackend=cpu\n"

static int nop(struct fqueue *q)
{
	return fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0);
}

/* Killed, started again: the workers live, their device finds them, nothing was lost. */
static void test_adoption(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 2, 256, 0);
	struct fqueue *r = fqueue_new_registers(f);
	uint64_t answered;

	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpint(nop(r), ==, 0);
	daemon_crash(p);
	/* Nobody needs the daemon to work. */
	for (int i = 0; i < 10; i++)
		g_assert_cmpint(nop(q), ==, 0);
	daemon_again(p);
	daemon_expect_log(p, "of a daemon before found");
	g_assert_cmpint(nop(q), ==, 0);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(fqueue_resume(r), ==, 0);
	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpint(nop(r), ==, 0);
	answered = q->page->requests;
	g_assert_cmpuint(answered, ==, 13);
	/* Its words reach the new daemon's log once it has knocked there. */
	WAIT_UNTIL(fqueue_call(q, VGPU_CMD_TEXT, NULL, 0, "again", 5, NULL, 0) == 0 &&
		   daemon_log_has(p, "text \"again\""));
	/* New sessions have new numbers. */
	fqueue_end(r);
	r = fqueue_new_registers(f);
	g_assert_cmpuint(r->session, ==, 3);
	fqueue_end(r);
	/* It can be stopped by the new daemon, and be lost to it. */
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* A resumed worker that dies is reported by the daemon that did not start it. */
static void test_adopted_dies(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	GArray *pids;

	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	pids = daemon_workers(p);
	g_assert_cmpuint(pids->len, ==, 1);
	kill(g_array_index(pids, pid_t, 0), SIGKILL);
	g_array_free(pids, TRUE);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EIO);
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

/* Twice in a row, with the worker in the midst of work, memory changed meanwhile. */
static void test_adopted_twice(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 4);
	const struct vgpu_mem_region more = {.guest_addr = 0, .size = 1 * MIB};
	const struct vgpu_desc d[3] = {{0, 0, 0, 4096}, {0, 0, 0, 4096}, {0, 0, 0, 4096}};
	const struct vgpu_vector_add body = {1024};
	int fd = memfd_create("more", MFD_CLOEXEC);
	struct fseg seg = {0x2000, 4096};

	g_assert_cmpint(ftruncate(fd, MIB), ==, 0);
	for (int i = 0; i < 2; i++) {
		daemon_crash(p);
		daemon_again(p);
		frontend_reconnect(f);
		g_assert_cmpint(fqueue_resume(q), ==, 0);
		g_assert_cmpint(nop(q), ==, 0);
	}
	/* The adopted worker hears of new memory. */
	g_assert_cmpint(frontend_mem_add(f, &more, fd), ==, 0);
	buffer_set(q, 0, VGPU_BUFFER_READ | VGPU_BUFFER_WRITE, &seg, 1);
	WAIT_UNTIL(fqueue_call(q, VGPU_CMD_VECTOR_ADD, d, 3, &body, sizeof(body), NULL, 0) == 0);
	close(fd);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* A worker in the midst of a long command knocks late; it is resumed and stopped all the same. */
static void test_adopted_busy(void)
{
	enum { SIDE = 2048, BYTES = SIDE * SIDE * 4 };
	const struct vgpu_matmul dims = {.m = SIDE, .n = SIDE, .k = SIDE};
	const struct vgpu_desc d[3] = {{0, 0, 0, BYTES}, {0, 0, 0, BYTES}, {1, 0, 0, BYTES}};
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 2);

	buffer_set_flat(q, 0, VGPU_BUFFER_READ, frontend_alloc(f, BYTES, 4096, NULL), BYTES);
	buffer_set_flat(q, 1, VGPU_BUFFER_WRITE, frontend_alloc(f, BYTES, 4096, NULL), BYTES);
	for (int i = 0; i < 40; i++)
		fqueue_submit(q, VGPU_CMD_MATMUL, d, 3, &dims, sizeof(dims));
	WAIT_UNTIL(__atomic_load_n(&q->page->in_flight, __ATOMIC_ACQUIRE));
	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpuint(q->page->current_command, ==, VGPU_CMD_MATMUL);
	g_assert_cmpint(fqueue_stop(q), ==, 0);
	fqueue_expect_hup(q);
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

/* Workers as another user, which is also found again. */
static void test_worker_user(void)
{
	struct daemon_proc *p;
	struct frontend *f;
	struct fqueue *q;
	GArray *pids;
	char *path, *status;

	if (geteuid() != 0) {
		g_test_skip("only root can start workers as another user");
		return;
	}
	p = daemon_start(CPU "[worker]\nuser=nobody\n");
	g_assert_cmpint(g_chmod(p->dir, 0755), ==, 0);
	f = frontend_new(p, "vm", 4 * MIB);
	q = fqueue_new(f, 0, 256, 0);
	pids = daemon_workers(p);
	path = g_strdup_printf("/proc/%d/status", g_array_index(pids, pid_t, 0));
	g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
	g_assert_nonnull(strstr(status, "Uid:\t65534\t65534\t65534\t65534"));
	g_assert_nonnull(strstr(status, "CapEff:\t0000000000000000"));
	g_assert_cmpint(nop(q), ==, 0);
	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	WAIT_UNTIL(fqueue_call(q, VGPU_CMD_TEXT, NULL, 0, "again", 5, NULL, 0) == 0 &&
		   daemon_log_has(p, "text \"again\""));
	fqueue_end(q);
	frontend_free(f);
	g_array_free(pids, TRUE);
	g_free(path);
	g_free(status);
	daemon_stop(p);
}

/* Who is not the device does not get the session, and the device still does. */
static void test_resume_refused(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB), *thief;
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	struct fqueue *other = fqueue_new(f, 1, 256, 0);
	struct fqueue stolen = *q;

	g_assert_cmpint(fqueue_resume(q), ==, -ENOENT); /* it has its device */
	daemon_crash(p);
	daemon_again(p);
	thief = frontend_new(p, "thief", 4 * MIB);
	stolen.f = thief;
	g_assert_cmpint(fqueue_resume(&stolen), ==, -ENOENT);
	memcpy(thief->uuid, f->uuid, sizeof(f->uuid));
	frontend_reconnect(thief);
	/* The right name, but not the page: another's, a file, something that is no memory. */
	stolen.page_fd = other->page_fd;
	g_assert_cmpint(fqueue_resume(&stolen), ==, -EACCES);
	stolen.page_fd = thief->ram_fd;
	g_assert_cmpint(fqueue_resume(&stolen), ==, -EACCES);
	stolen.page_fd = q->kick;
	g_assert_cmpint(fqueue_resume(&stolen), ==, -EACCES);
	stolen.page_fd = q->page_fd;
	stolen.queue = 1;
	g_assert_cmpint(fqueue_resume(&stolen), ==, -ENOENT);
	frontend_free(thief);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(fqueue_resume(other), ==, 0);
	g_assert_cmpint(fqueue_resume(other), ==, -ENOENT);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	fqueue_end(other);
	frontend_free(f);
	daemon_stop(p);
}

/* Workers whose device does not come back are killed; dead ones are forgotten. */
static void test_orphans(void)
{
	struct daemon_proc *p = daemon_start(CPU "[limits]\nadopt-timeout=1\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	char *state = g_build_filename(p->dir, "run", "sessions", "1", NULL);
	struct pollfd end = {.events = POLLIN};
	GArray *workers;

	g_assert_true(g_file_test(state, G_FILE_TEST_EXISTS));
	daemon_crash(p);
	daemon_again(p);
	daemon_expect_log(p, "session=1 session ended: no device came for it");
	fqueue_expect_hup(q);
	g_assert_false(g_file_test(state, G_FILE_TEST_EXISTS));
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, -ENOENT);
	fqueue_free(q);
	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	workers = daemon_workers(p);
	g_assert_cmpuint(workers->len, ==, 1);
	end.fd = (int)syscall(SYS_pidfd_open, g_array_index(workers, pid_t, 0), 0);
	g_assert_cmpint(end.fd, >=, 0);
	daemon_crash(p);
	fqueue_free(q); /* its worker goes by the lifeline */
	/* Its last moments, without memory, look like the end from outside. */
	g_assert_cmpint(poll(&end, 1, 60000), ==, 1);
	close(end.fd);
	g_array_free(workers, TRUE);
	daemon_again(p);
	g_assert_false(daemon_log_has(p, "of a daemon before found"));
	frontend_free(f);
	g_free(state);
	daemon_stop(p);
}

/* A state file that names a process which is not the worker is not believed. */
static void test_false_state(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	char *state = g_build_filename(p->dir, "run", "sessions", "7", NULL);
	char *text = g_strdup_printf("[session]\npid=%d\nstart-time=1\nuuid=%032d\n", getpid(), 0);

	daemon_crash(p);
	g_file_set_contents(state, text, -1, NULL);
	daemon_again(p);
	g_assert_false(daemon_log_has(p, "of a daemon before found"));
	g_assert_false(g_file_test(state, G_FILE_TEST_EXISTS));
	g_free(state);
	g_free(text);
	daemon_stop(p);
}

/* A stranger at the adoption socket is sent away. */
static void test_false_worker(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct ctl_adopt adopt = {CTL_ADOPT, CTL_VERSION, 1};
	char byte;
	int fd;

	daemon_crash(p);
	daemon_again(p);
	g_snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/adopt/adopt.sock", p->dir);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_assert_cmpint(write(fd, &adopt, sizeof(adopt)), ==, sizeof(adopt));
	g_assert_cmpint(read(fd, &byte, 1), ==, 0);
	close(fd);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* A start under way when the daemon dies leaves nothing behind. */
static void test_crash_in_start(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_prepare(f, 0, 256, 0);
	const int fds[2] = {q->kick, q->call};

	frontend_send(f, VGPU_MSG_QUEUE_START, 0, &q->start, sizeof(q->start), fds, 2);
	daemon_crash(p);
	fdio_clear(&f->sock); /* where the answer may lie, with the lifeline in it */
	daemon_expect_workers(p, 0);
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

/* ------------------------------------------------------------- the process */

static void write_config(const struct daemon_proc *p, const char *text)
{
	g_assert_true(g_file_set_contents(p->config, text, -1, NULL));
}

static void test_reload(void)
{
	struct daemon_proc *p = daemon_start(CPU "[limits]\nmax-queues=3\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB), *g;
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	char *old = g_strconcat(p->log, ".1", NULL);

	g_assert_cmpuint(f->hello.max_queues, ==, 3);
	/* As logrotate does. */
	g_rename(p->log, old);
	write_config(p, CPU "[limits]\nmax-queues=5\n[daemon]\nsocket-mode=0600\n");
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "configuration reloaded");
	daemon_expect_log(p, "socket-mode takes effect at the next start");
	g = frontend_new(p, "two", 0);
	g_assert_cmpuint(g->hello.max_queues, ==, 5);
	frontend_free(g);
	/* One wrong key, and nothing of the file takes effect. */
	write_config(p, CPU "[limits]\nmax-queues=7\nmax-quexes=1\n");
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "[limits] max-quexes: there is no such key");
	g = frontend_new(p, "three", 0);
	g_assert_cmpuint(g->hello.max_queues, ==, 5);
	frontend_free(g);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
	g_free(old);
	daemon_stop(p);
}

/* Runs the daemon's program to its end; its output, its wait status. */
static int run(char **output, const char *const *args)
{
	GPtrArray *argv = g_ptr_array_new();
	char *out = NULL, *err = NULL;
	int status;

	g_ptr_array_add(argv, (char *)g_getenv("GPU_MEDIATOR"));
	for (; *args; args++)
		g_ptr_array_add(argv, (char *)*args);
	g_ptr_array_add(argv, NULL);
	g_assert_true(g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL,
				   &out, &err, &status, NULL));
	*output = g_strconcat(out, err, NULL);
	g_free(out);
	g_free(err);
	g_ptr_array_free(argv, TRUE);
	return status;
}

static void expect_failure(const char *const *args, int code, const char *words)
{
	char *out;
	int status = run(&out, args);

	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, code);
	if (!strstr(out, words))
		g_error("\"%s\" is not in \"%s\"", words, out);
	g_free(out);
}

static void test_second_daemon(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	char *same_run = g_strdup_printf("--runtime-dir=%s/run", p->dir);
	char *other_run = g_strdup_printf("--runtime-dir=%s/run2", p->dir);
	char *same = g_strdup_printf("--socket-path=%s", p->socket);
	char *other = g_strdup_printf("--socket-path=%s2", p->socket);
	char *file = g_strdup_printf("--socket-path=%s", p->config);
	struct frontend *f;

	expect_failure((const char *[]){"--foreground", "--backend=cpu", same_run, other, NULL}, 1,
		       "another gpu_mediator holds");
	expect_failure((const char *[]){"--foreground", "--backend=cpu", other_run, same, NULL}, 1,
		       "another gpu_mediator holds");
	expect_failure((const char *[]){"--foreground", "--backend=cpu", other_run, file, NULL}, 1,
		       "not a socket");
	g_assert_true(g_file_test(p->config, G_FILE_TEST_EXISTS));
	f = frontend_new(p, "vm", 0);
	frontend_free(f);
	g_free(same_run);
	g_free(other_run);
	g_free(same);
	g_free(other);
	g_free(file);
	daemon_stop(p);
}

static void test_usage(void)
{
	char *out;

	expect_failure((const char *[]){"--nonsense", NULL}, 2, "nonsense");
	expect_failure((const char *[]){"nonsense", NULL}, 2, "is not an option");
	expect_failure((const char *[]){"--fd=1", NULL}, 2, "3 or more");
	expect_failure((const char *[]){"--backend=abacus", NULL}, 1, "auto, cpu or cuda");
	expect_failure((const char *[]){"--config=/nonexistent", NULL}, 1, "/nonexistent");
	g_assert_cmpint(run(&out, (const char *[]){"--version", NULL}), ==, 0);
	g_assert_true(g_str_has_prefix(out, "gpu_mediator "));
	g_free(out);
	g_assert_cmpint(run(&out, (const char *[]){"--print-capabilities", NULL}), ==, 0);
	g_assert_nonnull(strstr(out, "\"protocol-version\": 1"));
	g_free(out);
}

/* cuda where it cannot be had: refused if it is asked for, else said and done without. */
static void test_gate(void)
{
	char *dir = g_dir_make_tmp("vgpu-host-XXXXXX", NULL);
	char *run_dir = g_strdup_printf("--runtime-dir=%s/run", dir);
	char *socket = g_strdup_printf("--socket-path=%s/sock", dir);
	char *config = g_strdup_printf("--config=%s/config", dir);
	char *path = g_build_filename(dir, "config", NULL);
	char *text = g_strdup_printf("[worker]\npath=%s/worker\n", dir);
	char *hasty = g_strconcat(text, "[backend]\nprobe-timeout=1\n", NULL);
	char *worker = g_build_filename(dir, "worker", NULL);
	const char *args[] = {"--foreground", "--backend=cuda", run_dir, socket, config, NULL};

	g_file_set_contents(path, text, -1, NULL);
	g_file_set_contents(worker, "#!/bin/sh\necho no GPU in this box\nexit 1\n", -1, NULL);
	g_chmod(worker, 0755);
	expect_failure(args, 1, "backend cuda cannot be used: no GPU in this box");
	g_file_set_contents(path, hasty, -1, NULL);
	g_file_set_contents(worker, "#!/bin/sh\nexec sleep 1000\n", -1, NULL);
	g_chmod(worker, 0755);
	expect_failure(args, 1, "did not answer within 1 s");
	g_file_set_contents(path, text, -1, NULL);
	g_file_set_contents(worker, "#!/bin/sh\nkill -SEGV $$\n", -1, NULL);
	g_chmod(worker, 0755);
	expect_failure(args, 1, "killed by signal 11");
	g_unlink(worker);
	expect_failure(args, 1, "no worker program");
	remove_tree(dir);
	g_free(dir);
	g_free(run_dir);
	g_free(socket);
	g_free(config);
	g_free(path);
	g_free(text);
	g_free(hasty);
	g_free(worker);
}

/* As a daemon: the command returns when it listens, with a PID file that is right. */
static void test_daemon_mode(void)
{
	char *dir = g_dir_make_tmp("vgpu-host-XXXXXX", NULL);
	char *run_dir = g_strdup_printf("--runtime-dir=%s/run", dir);
	char *socket = g_strdup_printf("--socket-path=%s/sock", dir);
	char *log = g_strdup_printf("--log-file=%s/log", dir);
	char *pid_file = g_build_filename(dir, "pid", NULL);
	char *pid_arg = g_strdup_printf("--pid-file=%s", pid_file);
	const char *args[] = {"--backend=cpu", "--open", run_dir, socket, log, pid_arg, NULL};
	struct daemon_proc p = {.dir = dir, .socket = socket + strlen("--socket-path=")};
	struct frontend *f;
	char *out, *text;

	g_assert_cmpint(run(&out, args), ==, 0);
	g_free(out);
	g_assert_true(g_file_get_contents(pid_file, &text, NULL, NULL));
	f = frontend_new(&p, "vm", 0);
	frontend_free(f);
	expect_failure(args, 1, "another gpu_mediator holds");
	g_assert_cmpint(kill(atoi(text), SIGTERM), ==, 0);
	WAIT_UNTIL(!g_file_test(pid_file, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(p.socket, G_FILE_TEST_EXISTS));
	remove_tree(dir);
	g_free(dir);
	g_free(run_dir);
	g_free(socket);
	g_free(log);
	g_free(pid_file);
	g_free(pid_arg);
	g_free(text);
}

/* Starts a daemon with a descriptor of ours. */
static pid_t start_with_fd(const char *dir, int fd)
{
	char *fd_arg = g_strdup_printf("--fd=%d", fd);
	char *run_dir = g_strdup_printf("--runtime-dir=%s/run", dir);
	char *log = g_strdup_printf("--log-file=%s/log", dir);
	pid_t pid = fork();

	if (pid == 0) {
		fcntl(fd, F_SETFD, 0);
		execl(g_getenv("GPU_MEDIATOR"), "gpu_mediator", "--foreground", "--backend=cpu",
		      "--open", fd_arg, run_dir, log, NULL);
		_exit(127);
	}
	g_free(fd_arg);
	g_free(run_dir);
	g_free(log);
	return pid;
}

/* One connected device: served, and the daemon ends with it. */
static void test_fd_connected(void)
{
	char *dir = g_dir_make_tmp("vgpu-host-XXXXXX", NULL);
	struct daemon_proc p = {.dir = dir};
	struct frontend *f = g_new0(struct frontend, 1);
	struct vgpu_msg_hello h;
	struct fqueue *q;
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	p.pid = start_with_fd(dir, pair[1]);
	close(pair[1]);
	f->sock = pair[0];
	f->ram_fd = -1;
	f->name = g_strdup("given");
	frontend_fill_hello(f, &h);
	g_assert_cmpint(frontend_hello(f, &h), ==, 0);
	q = fqueue_new_registers(f);
	g_assert_cmpint(nop(q), ==, 0);
	frontend_free(f);
	fqueue_expect_hup(q);
	fqueue_free(q);
	g_assert_cmpint(daemon_wait(&p), ==, 0);
	remove_tree(dir);
	g_free(dir);
}

/* A listening socket: used, and left to whoever made it. */
static void test_fd_listening(void)
{
	char *dir = g_dir_make_tmp("vgpu-host-XXXXXX", NULL);
	char *path = g_build_filename(dir, "sock", NULL);
	struct daemon_proc p = {.dir = dir, .socket = path};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct frontend *f;

	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_assert_cmpint(listen(fd, 4), ==, 0);
	p.pid = start_with_fd(dir, fd);
	close(fd);
	for (int i = 0; i < 2; i++) {
		f = frontend_new(&p, "vm", 0);
		frontend_free(f);
	}
	daemon_signal(&p, SIGTERM);
	g_assert_cmpint(daemon_wait(&p), ==, 0);
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	remove_tree(dir);
	g_free(path);
	g_free(dir);
}

/* ------------------------------------------------------------------ leaks */

static void churn(struct daemon_proc *p)
{
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	struct fqueue *r = fqueue_new_registers(f);
	struct fqueue *bad = fqueue_prepare(f, 1, 256, 0);

	g_assert_cmpint(nop(q), ==, 0);
	bad->start.ring_addr = 0;
	g_assert_cmpint(fqueue_start(bad), ==, -EFAULT);
	fqueue_end(q);
	g_assert_cmpint(nop(r), ==, 0);
	/* The other one is ended by our going away. */
	fqueue_free(bad);
	fqueue_free(r);
	frontend_free(f);
	daemon_expect_workers(p, 0);
}

/* A device that cannot come any more is called, and goes on with the session that it had. */
static void test_called(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	int listener = frontend_wait_place(p, "vm-1-0");
	int dead = frontend_wait_place(p, "vm-2-0");
	char *path = g_strconcat(p->socket, VGPU_CALL_DIR "/vm-2-0", NULL);

	close(dead);
	g_assert_cmpint(nop(q), ==, 0);
	daemon_crash(p);
	daemon_again(p);
	daemon_expect_log(p, "devices that waited to be called: 1");
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	frontend_return_called(f, listener);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
	close(listener);
	g_free(path);
	daemon_stop(p);
}

/* Nobody is called from a directory that others can write to. */
static void test_called_unsafe(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	int listener = frontend_wait_place(p, "vm-1-0");
	char *dir = g_strconcat(p->socket, VGPU_CALL_DIR, NULL);
	struct pollfd nobody = {.fd = listener, .events = POLLIN};

	daemon_crash(p);
	g_assert_cmpint(g_chmod(dir, 0777), ==, 0);
	daemon_again(p);
	daemon_expect_log(p, "nobody else can write to");
	g_assert_cmpint(poll(&nobody, 1, 0), ==, 0);
	close(listener);
	g_free(dir);
	daemon_stop(p);
}

static void test_no_leaks(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	unsigned int before;

	churn(p);
	/* The last of the daemon's descriptors goes a moment after the last worker. */
	daemon_expect_log(p, "device disconnected");
	before = process_fds(p->pid);
	for (int i = 0; i < 20; i++)
		churn(p);
	WAIT_UNTIL(process_fds(p->pid) <= before);
	daemon_stop(p);
}

/* A worker holds what it needs and nothing of the daemon or of other sessions. */
static void test_worker_fds(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q[5];
	GArray *pids;

	for (uint32_t i = 0; i < 5; i++)
		q[i] = fqueue_new(f, i, 256, 0);
	pids = daemon_workers(p);
	for (guint i = 0; i < pids->len; i++) {
		pid_t pid = g_array_index(pids, pid_t, i);
		char *path = g_strdup_printf("/proc/%d/status", pid), *status;

		g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
		g_assert_nonnull(strstr(status, "NoNewPrivs:\t1"));
		g_assert_cmpint(getpgid(pid), ==, pid);
		/* 0, 1, 2, control, kick, call, lifeline, . and .. */
		g_assert_cmpuint(process_fds(pid), <=, 9);
		g_free(status);
		g_free(path);
	}
	g_array_free(pids, TRUE);
	for (int i = 0; i < 5; i++)
		fqueue_end(q[i]);
	frontend_free(f);
	daemon_stop(p);
}

#define TEST(path, fn) g_test_add_func("/host/restart/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("adoption", test_adoption);
	TEST("adopted-dies", test_adopted_dies);
	TEST("adopted-twice", test_adopted_twice);
	TEST("adopted-busy", test_adopted_busy);
	TEST("worker-user", test_worker_user);
	TEST("resume-refused", test_resume_refused);
	TEST("orphans", test_orphans);
	TEST("false-state", test_false_state);
	TEST("false-worker", test_false_worker);
	TEST("crash-in-start", test_crash_in_start);
	TEST("reload", test_reload);
	TEST("second-daemon", test_second_daemon);
	TEST("usage", test_usage);
	TEST("gate", test_gate);
	TEST("daemon-mode", test_daemon_mode);
	TEST("fd/connected", test_fd_connected);
	TEST("fd/listening", test_fd_listening);
	TEST("called", test_called);
	TEST("called/unsafe", test_called_unsafe);
	TEST("no-leaks", test_no_leaks);
	TEST("worker-fds", test_worker_fds);
	return g_test_run();
}
