/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process can still do once it is confined as a worker is; each try in a child. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "sanitized.h"

#define SOMEBODY 1987654321

/* How a child ends that does this: its wait status. */
static int in_child(void (*what)(void))
{
	pid_t pid = fork();
	int status = 0;

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		what();
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return status;
}

/* In a child nothing can be asserted but by how it ends: the line is told. */
#define MUST(condition)                                                          \
	do {                                                                     \
		if (!(condition)) {                                              \
			static const char text[] = "# not so: " #condition "\n"; \
			if (write(2, text, sizeof(text) - 1) < 0)                \
				_exit(2);                                        \
			_exit(1);                                                \
		}                                                                \
	} while (0)

static bool ended_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static void filter(bool gpu, bool threads, bool foreign)
{
	const struct confinement c = {.gpu = gpu, .may_thread = threads, .foreign = foreign};

	MUST(confine_calls(&c) == 0);
}

/* ----------------------------------------------------------- system calls */
static const int evil[] = {
	SYS_ptrace,     SYS_process_vm_readv, SYS_mount,       SYS_bpf,    SYS_keyctl,
	SYS_unshare,    SYS_perf_event_open,  SYS_userfaultfd, SYS_setns,  SYS_open_by_handle_at,
	SYS_kexec_load, SYS_init_module,      SYS_personality, SYS_execve, SYS_kill,
	SYS_setresuid,  SYS_io_uring_setup,
};
static int evil_call;

static void do_evil_as_cpu(void)
{
	filter(false, true, false);
	syscall(evil_call, 0, 0, 0, 0, 0);
}

static void do_evil_as_gpu(void)
{
	filter(true, true, false);
	MUST(syscall(evil_call, 0, 0, 0, 0, 0) == -1 && errno == EPERM);
}

static void test_forbidden(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(evil); i++) {
		evil_call = evil[i];
		g_test_message("call %d", evil_call);
		g_assert_true(was_killed(in_child(do_evil_as_cpu)));
		g_assert_true(ended_well(in_child(do_evil_as_gpu)));
	}
}

static gpointer think(gpointer data)
{
	return data;
}

static void thread_as_cpu(void)
{
	filter(false, true, false);
	MUST(g_thread_join(g_thread_new("one", think, NULL)) == NULL);
}

static void thread_as_gpu(void)
{
	filter(true, true, false);
	MUST(g_thread_join(g_thread_new("one", think, NULL)) == NULL);
}

static void fork_as_cpu(void)
{
	filter(false, true, false);
	fork();
}

static void fork_as_gpu(void)
{
	filter(true, true, false);
	MUST(fork() == -1 && errno == EPERM);
}

/* Threads yes, processes no. */
static void test_threads(void)
{
	g_assert_true(ended_well(in_child(thread_as_cpu)));
	g_assert_true(ended_well(in_child(thread_as_gpu)));
	g_assert_true(was_killed(in_child(fork_as_cpu)));
	g_assert_true(ended_well(in_child(fork_as_gpu)));
}

