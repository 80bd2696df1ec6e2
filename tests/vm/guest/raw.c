// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device driven by hand: registers through sysfs, memory from a huge page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define WAIT_MS 20000
#define FEATURES (VGPU_F_QUEUES | VGPU_F_POLLING | VGPU_F_BUFFERS)

static void pause_ms(void)
{
	struct timespec t = {.tv_nsec = 1000000};

	nanosleep(&t, NULL);
}

static uint64_t physical(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0 ||
	    pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / 4096 * 8)) != sizeof(entry))
		give_up("/proc/self/pagemap");
	close(fd);
	return (entry & ((1ull << 55) - 1)) * 4096;
}

static void huge_pages(const char *count)
{
	int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, count, strlen(count)) < 0)
		give_up("/proc/sys/vm/nr_hugepages");
	close(fd);
}

static void arena(struct raw *r)
{
	huge_pages("1");
	r->mem = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (r->mem == MAP_FAILED)
		give_up("a huge page");
	memset(r->mem, 0, ARENA_BYTES);
	r->phys = physical(r->mem);
	r->table = (void *)(r->mem + ARENA_TABLE);
	r->list = (void *)(r->mem + ARENA_LISTS);
	r->data = (void *)(r->mem + ARENA_DATA);
}

bool raw_negotiate(struct raw *r)
{
	pci_write(&r->pci, VGPU_REG_DRIVER_FEATURES_LO, FEATURES);
	pci_write(&r->pci, VGPU_REG_DRIVER_FEATURES_HI, 0);
	pci_write(&r->pci, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	return pci_read(&r->pci, VGPU_REG_CONTROL) & VGPU_CONTROL_FEATURES_OK;
}

void raw_open(struct raw *r)
{
	memset(r, 0, sizeof(*r));
	if (pci_take(&r->pci) < 0)
		give_up("taking the device from its driver");
	arena(r);
	if (pci_bus_master(&r->pci, true) < 0)
		give_up("bus mastering");
	if (!raw_negotiate(r)) {
		pci_give_back(&r->pci);
		errno = EOPNOTSUPP;
		give_up("this device has no queues");
	}
}

void raw_close(struct raw *r, const char *what)
{
	bool good = pci_reset(&r->pci) && raw_negotiate(r);

	if (good) {
		raw_fresh(r);
		good = raw_nop(r);
	}
	check(good, "%s: usable after a reset", what);
	pci_give_back(&r->pci);
	munmap(r->mem, ARENA_BYTES);
	huge_pages("0");
}

struct raw_setup raw_good(struct raw *r)
{
	return (struct raw_setup){
		.addr = r->phys + ARENA_QUEUE,
		.req_slots = RAW_SLOTS,
		.rsp_slots = RAW_SLOTS,
		.table = r->phys + ARENA_TABLE,
		.buffers = RAW_BUFFERS,
		.vector = 1,
	};
}

void raw_start(struct raw *r, const struct raw_setup *s)
{
	struct pci_device *p = &r->pci;

	pci_write(p, VGPU_REG_QUEUE_SELECT, s->queue);
	pci_write(p, VGPU_REG_QUEUE_ADDR_LO, (uint32_t)s->addr);
	pci_write(p, VGPU_REG_QUEUE_ADDR_HI, (uint32_t)(s->addr >> 32));
	pci_write(p, VGPU_REG_QUEUE_REQ_SLOTS, s->req_slots);
	pci_write(p, VGPU_REG_QUEUE_RSP_SLOTS, s->rsp_slots);
	pci_write(p, VGPU_REG_QUEUE_TABLE_LO, (uint32_t)s->table);
	pci_write(p, VGPU_REG_QUEUE_TABLE_HI, (uint32_t)(s->table >> 32));
	pci_write(p, VGPU_REG_QUEUE_BUFFERS, s->buffers);
	pci_write(p, VGPU_REG_QUEUE_VECTOR, s->vector);
	pci_write(p, VGPU_REG_QUEUE_TAG, (uint32_t)getpid());
	pci_write(p, VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_START);
}

uint32_t raw_settle(struct raw *r, uint32_t queue)
{
	uint32_t state = VGPU_QUEUE_STATE_STARTING;

	for (int i = 0; i < WAIT_MS; i++) {
		pci_write(&r->pci, VGPU_REG_QUEUE_SELECT, queue);
		state = pci_read(&r->pci, VGPU_REG_QUEUE_STATE);
		if (state != VGPU_QUEUE_STATE_STARTING && state != VGPU_QUEUE_STATE_STOPPING)
			break;
		pause_ms();
	}
	return state;
}

uint32_t raw_error(struct raw *r, uint32_t queue)
{
	pci_write(&r->pci, VGPU_REG_QUEUE_SELECT, queue);
	return pci_read(&r->pci, VGPU_REG_QUEUE_ERROR);
}

bool raw_stop(struct raw *r, uint32_t queue)
{
	pci_write(&r->pci, VGPU_REG_QUEUE_SELECT, queue);
	pci_write(&r->pci, VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_STOP);
	return raw_settle(r, queue) == VGPU_QUEUE_STATE_STOPPED;
}

void raw_fresh(struct raw *r)
{
	struct raw_setup s = raw_good(r);

	errno = EIO;
	if (!raw_stop(r, 0))
		give_up("stopping the queue");
	memset(r->mem, 0, ARENA_BYTES);
	vgpu_ring_init(&r->ring, r->mem + ARENA_QUEUE, s.req_slots, s.rsp_slots);
	raw_start(r, &s);
	if (raw_settle(r, 0) != VGPU_QUEUE_STATE_RUNNING) {
		errno = -(int)raw_error(r, 0);
		give_up("starting the queue");
	}
}

void raw_publish(struct raw *r, const void *record, size_t bytes, uint32_t slots)
{
	uint64_t pos = (uint64_t)(r->ring.req_prod & (RAW_SLOTS - 1)) * VGPU_SLOT;

	vgpu_ring_put(r->ring.req, RAW_SLOTS, pos, record, bytes);
	r->ring.req_prod += slots;
	__atomic_store_n(&r->ring.hdr->req_prod, r->ring.req_prod, __ATOMIC_RELEASE);
	pci_kick(&r->pci, 0);
}

void raw_send(struct raw *r, const struct vgpu_request *req, const struct vgpu_desc *desc,
	      const void *body, size_t length)
{
	size_t descs = desc ? req->ndesc * sizeof(*desc) : 0;
	struct vgpu_request head = *req;
	struct vgpu_piece piece[3] = {
		{&head, sizeof(head)},
		{desc, descs},
		{body, length},
	};
	size_t n = 1;

	head.length = sizeof(head) + descs + length;
	if (descs)
		n = 2;
	else
		piece[1] = piece[2];
	n += length != 0;
	errno = EIO;
	if (vgpu_ring_push(&r->ring, piece, n) < 0)
		give_up("no room in the ring");
	pci_kick(&r->pci, 0);
}

int raw_receive(struct raw *r, int *status)
{
	for (int i = 0; i < WAIT_MS; i++) {
		int got = vgpu_ring_pop(&r->ring, r->answer);

		if (got > 0) {
			*status = (int)((struct vgpu_response *)r->answer)->status;
			return 0;
		}
		if (raw_settle(r, 0) == VGPU_QUEUE_STATE_FAILED)
			return -EPIPE;
		pause_ms();
	}
	return -ETIMEDOUT;
}

bool raw_consumed(struct raw *r)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&r->ring.hdr->req_cons, __ATOMIC_ACQUIRE) == r->ring.req_prod)
			return true;
		pause_ms();
	}
	return false;
}

