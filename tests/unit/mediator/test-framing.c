/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's parser of messages, byte by byte and descriptor by descriptor. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "framing.h"

static unsigned int closed;

static void count_close(int fd)
{
	(void)fd;
	closed++;
}

struct message {
	struct vgpu_msg_header h;
	uint8_t payload[VGPU_MSG_PAYLOAD_MAX];
};

static struct message make(uint32_t request, uint32_t size)
{
	struct message m = {.h = {request, VGPU_SOCKET_VERSION, size}};

	return m;
}

/* Feeds all of a message in steps of at most `step`; the last result. */
static int feed(struct framing *f, const struct message *m, size_t step, const int *fds,
		size_t nfds, const char **why)
{
	const uint8_t *from = (const uint8_t *)m;
	size_t left = sizeof(m->h) + m->h.size;
	int ret = 0;

	*why = NULL;
	while (left && !ret) {
		size_t n;
		void *to = framing_room(f, &n);

		g_assert_cmpuint(n, >, 0);
		n = MIN(MIN(n, step), left);
		memcpy(to, from, n);
		ret = framing_added(f, n, fds, nfds, why);
		nfds = 0;
		from += n;
		left -= n;
	}
	g_assert_true((ret < 0) == (*why != NULL));
	if (ret == 1)
		g_assert_cmpuint(left, ==, 0);
	return ret;
}

static void say_hello(struct framing *f)
{
	struct message m = make(VGPU_MSG_HELLO, sizeof(struct vgpu_msg_hello));
	const char *why;

	framing_init(f);
	g_assert_cmpint(feed(f, &m, 4096, NULL, 0, &why), ==, 1);
	framing_next(f, count_close);
}

static void test_steps(void)
{
	struct message m = make(VGPU_MSG_HELLO, sizeof(struct vgpu_msg_hello));
	struct vgpu_msg_hello out;
	const char *why;

	for (size_t step = 1; step < 140; step++) {
		struct framing f;

		framing_init(&f);
		m.payload[100] = (uint8_t)step;
		g_assert_cmpint(feed(&f, &m, step, NULL, 0, &why), ==, 1);
		g_assert_cmpuint(framing_request(&f), ==, VGPU_MSG_HELLO);
		g_assert_false(framing_wants_reply(&f));
		framing_payload(&f, &out, sizeof(out));
		g_assert_cmpmem(&out, sizeof(out), m.payload, sizeof(out));
	}
}

static void test_fds(void)
{
	struct message m = make(VGPU_MSG_QUEUE_START, sizeof(struct vgpu_msg_queue_start));
	const int fds[2] = {11, 12};
	struct framing f;
	const char *why;

	say_hello(&f);
	m.h.flags |= VGPU_MSG_NEED_REPLY;
	g_assert_cmpint(feed(&f, &m, 7, fds, 2, &why), ==, 1);
	g_assert_true(framing_wants_reply(&f));
	g_assert_cmpint(framing_take_fd(&f, 1), ==, 12);
	g_assert_cmpint(framing_take_fd(&f, 1), ==, -1);
	g_assert_cmpint(framing_take_fd(&f, 2), ==, -1);
	closed = 0;
	framing_next(&f, count_close);
	g_assert_cmpuint(closed, ==, 1); /* the one that was not taken */
	framing_next(&f, count_close);
	g_assert_cmpuint(closed, ==, 1);
}

/* Whatever comes wrongly, every descriptor is closed and nothing is written beyond. */
static void test_too_many_fds(void)
{
	struct message m = make(VGPU_MSG_SET_MEM_TABLE, sizeof(struct vgpu_msg_mem_table));
	const int fds[8] = {11, 12, 13, 14, 15, 16, 17, 18};
	struct framing f;
	const char *why;
	size_t n;

	say_hello(&f);
	memcpy(framing_room(&f, &n), &m, 12);
	g_assert_cmpint(framing_added(&f, 12, fds, 8, &why), ==, 0);
	memset(framing_room(&f, &n), 0, 4);
	g_assert_cmpuint(n, ==, m.h.size);
	g_assert_cmpint(framing_added(&f, 4, fds, 8, &why), ==, -EPROTO);
	g_assert_cmpstr(why, ==, "descriptors in the midst of a message");
	closed = 0;
	framing_next(&f, count_close);
	g_assert_cmpuint(closed, ==, 16);
}