static void inet_as_cpu(void)
{
	filter(false, false, false);
	MUST(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	socket(AF_INET, SOCK_STREAM, 0);
}

static void sockets_as_gpu(void)
{
	filter(true, true, false);
	MUST(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	MUST(socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM);
	MUST(socket(AF_INET6, SOCK_STREAM, 0) == -1 && errno == EPERM);
	MUST(socket(AF_VSOCK, SOCK_STREAM, 0) == -1 && errno == EPERM);
	MUST(socket(AF_ALG, SOCK_SEQPACKET, 0) == -1 && errno == EPERM);
}

static void test_sockets(void)
{
	g_assert_true(was_killed(in_child(inet_as_cpu)));
	g_assert_true(ended_well(in_child(sockets_as_gpu)));
}

static void files_as_cpu(void)
{
	filter(false, false, false);
	MUST(open("/etc/passwd", O_RDONLY) == -1 && errno == ENOENT);
	MUST(!isatty(0) && errno == ENOTTY);
}

/* What the C library may ask for is answered with a no, and kills nobody. */
static void test_absent(void)
{
	g_assert_true(ended_well(in_child(files_as_cpu)));
}

/* --------------------------------------------------------------- the whole */
static char *base;

static void confine_as(bool gpu, enum confine_mode mode, uid_t uid, uint32_t wanted)
{
	char *root = g_build_filename(base, "root", NULL);
	char *adopt = g_build_filename(base, "adopt", NULL);
	const struct confinement c = {.mode = mode,
				      .uid = uid,
				      .gid = uid,
				      .may_thread = true,
				      .processes = RLIM_INFINITY,
				      .gpu = gpu,
				      .root = root,
				      .adopt = adopt};
	uint32_t missing = 0;

	MUST(confine(&c, &missing, NULL));
	MUST(missing == wanted);
	g_free(root);
	g_free(adopt);
}

static bool is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static void live_as_gpu(void)
{
	confine_as(true, CONFINE_REQUIRE, SOMEBODY, 0);
	MUST(getuid() == SOMEBODY && geteuid() == SOMEBODY && getgid() == SOMEBODY);
	MUST(is_there("/usr/lib") && is_there("/dev/null") && is_there("/adopt"));
	MUST(is_there("/proc/self/maps") && is_there("/sys/devices"));
	/* Nothing of the host's that is not the driver's. */
	MUST(!is_there("/etc/passwd") && !is_there("/root") && !is_there("/home"));
	MUST(!is_there("/run") && !is_there("/var") && !is_there("/boot"));
	MUST(!is_there("/proc/1/status"));
	MUST(creat("/usr/x", 0600) == -1 && creat("/x", 0600) == -1);
	MUST(creat("/tmp/x", 0600) >= 0 && creat("/dev/shm/x", 0600) >= 0);
	MUST(open("/dev/null", O_RDWR) >= 0);
	MUST(setuid(0) == -1 && chroot("/") == -1);
}

static bool only_root(void)
{
	if (SANITIZED) {
		g_test_skip("a sanitizer cannot bear it");
		return false;
	}
	if (geteuid() != 0) {
		g_test_skip("only root can have all of it");
		return false;
	}
	return true;
}

static void test_gpu(void)
{
	if (only_root())
		g_assert_true(ended_well(in_child(live_as_gpu)));
}

static void live_as_nobody(void)
{
	MUST(setresgid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
	MUST(setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
	confine_as(true, CONFINE_TRY, (uid_t)-1,
		   CTL_CONFINED_USER | CTL_CONFINED_NAMESPACES | CTL_CONFINED_ROOT);
}

static void require_as_nobody(void)
{
	struct confinement c = {.mode = CONFINE_REQUIRE, .uid = (uid_t)-1, .gpu = true};
	GError *err = NULL;
	uint32_t missing;

	MUST(setresgid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
	MUST(setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
	MUST(!confine(&c, &missing, &err));
	MUST(strstr(err->message, "namespaces of its own cannot be had"));
}

/* A daemon that is not root goes on with what there is, or not at all. */
static void test_less(void)
{
	if (!only_root())
		return;
	g_assert_true(ended_well(in_child(live_as_nobody)));
	g_assert_true(ended_well(in_child(require_as_nobody)));
}

int main(int argc, char **argv)
{
	char *root, *adopt;
	int ret;

	g_test_init(&argc, &argv, NULL);
	base = g_dir_make_tmp("vgpu-confine-XXXXXX", NULL);
	root = g_build_filename(base, "root", NULL);
	adopt = g_build_filename(base, "adopt", NULL);
	g_mkdir(root, 0755);
	g_mkdir(adopt, 0755);
	if (VGPU_HAVE_SECCOMP && !SANITIZED) {
		g_test_add_func("/confine/forbidden", test_forbidden);
		g_test_add_func("/confine/threads", test_threads);
		g_test_add_func("/confine/sockets", test_sockets);
		g_test_add_func("/confine/absent", test_absent);
		g_test_add_func("/confine/less", test_less);
		g_test_add_func("/confine/gpu", test_gpu);
	} else {
		g_print("1..0 # SKIP without libseccomp, or with a sanitizer\n");
	}
	ret = VGPU_HAVE_SECCOMP && !SANITIZED ? g_test_run() : 0;
	g_rmdir(root);
	g_rmdir(adopt);
	g_rmdir(base);
	g_free(root);
	g_free(adopt);
	g_free(base);
	return ret;
}
