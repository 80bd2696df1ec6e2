// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hostile: an ordinary process with /dev/vgpu_stub open.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"
#include "vgpu.h"
#include "vgpu_stub.h"

#define RW (VGPU_STUB_BUFFER_READ | VGPU_STUB_BUFFER_WRITE)

struct user {
	int fd;
	struct vgpu_stub_info info;
	uint8_t *queue;
	volatile uint32_t *bell;
};

/* A free queue may be a moment away, just after another session was closed. */
static int user_fd(void)
{
	int fd = open(VGPU_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		give_up(VGPU_DEVICE_PATH);
	return fd;
}

static void user_open(struct user *u)
{
	u->fd = user_fd();
	if (ioctl(u->fd, VGPU_STUB_IOC_INFO, &u->info) < 0)
		give_up("VGPU_STUB_IOC_INFO");
	u->queue = mmap(NULL, u->info.queue_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
			VGPU_STUB_MMAP_QUEUE);
	u->bell = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		       (off_t)VGPU_STUB_MMAP_DOORBELL);
	if (u->queue == MAP_FAILED || u->bell == MAP_FAILED)
		give_up("mapping the queue");
}

static void user_close(struct user *u)
{
	munmap(u->queue, u->info.queue_bytes);
	munmap((void *)(uintptr_t)u->bell, 4096);
	close(u->fd);
}

/* A session of its own still works. */
static void works(const char *what)
{
	struct vgpu_session *s = vgpu_session_open(NULL);
	bool good = s && vgpu_call(s, VGPU_CMD_VECTOR_ADD, NULL, 0, NULL, 0, NULL, 0, 120000) >= 0;

	check(good, "%s: another session works", what);
	vgpu_session_close(s);
}

static int wait_for(struct user *u, uint32_t seen, int timeout_ms)
{
	struct vgpu_stub_wait w = {.rsp_cons = seen, .timeout_ms = timeout_ms};

	return ioctl(u->fd, VGPU_STUB_IOC_WAIT, &w);
}

/* --------------------------------------------------------------------- rings */

static void user_scribble(void)
{
	for (int round = 0; round < 10; round++) {
		struct user u;

		user_open(&u);
		for (int i = 0; i < 5000; i++) {
			u.queue[rnd() % u.info.queue_bytes] = (uint8_t)rnd();
			if (i % 64 == 0)
				*u.bell = (uint32_t)rnd();
		}
		user_close(&u);
	}
	works("user-rings: scribbling over the whole queue");
}

static void user_broken_index(void)
{
	struct vgpu_queue_header *hdr;
	struct pollfd p = {.events = POLLIN | POLLOUT};
	struct user u;
	int ret;

	user_open(&u);
	hdr = (void *)u.queue;
	hdr->req_prod = 0x80000000;
	*u.bell = 1;
	ret = wait_for(&u, 0, 120000);
	check(ret < 0 && errno == EIO, "user-rings: an impossible index: the session is lost (%s)",
	      strerror(errno));
	p.fd = u.fd;
	check(poll(&p, 1, 0) == 1 && p.revents & POLLERR, "user-rings: poll() says so");
	check(ioctl(u.fd, VGPU_STUB_IOC_KICK) < 0 && errno == EIO,
	      "user-rings: and so does a kick");
	user_close(&u);
	works("user-rings");
}

static void user_read_write_mapped(void)
{
	char byte = 'x';
	struct user u;

	user_open(&u);
	check(write(u.fd, "NOP", 3) < 0 && errno == EBUSY, "user-rings: write() of a mapped queue");
	check(read(u.fd, &byte, 1) < 0 && errno == EBUSY, "user-rings: read() of a mapped queue");
	user_close(&u);
}

void attack_user_rings(void)
{
	user_scribble();
	user_broken_index();
	user_read_write_mapped();
}

/* -------------------------------------------------------------------- ioctls */

