/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may use the GPU: by socket, by user, not at all; and how that changes while sessions run. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend.h"

#define MIB (1024u * 1024)
#define CPU "[backend]\nbackend=cpu\n"
#define STRANGER 54321

static int nop(struct fqueue *q)
{
	return fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0);
}

/* A connection to another socket of the daemon, and as another user. */
static struct frontend *knock(const struct daemon_proc *p, const char *socket, uid_t user,
			      const char *name)
{
	struct daemon_proc at = *p;
	struct frontend *f;

	at.socket = socket ? (char *)socket : p->socket;
	g_assert_cmpint(seteuid(user), ==, 0);
	f = frontend_connect(&at, name);
	g_assert_cmpint(seteuid(getuid()), ==, 0);
	return f;
}

static int hello(struct frontend *f)
{
	struct vgpu_msg_hello h;

	frontend_fill_hello(f, &h);
	return frontend_hello(f, &h);
}

static void expect_refused(const struct daemon_proc *p, const char *socket, uid_t user)
{
	struct frontend *f = knock(p, socket, user, "vm1");
	char *words = g_strdup_printf("users=%u", user);

	g_assert_cmpint(hello(f), ==, -EACCES);
	g_assert_nonnull(strstr(f->hello.status.reason, "no tenant"));
	g_assert_nonnull(strstr(f->hello.status.reason, words));
	frontend_expect_closed(f);
	frontend_free(f);
	g_free(words);
}

/* Its session works, and ends. */
static void expect_served(const struct daemon_proc *p, const char *socket, uid_t user)
{
	struct frontend *f = knock(p, socket, user, "guest");
	struct fqueue *q;

	g_assert_cmpint(hello(f), ==, 0);
	q = fqueue_new_registers(f);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

static char *own_socket(const struct daemon_proc *p, const char *name)
{
	return g_strdup_printf("%s/%s.sock", p->dir, name);
}

/* A tenant with a socket of its own, and more lines. */
static void put_socket(const struct daemon_proc *p, const char *name, const char *more)
{
	char *text = g_strdup_printf("[tenant]\nsocket=%s/%s.sock\n%s", p->dir, name, more);

	daemon_tenant(p, name, text);
	g_free(text);
}

static void forget_log(const struct daemon_proc *p)
{
	g_assert_cmpint(truncate(p->log, 0), ==, 0);
}

static void reload(struct daemon_proc *p, const char *words)
{
	forget_log(p);
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, words);
}

/* Strangers must get as far as the socket. */
static struct daemon_proc *start(const char *tenant)
{
	struct daemon_proc *p = daemon_start_closed(CPU "[daemon]\nsocket-mode=0666\n", tenant);

	g_assert_cmpint(chmod(p->dir, 0711), ==, 0);
	return p;
}

/* Without a word of the administrator nobody gets in, and both sides read why. */
static void test_nobody(void)
{
	struct daemon_proc *p = start(NULL);

	g_assert_true(daemon_log_has(p, "nobody may use the GPU: there is no tenant in"));
	expect_refused(p, NULL, getuid());
	daemon_expect_log(p, "device refused: no tenant");
	daemon_stop(p);
}

static void test_open(void)
{
	struct daemon_proc *p = daemon_start(CPU "[daemon]\nsocket-mode=0666\n");

	g_assert_cmpint(chmod(p->dir, 0711), ==, 0);
	g_assert_true(daemon_log_has(p, "WARNING OPEN: everybody"));
	expect_served(p, NULL, getuid());
	expect_served(p, NULL, STRANGER);
	daemon_expect_log(p, "tenant open:");
	daemon_stop(p);
}

/* By the kernel's word about the user, whatever the device says of itself. */
static void test_by_user(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=54321\n");

	expect_served(p, NULL, STRANGER);
	daemon_expect_log(p, "uid 54321 tenant vm1");
	expect_refused(p, NULL, getuid());
	expect_refused(p, NULL, STRANGER + 1);
	daemon_stop(p);
}

