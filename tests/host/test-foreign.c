/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM by domain, through the real daemon and a real worker, with a double
 * of Xen's library under the worker's module: the domain's memory is a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend.h"

#define MIB (1024u * 1024)
#define RW (VGPU_BUFFER_READ | VGPU_BUFFER_WRITE)
#define DOMID 7u
#define RAM (8 * MIB)
#define N 1024u

struct fixture {
	char *path; /* of the domain's memory */
	struct daemon_proc *p;
};

static char *config(const char *domains, uid_t base)
{
	return g_strdup_printf("[backend]\nbackend=cpu\nlibrary-dir=%s\n[xen]\ndomains=%s\n"
			       "uid-base=%u\n",
			       g_getenv("XEN_DOUBLE_DIR"), domains, (unsigned int)base);
}

/* A daemon for which our user stands for DOMID; as root that cannot be. */
static char *config_for_us(void)
{
	return getuid() > DOMID ? config("user", getuid() - DOMID) : config("root", 100000);
}

static void set_up(struct fixture *x, gconstpointer data)
{
	char *text = data ? config(data, 100000) : config_for_us();
	GError *err = NULL;
	int fd = g_file_open_tmp("domain-XXXXXX", &x->path, &err);

	g_assert_no_error(err);
	g_assert_cmpint(ftruncate(fd, (off_t)(FRONTEND_GPA + RAM)), ==, 0);
	close(fd);
	g_setenv("XEN_DOUBLE_MEMORY", x->path, TRUE);
	x->p = daemon_start(text);
	g_free(text);
}

static void tear_down(struct fixture *x, gconstpointer data)
{
	(void)data;
	daemon_stop(x->p);
	g_unlink(x->path);
	g_free(x->path);
}

static struct vgpu_mem_region whole(uint32_t domid)
{
	return (struct vgpu_mem_region){.guest_addr = FRONTEND_GPA,
					.size = RAM,
					.xen_flags = VGPU_XEN_FOREIGN,
					.domid = domid};
}

/* Connects, offers XEN_MMAP, and has the domain's memory in hand as its kernel has. */
static struct frontend *connect_as_xen(struct fixture *x)
{
	struct frontend *f = frontend_connect(x->p, "dom7");
	struct vgpu_msg_hello h;

	frontend_fill_hello(f, &h);
	h.protocol_features |= VGPU_PF_XEN_MMAP;
	g_assert_cmpint(frontend_hello(f, &h), ==, 0);
	f->ram_fd = open(x->path, O_RDWR | O_CLOEXEC);
	f->ram =
		mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, f->ram_fd, (off_t)FRONTEND_GPA);
	g_assert_true(f->ram != MAP_FAILED);
	f->ram_size = RAM;
	return f;
}

static struct frontend *new_xen(struct fixture *x)
{
	struct frontend *f = connect_as_xen(x);
	const struct vgpu_mem_region r = whole(DOMID);

	g_assert_true(f->hello.protocol_features & VGPU_PF_XEN_MMAP);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, 0);
	return f;
}

/* c = a + b in three buffers, checked. */
static int add(struct fqueue *q, float *const a[3], float value)
{
	const struct vgpu_vector_add body = {.elements = N};
	const struct vgpu_desc desc[3] = {{.buffer = 0, .length = N * 4},
					  {.buffer = 1, .length = N * 4},
					  {.buffer = 2, .length = N * 4}};
	struct vgpu_compute_result result;
	int status;

	for (uint32_t i = 0; i < N; i++) {
		a[0][i] = value;
		a[1][i] = (float)i;
		a[2][i] = -1;
	}
	status = fqueue_call(q, VGPU_CMD_VECTOR_ADD, desc, 3, &body, sizeof(body), &result,
			     sizeof(result));
	for (uint32_t i = 0; i < N && !status; i++)
		g_assert_cmpfloat(a[2][i], ==, value + (float)i);
	return status;
}