static void test_every_size(void)
{
	static const struct {
		uint32_t request, size, fds;
	} kinds[] = {{VGPU_MSG_ADD_MEM_REG, 48, 1},   {VGPU_MSG_REM_MEM_REG, 48, 0},
		     {VGPU_MSG_RESET_DEVICE, 0, 0},   {VGPU_MSG_QUEUE_START, 40, 2},
		     {VGPU_MSG_QUEUE_STOP, 16, 0},    {VGPU_MSG_QUEUE_RESUME, 16, 1},
		     {VGPU_MSG_SET_MEM_TABLE, 328, 0}};
	static const int fds[8] = {11, 12, 13, 14, 15, 16, 17, 18};

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		for (uint32_t size = 0; size <= 400; size++) {
			struct message m = make(kinds[i].request, size);
			struct framing f;
			const char *why;

			say_hello(&f);
			g_assert_cmpint(feed(&f, &m, 4096, fds, kinds[i].fds, &why), ==,
					size == kinds[i].size ? 1 : -EPROTO);
			framing_next(&f, count_close);
		}
		for (uint32_t n = 0; n <= 8 && kinds[i].size != 328; n++) {
			struct message m = make(kinds[i].request, kinds[i].size);
			struct framing f;
			const char *why;

			say_hello(&f);
			g_assert_cmpint(feed(&f, &m, 4096, fds, n, &why), ==,
					n == kinds[i].fds ? 1 : -EPROTO);
			framing_next(&f, count_close);
		}
	}
}

static void test_flags(void)
{
	for (uint32_t flags = 0; flags < 64; flags++) {
		struct message m = make(VGPU_MSG_RESET_DEVICE, 0);
		struct framing f;
		const char *why;

		say_hello(&f);
		m.h.flags = flags;
		g_assert_cmpint(feed(&f, &m, 4096, NULL, 0, &why), ==,
				flags == 1 || flags == 9 ? 1 : -EPROTO);
	}
}

static void test_table(void)
{
	static const int fds[8] = {11, 12, 13, 14, 15, 16, 17, 18};

	for (uint32_t n = 0; n < 12; n++) {
		for (uint32_t nfds = 0; nfds <= 8; nfds++) {
			struct message m =
				make(VGPU_MSG_SET_MEM_TABLE, sizeof(struct vgpu_msg_mem_table));
			struct vgpu_msg_mem_table t = {.nregions = n};
			struct framing f;
			const char *why;

			memcpy(m.payload, &t, sizeof(t));
			say_hello(&f);
			g_assert_cmpint(feed(&f, &m, 4096, fds, nfds, &why), ==,
					n == nfds ? 1 : -EPROTO);
			framing_next(&f, count_close);
		}
	}
}

static void test_order(void)
{
	struct message hello = make(VGPU_MSG_HELLO, sizeof(struct vgpu_msg_hello));
	struct message stop = make(VGPU_MSG_QUEUE_STOP, 16);
	struct framing f;
	const char *why;

	framing_init(&f);
	g_assert_cmpint(feed(&f, &stop, 4096, NULL, 0, &why), ==, -EPROTO);
	say_hello(&f);
	g_assert_cmpint(feed(&f, &hello, 4096, NULL, 0, &why), ==, -EPROTO);
}

static void test_names(void)
{
	g_assert_cmpstr(framing_name(VGPU_MSG_QUEUE_RESUME), ==, "QUEUE_RESUME");
	g_assert_cmpstr(framing_name(12345), ==, "unknown message");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/framing/steps", test_steps);
	g_test_add_func("/framing/fds", test_fds);
	g_test_add_func("/framing/too-many-fds", test_too_many_fds);
	g_test_add_func("/framing/every-size", test_every_size);
	g_test_add_func("/framing/flags", test_flags);
	g_test_add_func("/framing/table", test_table);
	g_test_add_func("/framing/order", test_order);
	g_test_add_func("/framing/names", test_names);
	return g_test_run();
}
