/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM by domain and frame, with a double of Xen's library behind the real module. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "double.h"
#include "foreign.h"
#include "memory.h"

#define PAGE 4096ull
#define DOMID 7u
#define PAGES (8 * FRAMES_CHUNK_PAGES) /* of the domain */
#define GPA (16 * FRAMES_CHUNK)        /* a region that is not at 0 */
#define REGION_PAGES (4 * FRAMES_CHUNK_PAGES + 3)

const struct vgpu_foreign_ops *vgpu_foreign_get(void);

struct fixture {
	char *path;
	int fd;
	struct frames frames;
	struct memory m;
};

static struct vgpu_mem_region by_domain(uint64_t gpa, uint64_t size, uint64_t generation)
{
	return (struct vgpu_mem_region){.guest_addr = gpa,
					.size = size,
					.xen_flags = VGPU_XEN_FOREIGN,
					.domid = DOMID,
					.user_addr = generation};
}

static int set_region(struct fixture *x, uint64_t generation)
{
	const struct vgpu_mem_region r = by_domain(GPA, REGION_PAGES * PAGE, generation);
	const int none = -1;
	unsigned int bad;

	return memory_replace(&x->m, &r, &none, 1, &bad);
}

static void set_up(struct fixture *x, gconstpointer data)
{
	const uint32_t most = data ? (uint32_t)GPOINTER_TO_UINT(data) : 16;
	struct vgpu_foreign *handle;
	GError *err = NULL;

	memset(&xen_double, 0, sizeof(xen_double));
	x->fd = g_file_open_tmp("frames-XXXXXX", &x->path, &err);
	g_assert_no_error(err);
	g_assert_cmpint(ftruncate(x->fd, (off_t)(GPA + PAGES * PAGE)), ==, 0);
	xen_double.path = x->path;
	g_assert_cmpint(vgpu_foreign_get()->open(&handle, DOMID, &err), ==, 0);
	g_assert_cmpint(frames_init(&x->frames, vgpu_foreign_get(), handle, DOMID, most), ==, 0);
	memset(&x->m, 0, sizeof(x->m));
	x->m.frames = &x->frames;
	g_assert_cmpint(set_region(x, 1), ==, 0);
	g_assert_cmpuint(xen_double.maps, ==, 0); /* nothing is mapped before it is named */
}

static void tear_down(struct fixture *x, gconstpointer data)
{
	(void)data;
	memory_clear(&x->m);
	g_assert_cmpuint(x->frames.nslots, ==, 0);
	frames_clear(&x->frames);
	g_assert_cmpuint(xen_double.handles, ==, 0);
	close(x->fd);
	g_unlink(x->path);
	g_free(x->path);
}

static void write_page(struct fixture *x, uint64_t page, uint64_t value)
{
	g_assert_cmpint(pwrite(x->fd, &value, sizeof(value), (off_t)(GPA + page * PAGE)), ==,
			sizeof(value));
}

static uint64_t at(struct fixture *x, uint64_t page)
{
	const uint64_t *p = memory_at(&x->m, GPA + page * PAGE, sizeof(*p));

	g_assert_nonnull(p);
	return *p;
}

static void test_at(struct fixture *x, gconstpointer data)
{
	uint64_t *p;

	(void)data;
	write_page(x, 0, 1);
	write_page(x, FRAMES_CHUNK_PAGES - 1, 2);
	write_page(x, FRAMES_CHUNK_PAGES, 3);
	write_page(x, REGION_PAGES - 1, 4);
	g_assert_cmpuint(at(x, 0), ==, 1);
	g_assert_cmpuint(at(x, FRAMES_CHUNK_PAGES - 1), ==, 2);
	g_assert_cmpuint(xen_double.maps, ==, 1);
	g_assert_cmpuint(at(x, FRAMES_CHUNK_PAGES), ==, 3);
	g_assert_cmpuint(at(x, REGION_PAGES - 1), ==, 4); /* the last chunk is a short one */
	g_assert_cmpuint(xen_double.maps, ==, 3);
	/* Across a border it is one piece. */
	p = memory_at(&x->m, GPA + (FRAMES_CHUNK_PAGES - 1) * PAGE, 2 * PAGE);
	g_assert_cmpuint(p[PAGE / 8], ==, 3);
	p[PAGE / 8] = 5;
	g_assert_cmpuint(at(x, FRAMES_CHUNK_PAGES), ==, 5);
	g_assert_null(memory_at(&x->m, GPA - 1, 1));
	g_assert_null(memory_at(&x->m, GPA + REGION_PAGES * PAGE - 1, 2));
	g_assert_null(memory_at(&x->m, GPA, UINT64_MAX));
}

