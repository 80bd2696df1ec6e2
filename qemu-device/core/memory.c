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
		.xen_flags = r->by_domain ? VGPU_XEN_FOREIGN : 0,
		.domid = r->domid,
	};
}

static bool same(const struct vgpu_core_region *a, const struct vgpu_core_region *b)
{
	return a->guest_addr == b->guest_addr && a->size == b->size && a->offset == b->offset &&
	       a->fd == b->fd && a->by_domain == b->by_domain && a->domid == b->domid;
}

static bool contains(const struct memory *m, const struct vgpu_core_region *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (same(&m->region[i], r))
			return true;
	return false;
}

/* RAM that this daemon cannot map is as good as none.  It is all of one kind. */
static bool can_be_mapped(const struct vgpu_core *c, const struct memory *m)
{
	return m->n && (c->link.by_domain || !m->region[0].by_domain);
}

bool memory_is_shared(const struct vgpu_core *c)
{
	return can_be_mapped(c, &c->mem);
}

/* What the daemon said of memory by domain; nobody else would tell the administrator. */
void memory_judge(struct vgpu_core *c, bool by_domain)
{
	bool was = memory_is_shared(c);

	c->link.by_domain = by_domain;
	if (c->mem.n && !memory_is_shared(c))
		core_log(c, VGPU_LOG_WARNING,
			 "gpu_mediator does not map memory by domain for this device, so only "
			 "commands by registers work; see [xen] in its configuration");
	if (was != memory_is_shared(c))
		core_interrupt(c, VGPU_INT_LINK);
}

static void send_one(struct vgpu_core *c, uint32_t request, const struct vgpu_core_region *r)
{
	struct vgpu_msg_mem_region m = {.region = wire(r)};

	link_send(c, request, true, &m, sizeof(m), &r->fd,
		  request == VGPU_MSG_ADD_MEM_REG && !r->by_domain);
	c->link.pending_mem++;
}

/* On a new connection: one table, then what it had no room for. */
void memory_send_all(struct vgpu_core *c)
{
	struct vgpu_msg_mem_table m = {0};
	int fds[VGPU_MSG_REGIONS_MAX];
	size_t i, nfds = 0;

	if (!memory_is_shared(c))
		return;
	for (i = 0; i < c->mem.n && i < VGPU_MSG_REGIONS_MAX; i++) {
		m.regions[i] = wire(&c->mem.region[i]);
		if (!c->mem.region[i].by_domain)
			fds[nfds++] = c->mem.region[i].fd;
	}
	m.nregions = (uint32_t)i;
	link_send(c, VGPU_MSG_SET_MEM_TABLE, true, &m, sizeof(m), fds, nfds);
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
	if (memory_is_shared(c) != can_be_mapped(c, &old))
		core_interrupt(c, VGPU_INT_LINK);
	if (link_agreed(c) && (memory_is_shared(c) || can_be_mapped(c, &old)))
		send_difference(c, &old);
	core_settle(c);
}

/* The same region once more says so. */
void vgpu_core_memory_changed(struct vgpu_core *c)
{
	for (size_t i = 0; link_agreed(c) && memory_is_shared(c) && i < c->mem.n; i++)
		if (c->mem.region[i].by_domain)
			send_one(c, VGPU_MSG_ADD_MEM_REG, &c->mem.region[i]);
	core_settle(c);
}