bool raw_nop(struct raw *r)
{
	struct vgpu_request req = {.command = VGPU_CMD_NOP, .id = rnd()};
	int status = -1;

	raw_send(r, &req, NULL, NULL, 0);
	return raw_receive(r, &status) == 0 && status == 0 &&
	       ((struct vgpu_response *)r->answer)->id == req.id;
}

void raw_refused(struct raw *r, const char *what, const struct vgpu_request *req,
		 const struct vgpu_desc *desc, const void *body, size_t length, int want)
{
	int status = 0;
	int ret;

	raw_send(r, req, desc, body, length);
	ret = raw_receive(r, &status);
	if (ret == 0 && status < 0 && (!want || status == want) && raw_nop(r)) {
		check(true, "%s (%s)", what, strerror(-status));
		return;
	}
	check(false, "%s: %s, status %d, want %d", what, ret ? strerror(-ret) : "answered", status,
	      want);
	raw_fresh(r);
}

void raw_buffer(struct raw *r, uint32_t i, uint32_t offset, uint32_t length, uint32_t flags)
{
	struct vgpu_segment_page *page = &r->list[i];

	memset(page, 0, sizeof(*page));
	page->count = 1;
	page->seg[0].addr = r->phys + ARENA_DATA + offset;
	page->seg[0].length = length;
	r->table[i].flags = flags;
	r->table[i].length = length;
	r->table[i].list = r->phys + ARENA_LISTS + i * VGPU_PAGE;
	r->table[i].nsegments = 1;
	__atomic_store_n(&r->table[i].generation, r->table[i].generation + 1, __ATOMIC_RELEASE);
}