static void garbage_ioctls(struct user *u)
{
	static uint8_t random_bytes[4096];
	int accepted = 0;

	for (int i = 0; i < 5000; i++) {
		unsigned long command = rnd() % 2 ? rnd() & 0xffffffff
						  : _IOC(rnd() % 4, 'V', rnd() % 16, rnd() % 64);
		void *arg = rnd() % 3 ? random_bytes : (void *)(uintptr_t)rnd();

		/* a wait without limit is a legal wish, and a register would pin our own */
		if (command == VGPU_STUB_IOC_WAIT || command == VGPU_STUB_IOC_BUFFER_ADD)
			continue;
		for (size_t b = 0; b < 64; b++)
			random_bytes[b] = (uint8_t)rnd();
		accepted += ioctl(u->fd, command, arg) >= 0;
	}
	check(true, "user-ioctls: 5000 of garbage, %d accepted", accepted);
}

static void bad_pointers(struct user *u)
{
	void *const bad[] = {NULL, (void *)1, (void *)0xffffffff00000000u, (void *)0x7ffffffff000u};
	static const unsigned long commands[] = {VGPU_STUB_IOC_INFO, VGPU_STUB_IOC_BUFFER_ADD,
						 VGPU_STUB_IOC_BUFFER_DEL, VGPU_STUB_IOC_WAIT};
	bool good = true;

	for (size_t c = 0; c < 4; c++)
		for (size_t i = 0; i < 4; i++)
			good &= ioctl(u->fd, commands[c], bad[i]) < 0 && errno == EFAULT;
	check(good, "user-ioctls: bad pointers");
	check(wait_for(u, 0, -2) < 0 && errno == EINVAL, "user-ioctls: a wait of -2 ms");
	check(wait_for(u, 0, 0) < 0 && errno == ETIMEDOUT, "user-ioctls: a wait of 0 ms");
}

static ssize_t write_command(int fd, uint16_t command, uint32_t length, size_t bytes)
{
	static uint8_t buf[2 * VGPU_RECORD_MAX];
	const struct vgpu_request req = {.length = length, .command = command};
	uint32_t magic = VGPU_STUB_BINARY;

	memset(buf, 0, sizeof(buf));
	memcpy(buf, &magic, sizeof(magic));
	memcpy(buf + sizeof(magic), &req, sizeof(req));
	return write(fd, buf, bytes);
}

static ssize_t write_record(int fd, uint32_t length, size_t bytes)
{
	return write_command(fd, VGPU_CMD_NOP, length, bytes);
}

static void bad_writes(void)
{
	void *volatile nowhere = (void *)1;
	int fd = user_fd();
	uint8_t answer[VGPU_RECORD_MAX];
	struct vgpu_response *rsp = (void *)answer;

	check(write_record(fd, 32, 4) < 0 && errno == EINVAL, "user-ioctls: no record");
	check(write_record(fd, 32, 20) < 0 && errno == EINVAL, "user-ioctls: half a header");
	check(write_record(fd, 64, 36) < 0 && errno == EINVAL, "user-ioctls: a length that lies");
	check(write_record(fd, VGPU_RECORD_MAX + 8, VGPU_RECORD_MAX + 12) < 0 && errno == EMSGSIZE,
	      "user-ioctls: a long record");
	check(write_command(fd, VGPU_CMD_CUDA, 48, 52) < 0 && errno == EOPNOTSUPP,
	      "user-ioctls: a CUDA call by write()");
	check(write(fd, nowhere, 100) < 0 && errno == EFAULT, "user-ioctls: write() from nowhere");
	check(write_record(fd, 32, 36) == 36, "user-ioctls: a good record");
	check(write(fd, "NOP", 3) < 0 && errno == EBUSY, "user-ioctls: text between the two");
	check(read(fd, answer, 8) < 0 && errno == EMSGSIZE,
	      "user-ioctls: a read that is too short");
	check(read(fd, nowhere, 4096) < 0 && errno == EFAULT, "user-ioctls: read() to nowhere");
	check(read(fd, answer, sizeof(answer)) == 32 && rsp->status == 0,
	      "user-ioctls: its response is still there");
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EBUSY,
	      "user-ioctls: mapping a queue that write() has used");
	close(fd);
}

void attack_user_ioctls(void)
{
	struct user u;

	user_open(&u);
	garbage_ioctls(&u);
	bad_pointers(&u);
	user_close(&u);
	bad_writes();
	works("user-ioctls");
}

/* ---------------------------------------------------------------------- maps */