static void test_by_socket(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=54321\n");
	char *path = own_socket(p, "vm2");
	struct stat st;

	put_socket(p, "vm2", "socket-mode=0606\nsocket-user=54321\nsocket-group=54322\n");
	reload(p, "2 tenants in");
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0606);
	g_assert_cmpuint(st.st_uid, ==, 54321);
	g_assert_cmpuint(st.st_gid, ==, 54322);
	expect_served(p, path, getuid());
	daemon_expect_log(p, "tenant vm2");
	/* Who is vm1 elsewhere is vm2 here. */
	forget_log(p);
	expect_served(p, path, STRANGER);
	daemon_expect_log(p, "uid 54321 tenant vm2");
	expect_refused(p, NULL, getuid());
	put_socket(p, "vm2", "");
	reload(p, "2 tenants in");
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0660);
	g_assert_cmpuint(st.st_uid, ==, getuid());
	daemon_stop(p);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	g_free(path);
}

static void test_limits(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n[limits]\nsessions=2\nqueue-depth=512\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct frontend *g = frontend_new(p, "same", 4 * MIB);
	struct fqueue *one = fqueue_new(f, 0, 512, 0), *two = fqueue_new(g, 0, 256, 0);
	struct fqueue *three = fqueue_prepare(f, 1, 256, 0), *deep = fqueue_prepare(f, 2, 1024, 0);

	/* All devices of the tenant together. */
	g_assert_cmpint(fqueue_start(three), ==, -EUSERS);
	g_assert_nonnull(strstr(three->reason, "2 sessions"));
	g_assert_cmpint(fqueue_start(deep), ==, -EDQUOT);
	fqueue_end(two);
	g_assert_cmpint(fqueue_start(three), ==, 0);
	g_assert_cmpint(nop(three), ==, 0);
	fqueue_end(three);
	fqueue_end(one);
	fqueue_free(deep);
	frontend_free(f);
	frontend_free(g);
	daemon_stop(p);
}

/* How many workers were started for a GPU. */
static guint workers_on(const struct daemon_proc *p, guint gpu)
{
	char *wanted = g_strdup_printf("--device=%u", gpu);
	GArray *pids = daemon_workers(p);
	guint n = 0;

	for (guint i = 0; i < pids->len; i++) {
		char *path = g_strdup_printf("/proc/%d/cmdline", g_array_index(pids, pid_t, i));
		char *text = NULL;
		gsize length = 0;

		if (g_file_get_contents(path, &text, &length, NULL))
			n += memmem(text, length, wanted, strlen(wanted) + 1) != NULL;
		g_free(text);
		g_free(path);
	}
	g_array_free(pids, TRUE);
	g_free(wanted);
	return n;
}

/* Several GPUs: each session goes where its tenant may, and counts again after a restart. */
static void test_placement(void)
{
	struct daemon_proc *p = daemon_start_closed(
		CPU "devices=5;6\n", "[tenant]\nusers=0\n[allowed]\nplacement=spread\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *one = fqueue_new(f, 0, 256, 0), *two = fqueue_new(f, 1, 256, 0), *three;

	g_assert_cmpuint(workers_on(p, 5), ==, 1);
	g_assert_cmpuint(workers_on(p, 6), ==, 1);
	fqueue_end(two);
	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(one), ==, 0);
	two = fqueue_new(f, 1, 256, 0);
	g_assert_cmpuint(workers_on(p, 6), ==, 1);
	daemon_tenant(p, "vm1", "[tenant]\nusers=0\n[allowed]\ngpus=6;9\n");
	reload(p, "1 tenants in");
	three = fqueue_new(f, 2, 256, 0);
	g_assert_cmpuint(workers_on(p, 6), ==, 2);
	fqueue_end(three);
	daemon_tenant(p, "vm1", "[tenant]\nusers=0\n[allowed]\ngpus=9\n");
	reload(p, "1 tenants in");
	three = fqueue_prepare(f, 2, 256, 0);
	g_assert_cmpint(fqueue_start(three), ==, -ENODEV);
	g_assert_nonnull(strstr(three->reason, "none of the GPUs"));
	fqueue_free(three);
	fqueue_end(one);
	fqueue_end(two);
	frontend_free(f);
	daemon_stop(p);
}