/* Pages that are not there: no pointer to them is given out, others of the chunk work. */
static void test_missing(struct fixture *x, gconstpointer data)
{
	struct runs r = {0};

	(void)data;
	xen_double.missing = GPA / PAGE + 10;
	g_assert_null(memory_at(&x->m, GPA + 10 * PAGE, 1));
	g_assert_null(memory_at(&x->m, GPA + 9 * PAGE, PAGE + 1));
	g_assert_nonnull(memory_at(&x->m, GPA + 9 * PAGE, PAGE));
	g_assert_nonnull(memory_at(&x->m, GPA + 11 * PAGE, PAGE));
	g_assert_cmpint(memory_runs(&x->m, GPA, 20 * PAGE, &r), ==, 0);
	g_assert_cmpint(memory_touch(&x->m, &r), ==, -EFAULT);
	/* It appears: seen at once, though the request has used others of its chunk. */
	xen_double.missing = 0;
	g_assert_cmpint(memory_touch(&x->m, &r), ==, 0);
	runs_free(&r);
}

/* ... but not while a copy of an earlier request goes on in that chunk. */
static void test_missing_held(struct fixture *x, gconstpointer data)
{
	struct frames_hold hold = {0};

	(void)data;
	xen_double.missing = GPA / PAGE + 10;
	g_assert_nonnull(memory_at(&x->m, GPA, 1));
	memory_keep(&x->m, &hold);
	memory_release(&x->m);
	xen_double.missing = 0;
	g_assert_nonnull(memory_at(&x->m, GPA, 1));
	g_assert_null(memory_at(&x->m, GPA + 10 * PAGE, 1));
	memory_let_go(&x->m, &hold);
	g_assert_nonnull(memory_at(&x->m, GPA + 10 * PAGE, 1));
}

static void test_dead(struct fixture *x, gconstpointer data)
{
	(void)data;
	write_page(x, 0, 1);
	g_assert_cmpuint(at(x, 0), ==, 1);
	xen_double.dead = true;
	g_assert_cmpuint(at(x, 0), ==, 1); /* what is mapped stays */
	g_assert_null(memory_at(&x->m, GPA + FRAMES_CHUNK, 1));
	g_assert_null(memory_fix(&x->m, GPA, PAGE));
	memory_release(&x->m);
	g_assert_null(memory_at(&x->m, GPA + FRAMES_CHUNK, 1));
}

/* The place of a region stays, with room for one chunk only. */
static void test_bound(struct fixture *x, gconstpointer data)
{
	struct frames_hold hold = {0};
	struct runs r = {0};
	uint8_t *first;

	(void)data;
	for (uint64_t i = 0; i < 4; i++)
		write_page(x, i * FRAMES_CHUNK_PAGES, 100 + i);
	first = memory_at(&x->m, GPA, 1);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 4; i++) {
			memory_release(&x->m);
			g_assert_cmpuint(at(x, i * FRAMES_CHUNK_PAGES), ==, 100 + i);
			g_assert_cmpuint(x->frames.nslots, ==, 1);
		}
	}
	g_assert_true(memory_at(&x->m, GPA, 1) == NULL); /* the other is of this request, too */
	memory_release(&x->m);
	g_assert_true(memory_at(&x->m, GPA, 1) == first);
	/* A copy that goes on keeps what its request touched, and lets go of it. */
	memory_keep(&x->m, &hold);
	memory_release(&x->m);
	g_assert_null(memory_at(&x->m, GPA + FRAMES_CHUNK, 1));
	g_assert_cmpint(memory_runs(&x->m, GPA + FRAMES_CHUNK, PAGE, &r), ==, 0);
	g_assert_cmpint(memory_touch(&x->m, &r), ==, -ENOMEM);
	memory_let_go(&x->m, &hold);
	memory_let_go(&x->m, &hold);
	memory_release(&x->m);
	g_assert_cmpint(memory_touch(&x->m, &r), ==, 0);
	runs_free(&r);
}