static bool refuses_map(int fd, size_t bytes, int prot, int flags, off_t offset)
{
	void *mem = mmap(NULL, bytes, prot, flags, fd, offset);

	if (mem == MAP_FAILED)
		return true;
	munmap(mem, bytes);
	return false;
}

static void bad_maps(struct user *u)
{
	off_t bell = (off_t)VGPU_STUB_MMAP_DOORBELL;
	int prot = PROT_READ | PROT_WRITE;

	check(refuses_map(u->fd, u->info.queue_bytes + 4096, prot, MAP_SHARED, 0),
	      "user-maps: more than the queue");
	check(refuses_map(u->fd, 4096, prot, MAP_PRIVATE, 0), "user-maps: a private queue");
	check(refuses_map(u->fd, 4096, prot, MAP_PRIVATE, bell), "user-maps: a private doorbell");
	check(refuses_map(u->fd, 8192, prot, MAP_SHARED, bell), "user-maps: two doorbells");
	check(refuses_map(u->fd, 4096, prot, MAP_SHARED, bell + 4096),
	      "user-maps: the next doorbell");
	check(refuses_map(u->fd, 4096, prot, MAP_SHARED, bell - 4096), "user-maps: the one before");
	check(refuses_map(u->fd, 4096, prot | PROT_EXEC, MAP_SHARED, 0), "user-maps: code");
	check(refuses_map(u->fd, 4096, prot, MAP_SHARED, 4096),
	      "user-maps: from the second page on");
}