/* A file that a process has mapped: where, how ("rw-s"), and which. */
struct mapping {
	char range[64];
	char how[5];
	unsigned long inode;
};

static struct mapping find_mapping(pid_t pid, const char *name)
{
	char *path = g_strdup_printf("/proc/%d/maps", (int)pid);
	struct mapping m = {0};
	char *text = NULL, *line;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	line = strstr(text, name);
	if (line) {
		while (line > text && line[-1] != '\n')
			line--;
		g_assert_cmpint(sscanf(line, "%63s %4s %*s %*s %lu", m.range, m.how, &m.inode), ==,
				3);
	}
	g_free(text);
	g_free(path);
	return m;
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

/* A worker reads its limits and cannot write them, not even one that is root. */
static void test_pages(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	pid_t pid = only_worker(p);
	struct mapping limits = find_mapping(pid, "memfd:vgpu-limits");
	struct mapping usage = find_mapping(pid, "memfd:vgpu-usage");
	char *path = g_strdup_printf("/proc/%d/map_files/%s", (int)pid, limits.range);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpstr(limits.how, ==, "r--s");
	g_assert_cmpstr(usage.how, ==, "rw-s");
	if (fd >= 0) {
		g_assert_cmpint(write(fd, "x", 1), ==, -1);
		g_assert_cmpint(errno, ==, EPERM);
		g_assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
		g_assert_cmpint(ftruncate(fd, 0), ==, -1);
		close(fd);
	} else {
		g_test_message("the file cannot be opened here: %s", g_strerror(errno));
	}
	g_free(path);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* One wrong file, and nothing of the whole takes effect. */
static void test_wrong_reload(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n[limits]\nsessions=2\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *one = fqueue_new(f, 0, 256, 0), *two;
	char *path = own_socket(p, "vm2");

	daemon_tenant(p, "vm1", "[tenant]\nusers=0\n[limits]\nsessions=1\n");
	put_socket(p, "vm2", "");
	daemon_tenant(p, "vm3", "[tenant]\nusers=0\n");
	reload(p, "not reloaded, nothing has changed: ");
	daemon_expect_log(p, "vm3.conf: [tenant] users: user 0 is tenant \"vm1\" already");
	two = fqueue_new(f, 1, 256, 0);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	/* So too if a socket cannot be had. */
	daemon_tenant(p, "vm3", "[tenant]\nsocket=/dev/null/vm3.sock\n");
	reload(p, "not reloaded, nothing has changed: ");
	daemon_expect_log(p, "vm3.conf: [tenant] socket: ");
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	g_assert_cmpint(nop(one), ==, 0);
	g_assert_cmpint(nop(two), ==, 0);
	fqueue_end(one);
	fqueue_end(two);
	frontend_free(f);
	daemon_stop(p);
	g_free(path);
}

/* A lowered limit keeps what runs from growing; whoever wants more than that says so. */
static void test_lowered(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n[limits]\nsessions=3\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *one = fqueue_new(f, 0, 256, 0), *two = fqueue_new(f, 1, 256, 0);
	struct fqueue *three = fqueue_prepare(f, 2, 256, 0);

	daemon_tenant(p, "vm1", "[tenant]\nusers=0\n[limits]\nsessions=1\n");
	reload(p, "1 tenants in");
	g_assert_cmpint(fqueue_start(three), ==, -EUSERS);
	g_assert_cmpint(nop(one), ==, 0);
	g_assert_cmpint(nop(two), ==, 0);
	daemon_tenant(p, "vm1", "[tenant]\nusers=0\n[limits]\nsessions=1\nover-limit=evict\n");
	reload(p, "1 tenants in");
	g_assert_cmpint(fqueue_expect_lost(two), ==, -EUSERS);
	g_assert_cmpint(nop(one), ==, 0);
	fqueue_free(two);
	fqueue_free(three);
	fqueue_end(one);
	frontend_free(f);
	daemon_stop(p);
}

/* Who is a tenant no more is gone, with all sessions; the others do not notice. */
static void test_removed(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n");
	char *path = own_socket(p, "vm2");
	struct frontend *f, *g;
	struct fqueue *mine, *other;

	put_socket(p, "vm2", "");
	reload(p, "2 tenants in");
	f = frontend_new(p, "one", 4 * MIB);
	g = knock(p, path, getuid(), "two");
	g_assert_cmpint(hello(g), ==, 0);
	mine = fqueue_new_registers(f);
	other = fqueue_new_registers(g);
	daemon_tenant(p, "vm2", NULL);
	reload(p, "tenant vm2: removed");
	fqueue_expect_hup(other);
	frontend_expect_closed(g);
	g_assert_cmpint(nop(mine), ==, 0);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	/* And it may come again. */
	put_socket(p, "vm2", "");
	reload(p, "2 tenants in");
	expect_served(p, path, getuid());
	fqueue_free(other);
	frontend_free(g);
	fqueue_end(mine);
	frontend_free(f);
	daemon_stop(p);
	g_free(path);
}

/* A user who becomes another tenant does not keep what the first one may. */
static void test_moved(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new_registers(f);

	daemon_tenant(p, "vm1", "[tenant]\nusers=1\n");
	daemon_tenant(p, "vm2", "[tenant]\nusers=0\n");
	reload(p, "it is no longer tenant vm1");
	fqueue_expect_hup(q);
	fqueue_free(q);
	frontend_free(f);
	forget_log(p);
	expect_served(p, NULL, getuid());
	daemon_expect_log(p, "tenant vm2");
	daemon_stop(p);
}

/* The door is closed while somebody is inside who nobody knows. */
static void test_closed(void)
{
	struct daemon_proc *p = start(NULL);
	struct frontend *f;
	struct fqueue *q;

	g_file_set_contents(p->config, CPU "[tenants]\nopen=true\n", -1, NULL);
	reload(p, "WARNING OPEN: everybody");
	f = frontend_new(p, "vm", 4 * MIB);
	q = fqueue_new_registers(f);
	g_file_set_contents(p->config, CPU, -1, NULL);
	reload(p, "it is no longer tenant open:");
	fqueue_expect_hup(q);
	expect_refused(p, NULL, getuid());
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

/* Crashed and started again: a session is its tenant's as before, with the pages of the new one. */
static void test_again(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0;54321\n[limits]\nsessions=1\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0), *more = fqueue_prepare(f, 1, 256, 0);

	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	/* It counts. */
	g_assert_cmpint(fqueue_start(more), ==, -EUSERS);
	/* The new daemon's pages, not those of the one before. */
	WAIT_UNTIL(find_mapping(only_worker(p), "memfd:vgpu-limits").inode ==
			   find_mapping(p->pid, "memfd:vgpu-limits").inode &&
		   find_mapping(only_worker(p), "memfd:vgpu-usage").inode ==
			   find_mapping(p->pid, "memfd:vgpu-usage").inode);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	g_assert_cmpint(fqueue_start(more), ==, 0);
	fqueue_end(more);
	frontend_free(f);
	daemon_stop(p);
}

/* A device that says another's number, as another tenant, gets nothing by it. */
static void test_again_stranger(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n");
	struct frontend *f, *g;
	struct fqueue *q;

	daemon_tenant(p, "vm2", "[tenant]\nusers=54321\n");
	reload(p, "2 tenants in");
	f = frontend_new(p, "vm", 4 * MIB);
	q = fqueue_new(f, 0, 256, 0);
	daemon_crash(p);
	daemon_again(p);
	g = knock(p, NULL, STRANGER, "vm");
	memcpy(g->uuid, f->uuid, sizeof(g->uuid));
	g_assert_cmpint(hello(g), ==, 0);
	q->f = g;
	g_assert_cmpint(fqueue_resume(q), ==, -ENOENT);
	q->f = f;
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(g);
	frontend_free(f);
	daemon_stop(p);
}

/* The tenant went while there was no daemon: so does its worker. */
static void test_again_removed(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	daemon_crash(p);
	daemon_tenant(p, "vm1", "[tenant]\nusers=54321\n");
	daemon_tenant(p, "vm2", "[tenant]\nusers=0\n");
	daemon_tenant(p, "vm1", NULL);
	daemon_again(p);
	daemon_expect_log(p, "its tenant is no longer there");
	fqueue_expect_hup(q);
	daemon_expect_workers(p, 0);
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

/* Runs --check-config; its exit status and all that it says. */
static int check(const struct daemon_proc *p, char **words)
{
	char *config = g_strdup_printf("--config=%s", p->config);
	char *tenants = g_strdup_printf("--tenants=%s", p->tenants);
	char *socket = g_strdup_printf("--socket-path=%s", p->socket);
	char *argv[] = {
		(char *)g_getenv("GPU_MEDIATOR"), "--check-config", config, tenants, socket, NULL};
	char *out = NULL, *complaints = NULL;
	int status;

	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &complaints,
				   &status, NULL));
	g_assert_true(WIFEXITED(status));
	*words = g_strconcat(out, complaints, NULL);
	g_free(out);
	g_free(complaints);
	g_free(config);
	g_free(tenants);
	g_free(socket);
	return WEXITSTATUS(status);
}

static void expect_words(const char *words, const char *wanted)
{
	if (!strstr(words, wanted))
		g_error("\"%s\" lacks \"%s\"", words, wanted);
}

static void test_check(void)
{
	struct daemon_proc *p = start("[tenant]\nusers=0\nlevel=low\n");
	char *words, *text = g_strdup_printf("[tenant]\nsocket=%s\n", p->socket);

	g_assert_cmpint(check(p, &words), ==, 0);
	expect_words(words, "tenant vm1: level low, memory 256 MiB, weight 25, 8 sessions, "
			    "classes builtin;memory;kernels, users 0\n");
	expect_words(words, "1 tenants in ");
	g_free(words);
	/* Every fault, not the first alone. */
	daemon_tenant(p, "vm2", "[tenant]\nlevel=root\n");
	daemon_tenant(p, "vm3", "[tenant]\nusers=0\n");
	daemon_tenant(p, "vm4", text);
	g_assert_cmpint(check(p, &words), ==, 1);
	expect_words(words, "vm2.conf: [tenant] level: \"root\" is not untrusted, low");
	expect_words(words, "vm3.conf: [tenant] users: user 0 is tenant \"vm1\" already");
	expect_words(words, "vm4.conf: [tenant] socket: ");
	expect_words(words, "is the one that all share");
	g_free(words);
	g_file_set_contents(p->config, "[daemon]\nlog-level=loud\n", -1, NULL);
	g_assert_cmpint(check(p, &words), ==, 1);
	expect_words(words, "[daemon] log-level: \"loud\" is not");
	expect_words(words, "the tenants were not looked at");
	g_free(words);
	g_free(text);
	daemon_stop(p);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (getuid() != 0) {
		g_print("1..0 # SKIP only root can be somebody else\n");
		return 0;
	}
	g_test_add_func("/tenants/nobody", test_nobody);
	g_test_add_func("/tenants/open", test_open);
	g_test_add_func("/tenants/by-user", test_by_user);
	g_test_add_func("/tenants/by-socket", test_by_socket);
	g_test_add_func("/tenants/limits", test_limits);
	g_test_add_func("/tenants/placement", test_placement);
	g_test_add_func("/tenants/pages", test_pages);
	g_test_add_func("/tenants/wrong-reload", test_wrong_reload);
	g_test_add_func("/tenants/lowered", test_lowered);
	g_test_add_func("/tenants/removed", test_removed);
	g_test_add_func("/tenants/moved", test_moved);
	g_test_add_func("/tenants/closed", test_closed);
	g_test_add_func("/tenants/again", test_again);
	g_test_add_func("/tenants/again-stranger", test_again_stranger);
	g_test_add_func("/tenants/again-removed", test_again_removed);
	g_test_add_func("/tenants/check", test_check);
	return g_test_run();
}