/* Other pages are there now, as after a balloon: seen anew, except by a copy under way. */
static void test_renewed(struct fixture *x, gconstpointer data)
{
	struct frames_hold hold = {0};
	unsigned int maps;
	uint8_t *before;

	(void)data;
	before = memory_at(&x->m, GPA, 1);
	maps = xen_double.maps;
	memory_release(&x->m);
	g_assert_cmpint(set_region(x, 1), ==, 0);
	g_assert_true(memory_at(&x->m, GPA, 1) == before);
	g_assert_cmpuint(xen_double.maps, ==, maps);
	memory_release(&x->m);
	g_assert_cmpint(set_region(x, 2), ==, 0);
	g_assert_cmpuint(x->frames.nslots, ==, 0);
	g_assert_true(memory_at(&x->m, GPA, 1) == before);
	g_assert_cmpuint(xen_double.maps, ==, maps + 1);

	memory_keep(&x->m, &hold);
	memory_release(&x->m);
	g_assert_cmpint(set_region(x, 3), ==, 0);
	g_assert_cmpuint(x->frames.nslots, ==, 1); /* in use */
	g_assert_nonnull(memory_at(&x->m, GPA, 1));
	g_assert_cmpuint(xen_double.maps, ==, maps + 1);
	memory_let_go(&x->m, &hold);
	memory_release(&x->m);
	g_assert_nonnull(memory_at(&x->m, GPA, 1));
	g_assert_cmpuint(xen_double.maps, ==, maps + 2);
}

/* What is always in use has maps of its own, at any alignment, however often it is asked for. */
static void test_fixed(struct fixture *x, gconstpointer data)
{
	uint64_t *ring, *table;

	(void)data;
	write_page(x, 3, 1);
	ring = memory_fix(&x->m, GPA + 3 * PAGE, 4 * PAGE);
	g_assert_cmpuint(*ring, ==, 1);
	table = memory_fix(&x->m, GPA + 8 * PAGE + 64, 2 * PAGE);
	g_assert_nonnull(table);
	*table = 9;
	g_assert_cmpuint(at(x, 8), ==, 0);
	g_assert_cmpuint(((uint64_t *)memory_at(&x->m, GPA + 8 * PAGE, 100))[8], ==, 9);
	g_assert_true(memory_fix(&x->m, GPA + 3 * PAGE, 4 * PAGE) == (void *)ring);
	g_assert_null(memory_fix(&x->m, GPA + 20 * PAGE, PAGE)); /* there are two */
	g_assert_cmpint(set_region(x, 2), ==, 0);
	g_assert_true(memory_fix(&x->m, GPA + 3 * PAGE, 4 * PAGE) == (void *)ring);
	*ring = 2;
	g_assert_cmpuint(at(x, 3), ==, 2);
}

static void test_alias(struct fixture *x, gconstpointer data)
{
	const uint64_t length = (FRAMES_CHUNK_PAGES + 7) * PAGE;
	struct runs r = {0};
	uint8_t *to = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)data;
	g_assert_cmpint(memory_runs(&x->m, GPA + PAGE, length, &r), ==, 0);
	g_assert_cmpuint(r.n, ==, 1);
	g_assert_cmpint(memory_alias(&x->m, r.run[0].base, length, to), ==, 0);
	to[length - 1] = 0x55;
	g_assert_cmpint(memory_touch(&x->m, &r), ==, 0);
	g_assert_cmpint(r.run[0].base[length - 1], ==, 0x55);
	xen_double.missing = GPA / PAGE + 3;
	g_assert_cmpint(memory_alias(&x->m, r.run[0].base, length, to), ==, -EFAULT);
	munmap(to, length);
	runs_free(&r);
}

