/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of a device: form, order, reserved fields.  What they ask for is client.c's. */
#include "framing.h"

#include <errno.h>
#include <string.h>

#define HEADER sizeof(struct vgpu_msg_header)

static const struct kind {
	uint32_t request;
	const char *name;
	uint32_t size;
	uint8_t min_fds, max_fds;
} kinds[] = {
	{VGPU_MSG_HELLO, "HELLO", sizeof(struct vgpu_msg_hello), 0, 0},
	{VGPU_MSG_SET_MEM_TABLE, "SET_MEM_TABLE", sizeof(struct vgpu_msg_mem_table), 0,
	 VGPU_MSG_REGIONS_MAX},
	{VGPU_MSG_ADD_MEM_REG, "ADD_MEM_REG", sizeof(struct vgpu_msg_mem_region), 0, 1},
	{VGPU_MSG_REM_MEM_REG, "REM_MEM_REG", sizeof(struct vgpu_msg_mem_region), 0, 0},
	{VGPU_MSG_RESET_DEVICE, "RESET_DEVICE", 0, 0, 0},
	{VGPU_MSG_QUEUE_START, "QUEUE_START", sizeof(struct vgpu_msg_queue_start), 2, 2},
	{VGPU_MSG_QUEUE_STOP, "QUEUE_STOP", sizeof(struct vgpu_msg_queue), 0, 0},
	{VGPU_MSG_QUEUE_RESUME, "QUEUE_RESUME", sizeof(struct vgpu_msg_queue), 1, 1},
};

static const struct kind *find_kind(uint32_t request)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].request == request)
			return &kinds[i];
	}
	return NULL;
}

const char *framing_name(uint32_t request)
{
	const struct kind *k = find_kind(request);

	return k ? k->name : "unknown message";
}

void framing_init(struct framing *f)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < 2 * VGPU_MSG_FDS_MAX; i++)
		f->fds[i] = -1;
}

void *framing_room(struct framing *f, size_t *n)
{
	size_t whole = f->have < HEADER ? HEADER : HEADER + f->in.header.size;

	*n = whole - f->have;
	return f->in.bytes + f->have;
}

/* The header alone tells whether the rest is worth reading. */
static const char *check_header(const struct framing *f)
{
	const struct vgpu_msg_header *h = &f->in.header;
	const struct kind *k = find_kind(h->request);

	if ((h->flags & VGPU_MSG_VERSION_MASK) != VGPU_SOCKET_VERSION)
		return "a header of another version";
	if (h->flags & ~VGPU_MSG_FLAGS_ALL)
		return "unknown flags in a header";
	if (h->flags & VGPU_MSG_REPLY)
		return "a reply that nobody asked for";
	if (!k)
		return "an unknown message";
	if (h->size != k->size)
		return h->size < k->size ? "a message too short for its kind"
					 : "a message too long for its kind";
	if (f->nfds < k->min_fds)
		return "a message with too few descriptors";
	if (f->nfds > k->max_fds)
		return "a message with too many descriptors";
	if (h->request == VGPU_MSG_HELLO && f->hello_seen)
		return "a second HELLO";
	if (h->request != VGPU_MSG_HELLO && !f->hello_seen)
		return "another message before HELLO";
	return NULL;
}

static bool region_is_zero(const struct vgpu_mem_region *r)
{
	static const struct vgpu_mem_region zero;

	return memcmp(r, &zero, sizeof(zero)) == 0;
}

/* A region by domain has no descriptor. */
static const char *check_table(const struct vgpu_msg_mem_table *t, size_t nfds)
{
	size_t by_fd = 0;

	if (t->reserved)
		return "a reserved field that is not 0";
	if (t->nregions > VGPU_MSG_REGIONS_MAX)
		return "a memory table of too many regions";
	for (uint32_t i = 0; i < t->nregions; i++)
		by_fd += !t->regions[i].xen_flags;
	if (by_fd != nfds)
		return "a memory table with another number of descriptors than regions";
	for (uint32_t i = t->nregions; i < VGPU_MSG_REGIONS_MAX; i++) {
		if (!region_is_zero(&t->regions[i]))
			return "a memory table with more regions than it says";
	}
	for (uint32_t i = 0; i < t->nregions; i++) {
		if (t->regions[i].user_addr)
			return "a reserved field that is not 0";
	}
	return NULL;
}

static const char *check_payload(const struct framing *f)
{
	union {
		struct vgpu_msg_hello hello;
		struct vgpu_msg_mem_table table;
		struct vgpu_msg_mem_region region;
		struct vgpu_msg_queue queue;
	} p;
	bool reserved = false;

	memset(&p, 0, sizeof(p));
	memcpy(&p, f->in.bytes + HEADER,
	       f->in.header.size < sizeof(p) ? f->in.header.size : sizeof(p));
	switch (f->in.header.request) {
	case VGPU_MSG_HELLO:
		reserved = p.hello.flags || p.hello.reserved;
		if (!memchr(p.hello.name, 0, sizeof(p.hello.name)))
			return "a HELLO whose name has no end";
		break;
	case VGPU_MSG_SET_MEM_TABLE:
		return check_table(&p.table, f->nfds);
	case VGPU_MSG_ADD_MEM_REG:
		if (p.region.region.xen_flags && f->nfds)
			return "a region by domain with a descriptor";
		if (!p.region.region.xen_flags && !f->nfds)
			return "a message with too few descriptors";
		/* fall through */
	case VGPU_MSG_REM_MEM_REG:
		reserved = p.region.reserved || p.region.region.user_addr;
		break;
	case VGPU_MSG_QUEUE_STOP:
	case VGPU_MSG_QUEUE_RESUME:
		reserved = p.queue.reserved;
		break;
	}
	return reserved ? "a reserved field that is not 0" : NULL;
}

int framing_added(struct framing *f, size_t n, const int *fds, size_t nfds, const char **why)
{
	bool first = f->have == 0;
	bool had_header = f->have >= HEADER;

	for (size_t i = 0; i < nfds && f->nfds < 2 * VGPU_MSG_FDS_MAX; i++)
		f->fds[f->nfds++] = fds[i];
	f->have += n;
	*why = NULL;
	if (nfds && !first)
		*why = "descriptors in the midst of a message";
	else if (!had_header && f->have >= HEADER)
		*why = check_header(f);
	if (*why)
		return -EPROTO;
	if (f->have < HEADER || f->have < HEADER + f->in.header.size)
		return 0;
	*why = check_payload(f);
	if (*why)
		return -EPROTO;
	f->hello_seen = true;
	return 1;
}

uint32_t framing_request(const struct framing *f)
{
	return f->in.header.request;
}

bool framing_wants_reply(const struct framing *f)
{
	return f->in.header.flags & VGPU_MSG_NEED_REPLY;
}

void framing_payload(const struct framing *f, void *to, size_t size)
{
	memcpy(to, f->in.bytes + HEADER, size);
}

int framing_take_fd(struct framing *f, size_t i)
{
	int fd = i < f->nfds ? f->fds[i] : -1;

	if (i < f->nfds)
		f->fds[i] = -1;
	return fd;
}

void framing_next(struct framing *f, void (*close_fd)(int fd))
{
	for (size_t i = 0; i < f->nfds; i++) {
		if (f->fds[i] >= 0)
			close_fd(f->fds[i]);
		f->fds[i] = -1;
	}
	f->nfds = 0;
	f->have = 0;
}