static void mremap_games(struct user *u)
{
	size_t bytes = u->info.queue_bytes;
	uint8_t *moved;

	check(mremap(u->queue, bytes, bytes + 65536, MREMAP_MAYMOVE) == MAP_FAILED,
	      "user-maps: a queue that grows");
	check(mremap((void *)(uintptr_t)u->bell, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED,
	      "user-maps: a doorbell that grows");
	moved = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mremap(u->queue, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, moved);
	check(moved != MAP_FAILED, "user-maps: a queue that moves");
	if (moved != MAP_FAILED)
		u->queue = moved;
	u->queue[0x100] = 0;
	*u->bell = 1;
	munmap(u->queue + 4096, 8192);
	check(ioctl(u->fd, VGPU_STUB_IOC_KICK) == 0, "user-maps: a hole in the queue");
	check(madvise(u->queue, 4096, MADV_DONTNEED) == 0, "user-maps: MADV_DONTNEED");
	u->queue[0x100] = 0;
}

/* The file is closed, the mapping stays: the session must live until both go. */
static void map_outlives_file(void)
{
	struct user u;
	struct vgpu_ring ring;
	struct vgpu_request req = {.length = 32, .id = 7};
	uint8_t answer[VGPU_RECORD_MAX];
	time_t end = time(NULL) + 10;
	int got = -EAGAIN;

	user_open(&u);
	close(u.fd);
	vgpu_ring_init(&ring, u.queue, u.info.req_slots, u.info.rsp_slots);
	vgpu_ring_push(&ring, &(struct vgpu_piece){&req, sizeof(req)}, 1);
	*u.bell = 1;
	while (got == -EAGAIN && time(NULL) < end)
		got = vgpu_ring_pop(&ring, answer);
	check(got == 32, "user-maps: a mapping outlives its file");
	u.fd = -1;
	user_close(&u);
}

void attack_user_maps(void)
{
	struct user u;

	user_open(&u);
	bad_maps(&u);
	mremap_games(&u);
	user_close(&u);
	map_outlives_file();
	works("user-maps");
}

/* ------------------------------------------------------------------- buffers */

static int add(int fd, void *addr, uint64_t length, uint32_t flags, uint32_t *handle)
{
	struct vgpu_stub_buffer b = {.addr = (uintptr_t)addr, .length = length, .flags = flags};
	int ret = ioctl(fd, VGPU_STUB_IOC_BUFFER_ADD, &b);

	if (ret == 0 && handle)
		*handle = b.handle;
	return ret;
}

static void refuses_buffer(int fd, const char *what, void *addr, uint64_t length, uint32_t flags,
			   int want)
{
	int ret = add(fd, addr, length, flags, NULL);

	check(ret < 0 && (errno == want || !want), "user-buffers: %s (%s)", what,
	      ret < 0 ? strerror(errno) : "accepted");
}

static void bad_buffers(struct user *u)
{
	size_t big = 64 << 20;
	uint8_t *mem = mmap(NULL, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *ro = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *none = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rlimit limit = {1 << 20, 1 << 20};

	refuses_buffer(u->fd, "no bytes", mem, 0, RW, EINVAL);
	refuses_buffer(u->fd, "no access", mem, 4096, 0, EINVAL);
	refuses_buffer(u->fd, "unknown flags", mem, 4096, 0x80000001, EINVAL);
	refuses_buffer(u->fd, "memory that is not there", (void *)0x10000, 4096, RW, EFAULT);
	refuses_buffer(u->fd, "the kernel's memory", (void *)0xffffffff81000000u, 4096, RW, EFAULT);
	refuses_buffer(u->fd, "a range that wraps", (void *)0xfffffffffffff000u, 8192, RW, EFAULT);
	refuses_buffer(u->fd, "more than 1 GiB", mem, (1ull << 30) + 1, RW, E2BIG);
	refuses_buffer(u->fd, "2^64-1 bytes", mem, 0xffffffffffffffffu, RW, E2BIG);
	refuses_buffer(u->fd, "read-only memory, to be written", ro, 8192, RW, EFAULT);
	refuses_buffer(u->fd, "memory without access", none, 8192, VGPU_STUB_BUFFER_READ, EFAULT);
	refuses_buffer(u->fd, "the doorbell", (void *)(uintptr_t)u->bell, 4096, RW, EFAULT);
	munmap(mem + (1 << 20), 4096);
	refuses_buffer(u->fd, "memory with a hole", mem, 2 << 20, RW, EFAULT);
	setrlimit(RLIMIT_MEMLOCK, &limit);
	refuses_buffer(u->fd, "more than may be locked", mem + (4 << 20), 8 << 20, RW, ENOMEM);
	check(add(u->fd, mem, 4097, RW, NULL) == 0, "user-buffers: within the limit");
	munmap(mem, big);
	munmap(ro, 8192);
	munmap(none, 8192);
}

static void handles(int fd)
{
	uint8_t *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t handle = 0xffffffff, count = 0;
	struct vgpu_stub_info info;

	check(ioctl(fd, VGPU_STUB_IOC_BUFFER_DEL, &handle) < 0 && errno == ENOENT,
	      "user-buffers: a handle that never was");
	while (add(fd, mem, 100, RW, &handle) == 0)
		count++;
	ioctl(fd, VGPU_STUB_IOC_INFO, &info);
	check(errno == ENOSPC || errno == ENOMEM, "user-buffers: %u of the same page, then %s",
	      count, strerror(errno));
	check(info.pinned > 0 && info.pinned <= info.pinned_limit, "user-buffers: pinned counted");
	check(ioctl(fd, VGPU_STUB_IOC_BUFFER_DEL, &handle) == 0, "user-buffers: one unregistered");
	check(ioctl(fd, VGPU_STUB_IOC_BUFFER_DEL, &handle) < 0 && errno == ENOENT,
	      "user-buffers: and not twice");
	munmap(mem, 4096);
}

/* Unmapped after registering: the pages stay ours until unregistered. */
static void unmapped_after(void)
{
	struct vgpu_session *s = vgpu_session_open(NULL);
	size_t n = 1024;
	struct vgpu_vector_add body = {.elements = n};
	struct vgpu_desc desc[3];
	int ret;

	if (!s)
		give_up(VGPU_DEVICE_PATH);
	for (int i = 0; i < 3; i++) {
		void *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);

		desc[i] = (struct vgpu_desc){.length = 4096};
		if (vgpu_buffer_register(s, mem, 4096, RW, &desc[i].buffer) < 0)
			give_up("registering a buffer");
		munmap(mem, 4096);
	}
	ret = vgpu_call(s, VGPU_CMD_VECTOR_ADD, desc, 3, &body, sizeof(body), NULL, 0, 120000);
	check(ret >= 0, "user-buffers: memory unmapped after it was registered");
	vgpu_session_close(s);
}

/* Unregistering waits for requests that use the buffer, or they fail cleanly. */
static void unregister_in_flight(void)
{
	struct vgpu_session *s = vgpu_session_open(NULL);
	size_t bytes = 128 << 10;
	struct vgpu_bandwidth body = {.repetitions = 50};
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vgpu_desc desc = {.length = bytes};
	const struct vgpu_response *rsp;
	bool good = true;

	if (!s)
		give_up(VGPU_DEVICE_PATH);
	for (int i = 0; i < 50 && good; i++) {
		uint64_t id;

		good = vgpu_buffer_register(s, mem, bytes, RW, &desc.buffer) == 0 &&
		       vgpu_submit(s, VGPU_CMD_BANDWIDTH, &desc, 1, &body, sizeof(body), &id) ==
			       0 &&
		       vgpu_buffer_unregister(s, desc.buffer) == 0 &&
		       vgpu_receive(s, 20000, &rsp) == 0;
		if (good && rsp->status && rsp->status != (uint32_t)-ENOENT)
			good = false;
	}
	check(good, "user-buffers: unregistered while in use");
	vgpu_session_close(s);
	munmap(mem, bytes);
}

void attack_user_buffers(void)
{
	struct user u;

	unmapped_after();
	unregister_in_flight();
	user_open(&u);
	bad_buffers(&u);
	handles(u.fd);
	user_close(&u);
	works("user-buffers");
}

/* --------------------------------------------------------------------- files */

static void close_in_flight(void)
{
	for (int i = 0; i < 20; i++) {
		struct vgpu_session *s = vgpu_session_open(NULL);
		uint64_t id;

		if (!s)
			give_up(VGPU_DEVICE_PATH);
		for (int n = 0; n < 50; n++)
			vgpu_submit(s, VGPU_CMD_MATMUL, NULL, 0, NULL, 0, &id);
		vgpu_session_close(s);
	}
	works("user-files: closed with requests in flight");
}

static void forked(void)
{
	struct vgpu_session *s = vgpu_session_open(NULL);
	pid_t child;
	int status = -1;

	if (!s)
		give_up(VGPU_DEVICE_PATH);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		int fd = user_fd();

		_exit(write(fd, "NOP", 3) == 3 ? 0 : 1);
	}
	check(vgpu_call(s, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0, 120000) >= 0,
	      "user-files: a session goes on after a fork");
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "user-files: the child has its own");
	check(vgpu_call(s, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0, 120000) >= 0,
	      "user-files: and goes on after the child");
	vgpu_session_close(s);
}