/* Other domains, and none. */
static void test_refused(struct fixture *x, gconstpointer data)
{
	struct vgpu_mem_region r = by_domain(GPA, PAGE, 1);
	struct vgpu_foreign *handle;
	const int none = -1;
	unsigned int bad;
	GError *err = NULL;
	int pages[VGPU_FOREIGN_PAGES_MAX];

	(void)data;
	r.domid = DOMID + 1;
	g_assert_cmpint(memory_replace(&x->m, &r, &none, 1, &bad), ==, -EPERM);
	r.domid = DOMID;
	r.guest_addr++;
	g_assert_cmpint(memory_replace(&x->m, &r, &none, 1, &bad), ==, -EINVAL);
	r = by_domain(0, 1ull << 60, 1); /* more than there is address space */
	g_assert_cmpint(memory_replace(&x->m, &r, &none, 1, &bad), ==, -ENOMEM);
	x->m.frames = NULL;
	g_assert_cmpint(memory_replace(&x->m, &r, &none, 1, &bad), ==, -EOPNOTSUPP);
	x->m.frames = &x->frames;

	errno = 0;
	g_assert_null(
		x->frames.ops->map(x->frames.handle, NULL, 0, VGPU_FOREIGN_PAGES_MAX + 1, pages));
	g_assert_cmpint(errno, ==, EINVAL);
	xen_double.refuse_restrict = true;
	g_assert_cmpint(x->frames.ops->open(&handle, DOMID, &err), ==, -ENOTTY);
	g_assert_nonnull(strstr(err->message, "restricted"));
	g_clear_error(&err);
	xen_double.refuse_open = true;
	g_assert_cmpint(x->frames.ops->open(&handle, DOMID, &err), ==, -EACCES);
	g_assert_nonnull(strstr(err->message, "/dev/xen/privcmd"));
	g_clear_error(&err);
}

/* Buffers: mapped when a request uses them, again in the next, and an error if they are gone. */
static void test_buffers(struct fixture *x, gconstpointer data)
{
	const struct vgpu_desc desc = {.length = 2 * FRAMES_CHUNK};
	struct vgpu_buffer_entry *table;
	struct vgpu_segment_page *page;
	struct vgpu_operand op;
	struct buffers b;

	(void)data;
	table = memory_fix(&x->m, GPA, PAGE);
	page = memory_at(&x->m, GPA + PAGE, PAGE);
	*page = (struct vgpu_segment_page){.count = 2};
	page->seg[0].addr = GPA + 2 * FRAMES_CHUNK;
	page->seg[1].addr = GPA + FRAMES_CHUNK;
	page->seg[0].length = page->seg[1].length = FRAMES_CHUNK;
	*table = (struct vgpu_buffer_entry){.generation = 1,
					    .flags = VGPU_BUFFER_READ,
					    .length = 2 * FRAMES_CHUNK,
					    .list = GPA + PAGE,
					    .nsegments = 2};
	memory_release(&x->m);
	g_assert_cmpint(buffers_init(&b, &x->m, table, 1), ==, 0);
	for (int i = 0; i < 3; i++) {
		g_assert_cmpint(buffers_get(&b, &desc, VGPU_BUFFER_READ, 4, &op), ==, 0);
		g_assert_cmpuint(op.nruns, ==, 2);
		write_page(x, FRAMES_CHUNK_PAGES, 40 + (uint64_t)i);
		g_assert_cmpuint(*(uint64_t *)op.run[1].base, ==, 40 + (uint64_t)i);
		buffers_release(&b);
		/* Others need the room. */
		g_assert_nonnull(memory_at(&x->m, GPA, 1));
		g_assert_nonnull(memory_at(&x->m, GPA + 3 * FRAMES_CHUNK, 1));
		memory_release(&x->m);
	}
	xen_double.dead = true;
	g_assert_cmpint(buffers_get(&b, &desc, VGPU_BUFFER_READ, 4, &op), ==, -EFAULT);
	buffers_release(&b);
	buffers_free(&b);
}

#define TEST(name, most, fn) \
	g_test_add("/frames/" name, struct fixture, GUINT_TO_POINTER(most), set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("at", 0, test_at);
	TEST("missing", 0, test_missing);
	TEST("missing-held", 0, test_missing_held);
	TEST("dead", 0, test_dead);
	TEST("bound", 1, test_bound);
	TEST("renewed", 0, test_renewed);
	TEST("fixed", 0, test_fixed);
	TEST("alias", 0, test_alias);
	TEST("refused", 0, test_refused);
	TEST("buffers", 3, test_buffers);
	return g_test_run();
}
