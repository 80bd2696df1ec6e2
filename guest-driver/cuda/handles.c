// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The names of CUDA objects: a table of all indices, free ones in a queue.
 *
 * The table is reserved as a whole and takes memory only where it is used, so
 * that looking up is one load with no lock.  An index is used again as late as
 * possible, with another generation, so that stale handles stay stale.
 */
#include "handles.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ENTRIES (1u << VGPU_CUDA_HANDLE_INDEX_BITS)
#define GENERATIONS (1u << VGPU_CUDA_HANDLE_GENERATION_BITS)
#define REUSE_AFTER 1024u /* so many free ones are left alone */

struct entry {
	uint64_t handle; /* 0: free */
	void *data;
	uint32_t generation; /* of the latest use */
	uint32_t next_free;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *table;
static uint32_t used = 1; /* indices ever used; 0 never is */
static uint32_t first_free, last_free, n_free;

static struct entry *entry_of(uint64_t h, enum vgpu_cuda_type type)
{
	struct entry *t = __atomic_load_n(&table, __ATOMIC_ACQUIRE);
	struct entry *e;

	if (!t || !h || vgpu_cuda_handle_type(h) != (uint32_t)type)
		return NULL;
	e = &t[vgpu_cuda_handle_index(h)];
	return __atomic_load_n(&e->handle, __ATOMIC_ACQUIRE) == h ? e : NULL;
}

/* Called with the lock held; 0 if there is none. */
static uint32_t take_index(void)
{
	uint32_t index;

	if (!table) {
		void *m = mmap(NULL, ENTRIES * sizeof(struct entry), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (m == MAP_FAILED)
			return 0;
		__atomic_store_n(&table, m, __ATOMIC_RELEASE);
	}
	if (n_free > REUSE_AFTER || (used == ENTRIES && n_free)) {
		index = first_free;
		first_free = table[index].next_free;
		n_free--;
		return index;
	}
	return used < ENTRIES ? used++ : 0;
}

uint64_t handle_new(enum vgpu_cuda_type type, void *data)
{
	struct entry *e;
	uint32_t index;
	uint64_t h = 0;

	pthread_mutex_lock(&lock);
	index = take_index();
	if (index) {
		e = &table[index];
		e->generation = (e->generation + 1) % GENERATIONS;
		if (!e->generation)
			e->generation = 1;
		h = vgpu_cuda_handle((uint32_t)type, e->generation, index);
		e->data = data;
		__atomic_store_n(&e->handle, h, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return h;
}

void handle_drop(uint64_t h)
{
	struct entry *e;
	uint32_t index;
	void *data;

	pthread_mutex_lock(&lock);
	e = entry_of(h, vgpu_cuda_handle_type(h));
	if (!e) {
		pthread_mutex_unlock(&lock);
		return;
	}
	index = vgpu_cuda_handle_index(h);
	data = e->data;
	__atomic_store_n(&e->handle, 0, __ATOMIC_RELEASE);
	e->data = NULL;
	if (n_free)
		table[last_free].next_free = index;
	else
		first_free = index;
	last_free = index;
	n_free++;
	pthread_mutex_unlock(&lock);
	free(data);
}

int handle_valid(uint64_t h, enum vgpu_cuda_type type)
{
	return entry_of(h, type) != NULL;
}

void *handle_data(uint64_t h, enum vgpu_cuda_type type)
{
	struct entry *e = entry_of(h, type);

	return e ? __atomic_load_n(&e->data, __ATOMIC_ACQUIRE) : NULL;
}

void handle_set_data(uint64_t h, void *data)
{
	struct entry *e = entry_of(h, vgpu_cuda_handle_type(h));

	if (e)
		__atomic_store_n(&e->data, data, __ATOMIC_RELEASE);
}

void handle_each(enum vgpu_cuda_type type, void (*visit)(uint64_t h, void *data, void *arg),
		 void *arg)
{
	uint32_t end;

	pthread_mutex_lock(&lock);
	end = table ? used : 0;
	pthread_mutex_unlock(&lock);
	for (uint32_t i = 1; i < end; i++) {
		uint64_t h = __atomic_load_n(&table[i].handle, __ATOMIC_ACQUIRE);

		if (h && vgpu_cuda_handle_type(h) == (uint32_t)type)
			visit(h, __atomic_load_n(&table[i].data, __ATOMIC_ACQUIRE), arg);
	}
}
