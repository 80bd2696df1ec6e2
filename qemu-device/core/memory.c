/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of guest RAM, and how the daemon's copy is kept equal to it.
 */
#include "core_priv.h"

static struct vgpu_mem_region wire(const struct vgpu_core_region *r)
{
	return (struct vgpu_mem_region){
		.guest_addr = r->guest_addr,
		.size = r->size,
		.mmap_offset = r->offset,
	};
}

static bool same(const struct vgpu_core_region *a, const struct vgpu_core_region *b)
{
	return a->guest_addr == b->guest_addr && a->size == b->size && a->offset == b->offset &&
	       a->fd == b->fd;
}

static bool contains(const struct memory *m, const struct vgpu_core_region *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (same(&m->region[i], r))
			return true;
	return false;
}

static void send_one(struct vgpu_core *c, uint32_t request, const struct vgpu_core_region *r)
{
	struct vgpu_msg_mem_region m = {.region = wire(r)};

	link_send(c, request, true, &m, sizeof(m), &r->fd, request == VGPU_MSG_ADD_MEM_REG);
	c->link.pending_mem++;
}

/* On a new connection: one table, then what it had no room for. */
void memory_send_all(struct vgpu_core *c)
{
	struct vgpu_msg_mem_table m = {0};
	int fds[VGPU_MSG_REGIONS_MAX];
	size_t i;

	if (!c->mem.n)
		return;
	for (i = 0; i < c->mem.n && i < VGPU_MSG_REGIONS_MAX; i++) {
		m.regions[i] = wire(&c->mem.region[i]);
		fds[i] = c->mem.region[i].fd;
	}
	m.nregions = (uint32_t)i;
	link_send(c, VGPU_MSG_SET_MEM_TABLE, true, &m, sizeof(m), fds, i);
	c->link.pending_mem++;
	for (; i < c->mem.n; i++)
		send_one(c, VGPU_MSG_ADD_MEM_REG, &c->mem.region[i]);
}

/* Removals first: a new region may overlap an old one. */
static void send_difference(struct vgpu_core *c, const struct memory *old)
{
	for (size_t i = 0; i < old->n; i++)
		if (!contains(&c->mem, &old->region[i]))
			send_one(c, VGPU_MSG_REM_MEM_REG, &old->region[i]);
	for (size_t i = 0; i < c->mem.n; i++)
		if (!contains(old, &c->mem.region[i]))
			send_one(c, VGPU_MSG_ADD_MEM_REG, &c->mem.region[i]);
}

void vgpu_core_set_memory(struct vgpu_core *c, const struct vgpu_core_region *region, size_t n)
{
	struct memory old = c->mem;

	if (n > VGPU_MEM_REGIONS_MAX) {
		core_log(c, VGPU_LOG_ERROR,
			 "guest RAM has %zu pieces, only %u can be shared: buffers in the others "
			 "will fail",
			 n, VGPU_MEM_REGIONS_MAX);
		n = VGPU_MEM_REGIONS_MAX;
	}
	if (n)
		memcpy(c->mem.region, region, n * sizeof(*region));
	c->mem.n = n;
	if (!n != !old.n)
		core_interrupt(c, VGPU_INT_LINK);
	if (link_agreed(c))
		send_difference(c, &old);
	core_settle(c);
}
