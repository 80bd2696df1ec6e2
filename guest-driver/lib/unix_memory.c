// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvgpu without a VM: the memory that the worker sees.
 *
 * The number of regions is limited and every change of them costs the worker a
 * stop, so there is one memfd, larger than memory ever is, and full of holes.
 * The daemon hears of it once.  Areas are pieces of it; what is given back
 * becomes a hole again.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unix.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define HUGE_PAGE (2 * MIB)

/* Where things are in the memfd. */
#define TABLE_AT MIB
#define LISTS_AT (2 * MIB) /* one segment page for each buffer */
#define CONTROL_END (32 * MIB)
#define SMALL_END (64 * MIB) /* a region of its own: what touches little maps little */

/* Guest-physical addresses are made up; 0 is none of them. */
#define GPA_BASE (4 * GIB)

#define SIZE_MIN (64 * GIB)
#define SIZE_LIMIT (4ull << 40) /* of 128 TiB there are, for both sides */

/* How long to wait for the host to leave a buffer. */
#define USERS_MS 10000

/* Several times what there is, so that holes between areas never matter. */
static uint64_t wanted_size(void)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t size = SIZE_MIN;
	struct rlimit limit;

	while (size < 4 * ram && size < SIZE_LIMIT)
		size *= 2;
	/* growing a file beyond this limit is a signal, not an error */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
		size = limit.rlim_cur & ~(HUGE_PAGE - 1);
	return size;
}

int unix_memory_make(struct unix_memory *m)
{
	m->size = wanted_size();
	if (m->size <= SMALL_END)
		return fail(EFBIG);
	m->fd = memfd_create("vgpu-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0 || ftruncate(m->fd, (off_t)m->size) < 0 ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	m->control = mmap(NULL, CONTROL_END, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  m->fd, 0);
	if (m->control == MAP_FAILED) {
		m->control = NULL;
		return -1;
	}
	madvise(m->control, CONTROL_END, MADV_DONTFORK);
	return 0;
}

void unix_memory_free(struct unix_memory *m)
{
	while (m->places) {
		struct place *p = m->places;

		m->places = p->next;
		free(p);
	}
	if (m->control)
		munmap(m->control, CONTROL_END);
	if (m->fd >= 0)
		close(m->fd);
}

static struct vgpu_mem_region region(uint64_t from, uint64_t to)
{
	return (struct vgpu_mem_region){
		.guest_addr = GPA_BASE + from, .size = to - from, .mmap_offset = from};
}

void unix_memory_describe(const struct unix_memory *m, struct vgpu_msg_queue_start *start,
			  struct vgpu_msg_mem_table *table)
{
	*table = (struct vgpu_msg_mem_table){.nregions = 2};
	table->regions[0] = region(0, SMALL_END);
	table->regions[1] = region(SMALL_END, m->size);
	*start = (struct vgpu_msg_queue_start){.ring_addr = GPA_BASE,
					       .table_addr = GPA_BASE + TABLE_AT,
					       .req_slots = UNIX_REQ_SLOTS,
					       .rsp_slots = UNIX_RSP_SLOTS,
					       .nbuffers = UNIX_BUFFERS};
}

/* ------------------------------------------------------------------ places */

/* The first gap that is large enough; large ones begin at a multiple of a huge page. */
static struct place *place_take(struct unix_memory *m, uint64_t length)
{
	uint64_t align = length >= HUGE_PAGE ? HUGE_PAGE : VGPU_PAGE;
	struct place **link = &m->places, *new = malloc(sizeof(*new));
	uint64_t at = CONTROL_END;

	if (!new)
		return NULL;
	while (*link && (*link)->offset < at + length) {
		at = (*link)->offset + (*link)->length;
		at = (at + align - 1) & ~(align - 1);
		link = &(*link)->next;
	}
	if (at > m->size || length > m->size - at) {
		free(new);
		errno = ENOMEM;
		return NULL;
	}
	*new = (struct place){.next = *link, .offset = at, .length = length};
	*link = new;
	return new;
}

static void place_give(struct unix_memory *m, uint64_t offset)
{
	struct place **link = &m->places;

	while (*link && (*link)->offset != offset)
		link = &(*link)->next;
	if (*link) {
		struct place *gone = *link;

		*link = gone->next;
		free(gone);
	}
}

static void punch(const struct unix_memory *m, uint64_t offset, uint64_t length)
{
	int ret;

	do
		ret = fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)length);
	while (ret < 0 && errno == EINTR);
}

