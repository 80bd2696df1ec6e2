/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device without a virtual machine: the socket and guest RAM. */
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdio.h"

#define SILENCE_MS 120000

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpuint(g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)), <,
			 sizeof(addr.sun_path));
	g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	return fd;
}

/* Takes the path. */
static struct frontend *connect_at(char *path, const char *name)
{
	struct frontend *f = g_new0(struct frontend, 1);

	f->path = path;
	f->sock = connect_to(path);
	f->ram_fd = -1;
	f->ram_gpa = FRONTEND_GPA;
	f->name = g_strdup(name);
	for (size_t i = 0; i < sizeof(f->uuid); i++)
		f->uuid[i] = (uint8_t)g_random_int();
	return f;
}

struct frontend *frontend_connect(const struct daemon_proc *p, const char *name)
{
	return connect_at(g_strdup(p->socket), name);
}

void frontend_make_ram(struct frontend *f, uint64_t size)
{
	f->ram_fd = memfd_create("test-ram", MFD_CLOEXEC);
	g_assert_cmpint(f->ram_fd, >=, 0);
	g_assert_cmpint(ftruncate(f->ram_fd, (off_t)size), ==, 0);
	f->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f->ram_fd, 0);
	g_assert_true(f->ram != MAP_FAILED);
	f->ram_size = size;
}

static void give_ram(struct frontend *f)
{
	const struct vgpu_mem_region r = {.guest_addr = f->ram_gpa, .size = f->ram_size};

	g_assert_cmpint(frontend_mem_table(f, &r, &f->ram_fd, 1), ==, 0);
}

static void introduce(struct frontend *f)
{
	struct vgpu_msg_hello h;

	frontend_fill_hello(f, &h);
	g_assert_cmpint(frontend_hello(f, &h), ==, 0);
}

static void come_back(struct frontend *f)
{
	introduce(f);
	if (f->ram)
		give_ram(f);
}

/* It comes for the first time. */
static struct frontend *come(struct frontend *f, uint64_t ram)
{
	if (ram)
		frontend_make_ram(f, ram);
	come_back(f);
	return f;
}

struct frontend *frontend_new(const struct daemon_proc *p, const char *name, uint64_t ram)
{
	return come(frontend_connect(p, name), ram);
}

struct frontend *frontend_new_own(const struct daemon_proc *p, const char *tenant, uint64_t ram)
{
	return come(connect_at(g_strdup_printf("%s/%s.sock", p->dir, tenant), tenant), ram);
}

void frontend_reconnect(struct frontend *f)
{
	fdio_clear(&f->sock);
	f->sock = connect_to(f->path);
	come_back(f);
}

int frontend_wait_place(const struct daemon_proc *p, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_snprintf(addr.sun_path, sizeof(addr.sun_path), "%s" VGPU_CALL_DIR "/%s", p->socket, name);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	return fd;
}

void frontend_be_called(struct frontend *f, int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	g_assert_cmpint(poll(&p, 1, SILENCE_MS), ==, 1);
	fdio_clear(&f->sock);
	f->sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	g_assert_cmpint(f->sock, >=, 0);
}

void frontend_return_called(struct frontend *f, int listener)
{
	frontend_be_called(f, listener);
	come_back(f);
}

void frontend_free(struct frontend *f)
{
	fdio_clear(&f->sock);
	fdio_clear(&f->ram_fd);
	if (f->ram)
		munmap(f->ram, f->ram_size);
	g_free(f->name);
	g_free(f->path);
	g_free(f);
}

void *frontend_alloc(struct frontend *f, uint64_t size, uint64_t align, uint64_t *gpa)
{
	uint64_t at = (f->ram_used + align - 1) & ~(align - 1);

	g_assert_cmpuint(at + size, <=, f->ram_size);
	f->ram_used = at + size;
	memset(f->ram + at, 0, size);
	if (gpa)
		*gpa = f->ram_gpa + at;
	return f->ram + at;
}

uint64_t frontend_gpa(const struct frontend *f, const void *at)
{
	return f->ram_gpa + (uint64_t)((const uint8_t *)at - f->ram);
}

void frontend_send_raw(struct frontend *f, const void *data, size_t len, const int *fds,
		       size_t nfds)
{
	/* The daemon may have closed already; what it says then is what counts. */
	ssize_t ret = fdio_send(f->sock, data, len, fds, nfds);

	if (ret < 0)
		g_assert_true(ret == -EPIPE || ret == -ECONNRESET);
	else
		g_assert_cmpint(ret, ==, (ssize_t)len);
}

void frontend_send(struct frontend *f, uint32_t request, uint32_t flags, const void *payload,
		   uint32_t size, const int *fds, size_t nfds)
{
	uint8_t msg[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX];
	const struct vgpu_msg_header h = {
		.request = request, .flags = VGPU_SOCKET_VERSION | flags, .size = size};

	memcpy(msg, &h, sizeof(h));
	if (size)
		memcpy(msg + sizeof(h), payload, size);
	frontend_send_raw(f, msg, sizeof(h) + size, fds, nfds);
}

