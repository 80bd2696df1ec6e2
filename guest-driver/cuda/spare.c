// SPDX-License-Identifier: GPL-2.0-or-later
/* Freed device memory, kept for a while. */
#include "spare.h"

#include <pthread.h>

#include "cuda_rpc.h"

#define SPARES 32u
#define SPARE_BYTES_MAX (16u << 20)
#define SPARE_TOTAL_MAX (64u << 20)

struct spare {
	uint64_t base; /* 0: free place */
	size_t size;
	struct context *context;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct spare spares[SPARES];
static size_t total;

static bool fits(size_t size)
{
	return size <= SPARE_BYTES_MAX && size <= SPARE_TOTAL_MAX - total;
}

static struct spare *free_place(void)
{
	for (unsigned int i = 0; i < SPARES; i++) {
		if (!spares[i].base)
			return &spares[i];
	}
	return NULL;
}

bool spare_keep(uint64_t base, size_t size, struct context *c)
{
	struct spare *s;

	pthread_mutex_lock(&lock);
	s = fits(size) ? free_place() : NULL;
	if (s) {
		*s = (struct spare){base, size, c};
		total += size;
	}
	pthread_mutex_unlock(&lock);
	return s;
}

uint64_t spare_take(size_t size, struct context *c)
{
	uint64_t base = 0;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; total && i < SPARES && !base; i++) {
		struct spare *s = &spares[i];

		if (!s->base || s->size != size || s->context != c)
			continue;
		base = s->base;
		s->base = 0;
		total -= size;
	}
	pthread_mutex_unlock(&lock);
	return base;
}

bool spare_release(void)
{
	bool some = false;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; total && i < SPARES; i++) {
		struct spare *s = &spares[i];

		if (!s->base)
			continue;
		rpc_cuMemFree_v2(s->base);
		total -= s->size;
		s->base = 0;
		some = true;
	}
	pthread_mutex_unlock(&lock);
	return some;
}

void spare_forget(const struct context *c)
{
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < SPARES; i++) {
		if (!spares[i].base || spares[i].context != c)
			continue;
		total -= spares[i].size;
		spares[i].base = 0;
	}
	pthread_mutex_unlock(&lock);
}