/* Buffers a MiB apart, so that each has a chunk of its own. */
static void make_buffers(struct fqueue *q, float *a[3])
{
	for (uint32_t i = 0; i < 3; i++) {
		a[i] = frontend_alloc(q->f, N * 4, MIB, NULL);
		buffer_set_flat(q, i, RW, a[i], N * 4);
	}
}

static void test_work(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x);
	struct fqueue *q = fqueue_new(f, 0, 256, 8);
	float *a[3];

	(void)data;
	make_buffers(q, a);
	g_assert_cmpint(add(q, a, 1), ==, 0);
	g_assert_cmpint(add(q, a, 2), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* The register session has no business with the domain. */
static void test_registers(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x);
	struct fqueue *q = fqueue_new_registers(f);

	(void)data;
	g_assert_cmpint(fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* Told that pages have changed, the session goes on, and with what is there now. */
static void test_renewed(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x);
	struct fqueue *q = fqueue_new(f, 0, 256, 8);
	const struct vgpu_mem_region r = whole(DOMID);
	float *a[3];

	(void)data;
	make_buffers(q, a);
	for (int i = 0; i < 20; i++) {
		g_assert_cmpint(add(q, a, (float)i), ==, 0);
		g_assert_cmpint(frontend_mem_add(f, &r, -1), ==, 0);
		g_usleep(2000);
	}
	fqueue_end(q);
	frontend_free(f);
}

/* Pages that vanish: what is named later fails, and the session lives. */
static void test_vanished(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x);
	struct fqueue *q = fqueue_new(f, 0, 256, 8);
	float *a[3];

	(void)data;
	make_buffers(q, a);
	g_assert_cmpint(add(q, a, 1), ==, 0);
	buffer_unset(q, 2);
	buffer_set_flat(q, 2, RW, f->ram + RAM - MIB, N * 4);
	g_assert_cmpint(ftruncate(f->ram_fd, (off_t)(FRONTEND_GPA + RAM - MIB)), ==, 0);
	a[2] = g_new(float, N); /* ours is gone as well */
	g_assert_cmpint(add(q, a, 2), ==, -EFAULT);
	g_assert_cmpint(fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0), ==, 0);
	fqueue_end(q);
	frontend_free(f);
	g_free(a[2]);
}

/* A queue that lies in no page there is. */
static void test_no_queue(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x);
	struct fqueue *q = fqueue_prepare(f, 0, 256, 0);

	(void)data;
	q->start.ring_addr = FRONTEND_GPA + RAM - 4096;
	g_assert_cmpint(ftruncate(f->ram_fd, (off_t)FRONTEND_GPA + MIB), ==, 0);
	g_assert_cmpint(fqueue_start(q), ==, -EFAULT);
	fqueue_free(q);
	frontend_free(f);
}