/* Both processes use one file; the parent's copy is closed first. */
static void shared_file(void)
{
	int fd = user_fd();
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct timespec pause = {.tv_nsec = 200000000};

		nanosleep(&pause, NULL);
		_exit(write(fd, "NOP", 3) == 3 ? 0 : 1);
	}
	close(fd);
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "user-files: a file left to a child");
}

static void killed_while_waiting(const char *what, void (*wait_forever)(void))
{
	struct timespec pause = {.tv_nsec = 300000000};
	struct timespec began, now;
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		wait_forever();
		_exit(0);
	}
	nanosleep(&pause, NULL);
	kill(child, SIGKILL);
	clock_gettime(CLOCK_MONOTONIC, &began);
	waitpid(child, &status, 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	check(WIFSIGNALED(status), "user-files: killed while in %s, gone after %ld ms", what,
	      (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000);
}

static void wait_in_ioctl(void)
{
	struct user u;

	user_open(&u);
	wait_for(&u, 0, -1);
}

static void wait_in_read(void)
{
	char byte;

	if (read(user_fd(), &byte, 1) < 0)
		_exit(1);
}

static void die_busy(void)
{
	struct vgpu_session *s = vgpu_session_open(NULL);
	uint64_t id;

	while (s && vgpu_submit(s, VGPU_CMD_MATMUL, NULL, 0, NULL, 0, &id) == 0) {
		const struct vgpu_response *rsp;

		vgpu_receive(s, 0, &rsp);
	}
	pause();
}

void attack_user_files(void)
{
	close_in_flight();
	forked();
	shared_file();
	killed_while_waiting("a wait", wait_in_ioctl);
	killed_while_waiting("a read", wait_in_read);
	killed_while_waiting("a flood of requests", die_busy);
	works("user-files");
}
