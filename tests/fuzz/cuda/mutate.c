/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mutator: besides what libFuzzer does to bytes, it inserts whole calls
 * with arguments that may be right, made by the guest's own stubs.  So the
 * fuzzer need not find out handles, numbers and lengths by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "context.h"
#include "fuzz_cuda.h"
#include "seeds.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

static uint64_t state = 1;

static uint32_t random32(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 32);
}

/* ------------------------------------------------------ plausible arguments */
uint64_t seed_value(void)
{
	static const uint64_t some[] = {0,  0,  1,   1,    2,     3,       4,          8,
					16, 64, 256, 4096, 65536, 1 << 20, 0xffffffff, ~0ull};

	return some[random32() % (sizeof(some) / sizeof(some[0]))];
}

uint64_t seed_count(void)
{
	return random32() % 5;
}

uint64_t seed_address(void)
{
	return (uint64_t)ADDRESS_TAG << 48 |
	       (uint64_t)(random32() % 8 == 0 ? random32() % 4 : random32() % 2) << 40 |
	       (random32() % 16) * 256;
}

uint64_t seed_handle(unsigned int type)
{
	return vgpu_cuda_handle(type, 1, type * 8 + (random32() % 4 ? 1 : random32() % 8));
}

uint64_t seed_new(unsigned int type)
{
	return vgpu_cuda_handle(type, 1, type * 8 + 2 + random32() % 6);
}

const char *seed_string(void)
{
	static const char *const some[] = {"fill", "vector_add", "store_at", "counter", ""};

	return some[random32() % 5];
}

const struct vgpu_desc *seed_descs(unsigned int *n)
{
	static struct vgpu_desc desc[4];

	*n = random32() % 4;
	for (unsigned int i = 0; i < *n; i++)
		desc[i] = (struct vgpu_desc){.buffer = random32() % 5,
					     .offset = random32() % 4 ? 0 : random32() % 8192,
					     .length = random32() % 2 ? 65536 : 4096};
	return desc;
}

const void *seed_data(unsigned int type)
{
	static uint64_t data[VGPU_RECORD_MAX / 8];

	for (size_t i = 0; i < 64; i++) {
		uint32_t what = random32() % 8;

		if (type)
			data[i] = seed_handle(type);
		else if (what < 4)
			data[i] = random32() % 4 | (uint64_t)(random32() % 4) << 32;
		else if (what < 6)
			data[i] = seed_address();
		else
			data[i] = seed_handle(1 + random32() % (VGPU_CUDA_TYPES - 1));
	}
	return data;
}

void *seed_room(void)
{
	static uint64_t room[2 * VGPU_RECORD_MAX / 8];

	return room;
}

/* ---------------------------------------------------------- the stubs' client */
static struct {
	uint8_t bytes[2 * VGPU_RECORD_MAX];
	size_t length;
} made;

static void make(uint32_t function, bool quiet, uint64_t ctx, const struct vgpu_desc *desc,
		 unsigned int ndesc, const struct vgpu_piece *p, size_t n)
{
	struct fuzz_item it = {.function = (uint16_t)function,
			       .flags = (quiet ? 1 : 0) | (ctx ? 0 : 2),
			       .ndesc = (uint8_t)ndesc};
	size_t at = sizeof(it) + ndesc * sizeof(*desc);

	if (ndesc)
		memcpy(made.bytes + sizeof(it), desc, ndesc * sizeof(*desc));
	for (size_t i = 0; i < n; i++) {
		if (at + p[i].length > sizeof(made.bytes))
			return;
		if (p[i].length)
			memcpy(made.bytes + at, p[i].data, p[i].length);
		at += p[i].length;
		it.length += (uint16_t)p[i].length;
	}
	memcpy(made.bytes, &it, sizeof(it));
	made.length = at;
}

CUresult client_post(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n)
{
	make(fn, true, ctx, desc, ndesc, p, n);
	return CUDA_SUCCESS;
}

CUresult client_call(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n, void *out, size_t size, size_t *got)
{
	(void)out;
	(void)size;
	(void)got;
	make(fn, false, ctx, desc, ndesc, p, n);
	return CUDA_ERROR_UNKNOWN; /* no answer, so none is unpacked */
}

/* -------------------------------------------------------------- the mutator */
/* Where an item begins. */
static size_t boundary(const uint8_t *data, size_t size, unsigned int nth)
{
	struct fuzz_item it;
	size_t at = 0;

	while (nth-- && size - at >= sizeof(it)) {
		size_t step;

		memcpy(&it, data + at, sizeof(it));
		step = sizeof(it) + it.ndesc % (VGPU_DESCS_MAX + 1) * sizeof(struct vgpu_desc) +
		       it.length;
		if (step > size - at)
			break;
		at += step;
	}
	return at;
}

static size_t insert(uint8_t *data, size_t size, size_t max)
{
	size_t at = boundary(data, size, random32() % 16);

	made.length = 0;
	cuda_seeds[random32() % cuda_nseeds]();
	if (!made.length || made.length > max - size)
		return size;
	memmove(data + at + made.length, data + at, size - at);
	memcpy(data + at, made.bytes, made.length);
	return size + made.length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t before = size;

	state = seed * 2654435761u + 1;
	if (random32() % 3)
		size = insert(data, size, max);
	while (random32() % 4 == 0)
		size = insert(data, size, max);
	return size != before ? size : LLVMFuzzerMutate(data, size, max);
}