/* ----------------------------------------------------------------- buffers */

static struct vgpu_buffer_entry *entry_of(const struct unix_memory *m, uint32_t i)
{
	return (struct vgpu_buffer_entry *)(m->control + TABLE_AT) + i;
}

static bool entry_is_free(const struct unix_memory *m, uint32_t i)
{
	const struct vgpu_buffer_entry *e = entry_of(m, i);

	return !e->generation && !__atomic_load_n(&e->users, __ATOMIC_ACQUIRE);
}

static int entry_take(struct unix_memory *m, uint64_t offset, uint64_t length, uint32_t *index)
{
	struct vgpu_segment_page *list;
	struct vgpu_buffer_entry *e;
	uint32_t i, tried = 0;

	while (tried < UNIX_BUFFERS && !entry_is_free(m, (m->next_entry + tried) % UNIX_BUFFERS))
		tried++;
	if (tried == UNIX_BUFFERS)
		return fail(ENOSPC);
	i = (m->next_entry + tried) % UNIX_BUFFERS;
	m->next_entry = i + 1;
	e = entry_of(m, i);
	list = (struct vgpu_segment_page *)(m->control + LISTS_AT) + i;
	list->next = 0;
	list->count = 1;
	list->seg[0] = (struct vgpu_segment){GPA_BASE + offset, length};
	e->flags = VGPU_BUFFER_READ | VGPU_BUFFER_WRITE;
	e->length = length;
	e->list = GPA_BASE + LISTS_AT + (uint64_t)i * VGPU_PAGE;
	e->nsegments = 1;
	if (!++m->generation)
		m->generation = 1;
	__atomic_store_n(&e->generation, m->generation, __ATOMIC_RELEASE);
	*index = i;
	return 0;
}

/* As abi.md has it: no new user from here on, then wait until the last one is gone. */
static int entry_give(struct unix_link *l, uint32_t index)
{
	struct vgpu_buffer_entry *e = entry_of(&l->memory, index);
	int64_t deadline = deadline_of(USERS_MS);

	__atomic_store_n(&e->generation, 0, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while (__atomic_load_n(&e->users, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&l->lost, __ATOMIC_ACQUIRE)) /* there is no host any more */
			break;
		if (now_ns() >= deadline)
			return fail(EBUSY);
		usleep(50);
	}
	return 0;
}

int unix_area_create(struct vgpu_session *s, struct vgpu_area *a)
{
	struct unix_memory *m = &unix_of(s)->memory;
	struct place *p = place_take(m, a->length);

	if (!p)
		return -1;
	a->place = p->offset;
	if (mmap(a->addr, a->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		 m->fd, (off_t)p->offset) == MAP_FAILED ||
	    entry_take(m, p->offset, a->length, &a->buffer) < 0) {
		place_give(m, p->offset);
		return -1;
	}
	if (a->length >= HUGE_PAGE)
		madvise(a->addr, a->length, MADV_HUGEPAGE);
	return 0;
}

int unix_area_destroy(struct vgpu_session *s, const struct vgpu_area *a)
{
	struct unix_memory *m = &unix_of(s)->memory;

	if (a->buffer >= UNIX_BUFFERS)
		return fail(EINVAL);
	if (entry_give(unix_of(s), a->buffer) < 0)
		return -1;
	area_unmap(a);
	punch(m, a->place, a->length);
	place_give(m, a->place);
	return 0;
}