/* A restarted daemon finds the worker again; it has the way to the domain still. */
static void test_restart(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x), *again;
	struct fqueue *q = fqueue_new(f, 0, 256, 8);
	const struct vgpu_mem_region r = whole(DOMID);
	int sock = f->sock;
	float *a[3];

	(void)data;
	make_buffers(q, a);
	daemon_crash(x->p);
	g_assert_cmpint(add(q, a, 1), ==, 0);
	daemon_again(x->p);
	again = frontend_connect(x->p, "dom7");
	f->sock = again->sock;
	again->sock = sock;
	frontend_free(again);
	{
		struct vgpu_msg_hello h;

		frontend_fill_hello(f, &h);
		h.protocol_features |= VGPU_PF_XEN_MMAP;
		g_assert_cmpint(frontend_hello(f, &h), ==, 0);
	}
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, 0);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(add(q, a, 2), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* Other domains, dom0, grants, numbers that are none: nothing is taken over. */
static void test_refused(struct fixture *x, gconstpointer data)
{
	struct frontend *f = new_xen(x);
	struct vgpu_mem_region r = whole(DOMID + 1);
	struct fqueue *q;

	(void)data;
	r.guest_addr += RAM;
	g_assert_cmpint(frontend_mem_add(f, &r, -1), ==, -EINVAL);
	daemon_expect_log(x->p, "may not name memory of this domain");
	r = whole(DOMID + 1);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	r = whole(0);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	r = whole(VGPU_XEN_DOMID_END);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	r = whole(DOMID);
	r.xen_flags = VGPU_XEN_GRANT;
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	r = whole(DOMID);
	r.mmap_offset = 4096;
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	/* The table is what it was. */
	q = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* A region by domain with a descriptor, and the other way round, break the protocol. */
static void test_descriptors(struct fixture *x, gconstpointer data)
{
	struct vgpu_msg_mem_region m = {.region = whole(DOMID)};
	struct frontend *f = new_xen(x);

	(void)data;
	frontend_send(f, VGPU_MSG_ADD_MEM_REG, 0, &m, sizeof(m), &f->ram_fd, 1);
	frontend_expect_closed(f);
	frontend_free(f);
	f = new_xen(x);
	m.region.xen_flags = m.region.domid = 0;
	frontend_send(f, VGPU_MSG_ADD_MEM_REG, 0, &m, sizeof(m), NULL, 0);
	frontend_expect_closed(f);
	frontend_free(f);
}

/* Unless the configuration says otherwise nobody may; "user" does not mean root. */
static void test_not_allowed(struct fixture *x, gconstpointer data)
{
	struct frontend *f = connect_as_xen(x);
	const struct vgpu_mem_region r = whole(DOMID);

	(void)data;
	g_assert_false(f->hello.protocol_features & VGPU_PF_XEN_MMAP);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	daemon_expect_log(x->p, "not agreed upon");
	frontend_free(f);
}

/* One that is called is taken for the domain that its place was made for, whatever it names. */
static void call_xen(struct fixture *x, const char *place, bool may)
{
	int listener = frontend_wait_place(x->p, place);
	struct frontend *f = frontend_connect(x->p, "dom7");
	struct vgpu_mem_region r = whole(DOMID + 1);
	struct vgpu_msg_hello h;

	daemon_crash(x->p);
	daemon_again(x->p);
	frontend_be_called(f, listener);
	frontend_fill_hello(f, &h);
	h.protocol_features |= VGPU_PF_XEN_MMAP;
	g_assert_cmpint(frontend_hello(f, &h), ==, 0);
	g_assert_true(!!(f->hello.protocol_features & VGPU_PF_XEN_MMAP) == may);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, -EINVAL);
	r = whole(DOMID);
	g_assert_cmpint(frontend_mem_table(f, &r, NULL, 1), ==, may ? 0 : -EINVAL);
	frontend_free(f);
	close(listener);
}

static void test_called(struct fixture *x, gconstpointer data)
{
	(void)data;
	if (getuid() != 0) {
		g_test_skip("only root may name any domain");
		return;
	}
	call_xen(x, "xen-7-1-0", true);
	call_xen(x, "vm-1-0", false);
	call_xen(x, "xen-0-1-0", false);
	call_xen(x, "xen-99999-1-0", false);
}

#define TEST(path, domains, fn) \
	g_test_add("/host/foreign/" path, struct fixture, domains, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("work", NULL, test_work);
	TEST("called", "root", test_called);
	TEST("registers", NULL, test_registers);
	TEST("renewed", NULL, test_renewed);
	TEST("vanished", NULL, test_vanished);
	TEST("no-queue", NULL, test_no_queue);
	TEST("restart", NULL, test_restart);
	TEST("refused", NULL, test_refused);
	TEST("descriptors", NULL, test_descriptors);
	TEST("none", "none", test_not_allowed);
	TEST("user", "user", test_not_allowed);
	return g_test_run();
}
