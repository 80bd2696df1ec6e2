/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes the daemon's parser of messages and its memory table.
 *
 * Input: steps of { how many bytes arrive, how many descriptors come with
 * them, the bytes }.  Descriptors are numbers below zero, which nobody closes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "framing.h"
#include "memtable.h"

#define CHECK(what)              \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

static unsigned int given, dropped;

static void drop(int fd)
{
	(void)fd;
	dropped++;
}

static void on_table(struct framing *f, struct memtable *t)
{
	static const int fds[VGPU_MSG_REGIONS_MAX] = {-1, -1, -1, -1, -1, -1, -1, -1};
	struct vgpu_msg_mem_table m;
	const char *why = NULL;
	uint32_t before = t->n;

	framing_payload(f, &m, sizeof(m));
	CHECK(m.nregions <= VGPU_MSG_REGIONS_MAX);
	if (memtable_set(t, m.regions, fds, m.nregions, &why) < 0)
		CHECK(why && t->n == before);
	else
		CHECK(t->n == m.nregions);
}

static void on_region(struct framing *f, struct memtable *t)
{
	struct vgpu_msg_mem_region m;
	const char *why = NULL;
	int err;

	framing_payload(f, &m, sizeof(m));
	if (framing_request(f) == VGPU_MSG_ADD_MEM_REG)
		err = memtable_add(t, &m.region, -1, &why);
	else
		err = memtable_remove(t, &m.region, &why);
	CHECK(!err == !why);
}

/* What is in the table can be used without a further look. */
static void check_table(const struct memtable *t)
{
	CHECK(t->n <= VGPU_MEM_REGIONS_MAX);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct vgpu_mem_region *r = &t->region[i];

		CHECK(r->size && r->guest_addr + r->size > r->guest_addr);
		CHECK(!r->xen_flags ||
		      (r->xen_flags == VGPU_XEN_FOREIGN && r->domid && r->domid == t->domid));
		CHECK(r->xen_flags || !r->domid);
		for (uint32_t k = 0; k < i; k++)
			CHECK(r->guest_addr >= t->region[k].guest_addr + t->region[k].size ||
			      t->region[k].guest_addr >= r->guest_addr + r->size);
	}
}

static void on_message(struct framing *f, struct memtable *t)
{
	switch (framing_request(f)) {
	case VGPU_MSG_SET_MEM_TABLE:
		on_table(f, t);
		break;
	case VGPU_MSG_ADD_MEM_REG:
	case VGPU_MSG_REM_MEM_REG:
		on_region(f, t);
		break;
	}
	check_table(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[VGPU_MSG_FDS_MAX];
	struct memtable t;
	struct framing f;
	int ret = 0;

	memtable_init(&t);
	t.by_domain = true;
	framing_init(&f);
	given = dropped = 0;
	while (size > 2 && ret >= 0) {
		size_t room, n = data[0] + 1u, nfds = data[1] % (VGPU_MSG_FDS_MAX + 1);
		void *to = framing_room(&f, &room);
		const char *why = NULL;

		data += 2;
		size -= 2;
		CHECK(room > 0 && room <= VGPU_MSG_PAYLOAD_MAX + sizeof(struct vgpu_msg_header));
		n = n < room ? n : room;
		n = n < size ? n : size;
		memcpy(to, data, n);
		data += n;
		size -= n;
		for (size_t i = 0; i < nfds; i++)
			fds[i] = (int)i;
		given += nfds;
		ret = framing_added(&f, n, fds, nfds, &why);
		CHECK((ret < 0) == (why != NULL));
		if (ret == 1) {
			on_message(&f, &t);
			framing_next(&f, drop);
		}
	}
	framing_next(&f, drop);
	CHECK(given == dropped); /* none leaks, none is closed twice */
	memtable_clear(&t);
	return 0;
}