/* Exactly `len` bytes; false if the stream ends first. */
static bool recv_all(struct frontend *f, void *to, size_t len, int *fds, size_t *nfds)
{
	size_t have = 0, room = *nfds;

	*nfds = 0;
	while (have < len) {
		struct pollfd p = {.fd = f->sock, .events = POLLIN};
		size_t n = room - *nfds;
		ssize_t got;

		if (poll(&p, 1, SILENCE_MS) != 1)
			g_error("the daemon says nothing");
		got = fdio_recv(f->sock, (uint8_t *)to + have, len - have, fds + *nfds, &n);
		if (got == 0 || got == -ECONNRESET)
			return false;
		g_assert_cmpint(got, >, 0);
		*nfds += n;
		have += (size_t)got;
	}
	return true;
}

bool frontend_recv(struct frontend *f, struct vgpu_msg_header *h, void *payload, size_t size,
		   int *fds, size_t *nfds)
{
	size_t more = 0;

	if (!recv_all(f, h, sizeof(*h), fds, nfds))
		return false;
	g_assert_cmpuint(h->flags & VGPU_MSG_VERSION_MASK, ==, VGPU_SOCKET_VERSION);
	g_assert_cmpuint(h->size, <=, size);
	return recv_all(f, payload, h->size, NULL, &more);
}

void frontend_expect_closed(struct frontend *f)
{
	struct vgpu_msg_header h;
	uint8_t payload[VGPU_MSG_PAYLOAD_MAX];
	int fds[8];
	size_t nfds = 8;

	while (frontend_recv(f, &h, payload, sizeof(payload), fds, &nfds)) {
		fdio_close_all(fds, nfds);
		nfds = 8;
	}
}

/* The reply to `request`; descriptors to `fds` if there is room. */
static void expect_reply(struct frontend *f, uint32_t request, void *payload, size_t size, int *fds,
			 size_t *nfds)
{
	struct vgpu_msg_header h;

	g_assert_true(frontend_recv(f, &h, payload, size, fds, nfds));
	g_assert_cmpuint(h.request, ==, request);
	g_assert_cmpuint(h.flags, ==, VGPU_SOCKET_VERSION | VGPU_MSG_REPLY);
	g_assert_cmpuint(h.size, ==, size);
}

static void check_status(const struct vgpu_msg_status *s)
{
	g_assert_cmpint(s->status, <=, 0);
	g_assert_cmpuint(s->reserved, ==, 0);
	g_assert_nonnull(memchr(s->reason, 0, sizeof(s->reason)));
	/* A refusal says why, a success says nothing. */
	g_assert_true((s->status < 0) == (s->reason[0] != 0));
}

void frontend_fill_hello(const struct frontend *f, struct vgpu_msg_hello *h)
{
	memset(h, 0, sizeof(*h));
	h->magic = VGPU_HELLO_MAGIC;
	h->protocol_version = VGPU_PROTOCOL_VERSION;
	h->abi_version = VGPU_ABI_VERSION;
	h->max_queues = 16;
	h->features = VGPU_F_ALL;
	h->protocol_features = VGPU_PF_ALL;
	memcpy(h->uuid, f->uuid, sizeof(h->uuid));
	g_strlcpy(h->name, f->name, sizeof(h->name));
}

int frontend_hello(struct frontend *f, struct vgpu_msg_hello *h)
{
	size_t none = 0;

	frontend_send(f, VGPU_MSG_HELLO, 0, h, sizeof(*h), NULL, 0);
	expect_reply(f, VGPU_MSG_HELLO, &f->hello, sizeof(f->hello), NULL, &none);
	check_status(&f->hello.status);
	return f->hello.status.status;
}

static int with_status(struct frontend *f, uint32_t request, const void *payload, uint32_t size,
		       const int *fds, size_t nfds)
{
	struct vgpu_msg_status s;
	size_t none = 0;

	frontend_send(f, request, VGPU_MSG_NEED_REPLY, payload, size, fds, nfds);
	expect_reply(f, request, &s, sizeof(s), NULL, &none);
	check_status(&s);
	return s.status;
}

int frontend_mem_table(struct frontend *f, const struct vgpu_mem_region *r, const int *fds,
		       uint32_t n)
{
	struct vgpu_msg_mem_table t = {.nregions = n};

	memcpy(t.regions, r, n * sizeof(r[0]));
	return with_status(f, VGPU_MSG_SET_MEM_TABLE, &t, sizeof(t), fds, fds ? n : 0);
}

int frontend_mem_add(struct frontend *f, const struct vgpu_mem_region *r, int fd)
{
	const struct vgpu_msg_mem_region m = {.region = *r};

	return with_status(f, VGPU_MSG_ADD_MEM_REG, &m, sizeof(m), &fd, fd >= 0);
}

int frontend_mem_remove(struct frontend *f, const struct vgpu_mem_region *r)
{
	const struct vgpu_msg_mem_region m = {.region = *r};

	return with_status(f, VGPU_MSG_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

int frontend_reset(struct frontend *f)
{
	return with_status(f, VGPU_MSG_RESET_DEVICE, NULL, 0, NULL, 0);
}
