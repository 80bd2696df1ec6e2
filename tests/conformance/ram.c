/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM for the tests, and operands in it.
 */
#include "ram.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define HUGE ((uint64_t)2 << 20)

const char *const shape_name[SHAPES] = {
	[SHAPE_CONTIGUOUS] = "contiguous",
	[SHAPE_PAGES] = "pages",
	[SHAPE_ODD] = "odd",
	[SHAPE_TINY] = "tiny",
	[SHAPE_MIXED] = "mixed",
	[SHAPE_HUGE] = "huge",
};

struct ram *ram_new(struct vgpu_backend *be, size_t size)
{
	struct ram *ram = g_new0(struct ram, 1);

	ram->size = size;
	ram->be = be;
	ram->fd = memfd_create("conformance-ram", MFD_CLOEXEC);
	if (ram->fd < 0 || ftruncate(ram->fd, (off_t)size) < 0)
		g_error("memfd of %zu bytes: %s", size, g_strerror(errno));
	ram->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ram->fd, 0);
	ram->shadow = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->base == MAP_FAILED || ram->shadow == MAP_FAILED)
		g_error("mapping %zu bytes: %s", size, g_strerror(errno));
	if (be)
		subject_map(be, ram->base, size);
	return ram;
}

void ram_free(struct ram *ram)
{
	if (ram->be)
		subject_unmap(ram->be, ram->base, ram->size);
	munmap(ram->base, ram->size);
	munmap(ram->shadow, ram->size);
	close(ram->fd);
	g_free(ram);
}

void ram_reset(struct ram *ram)
{
	ram->used = 0;
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Takes `length` bytes, fills them with noise and notes that they must stay so. */
static uint8_t *take(struct ram *ram, uint64_t length, uint64_t align)
{
	size_t at = (ram->used + align - 1) / align * align;

	if (at > ram->size || length > ram->size - at)
		g_error("the test wants more than its %zu bytes of RAM", ram->size);
	memset(ram->base + ram->used, 0xa5, at + length - ram->used);
	memset(ram->shadow + ram->used, 0xa5, at + length - ram->used);
	ram->used = at + length;
	return ram->base + at;
}

/* The length of the next run of a shape, not counting what is left of the operand. */
static uint64_t run_length(enum shape shape, bool first)
{
	static const uint64_t mixed[] = {4,     PAGE,       PAGE + 4,        65532,      65536,
					 65540, 256 * 1024, 256 * 1024 + 12, 1024 * 1024};

	switch (shape) {
	case SHAPE_PAGES:
		return PAGE;
	case SHAPE_ODD:
		return first ? PAGE - 1028 : PAGE;
	case SHAPE_TINY:
		return 4u * (uint64_t)g_test_rand_int_range(1, 17);
	case SHAPE_MIXED:
		return mixed[g_test_rand_int_range(0, G_N_ELEMENTS(mixed))];
	case SHAPE_HUGE:
		return HUGE;
	default:
		return UINT64_MAX;
	}
}

/* Cuts `length` bytes into runs; `base` is an offset until they have their places. */
static GArray *cut(enum shape shape, uint64_t length)
{
	GArray *runs = g_array_new(FALSE, FALSE, sizeof(struct vgpu_run));

	for (uint64_t done = 0; done < length;) {
		uint64_t wanted = run_length(shape, done == 0);
		struct vgpu_run run = {.length = MIN(wanted, length - done)};

		g_array_append_val(runs, run);
		done += run.length;
	}
	return runs;
}

/* Gives the runs their places, in an order that has nothing to do with theirs. */
static void place(struct ram *ram, enum shape shape, GArray *runs)
{
	guint *order = g_new(guint, runs->len + 1);

	for (guint i = 0; i < runs->len; i++) {
		guint j = (guint)g_test_rand_int_range(0, (gint32)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (guint i = 0; i < runs->len; i++) {
		guint which = shape == SHAPE_CONTIGUOUS ? i : order[i];
		struct vgpu_run *run = &g_array_index(runs, struct vgpu_run, which);

		switch (shape) {
		case SHAPE_PAGES:
			run->base = take(ram, PAGE, PAGE);
			break;
		case SHAPE_ODD:
			run->base = take(ram, PAGE, PAGE) + (which == 0 ? 1028 : 0);
			break;
		case SHAPE_HUGE:
			run->base = take(ram, HUGE, HUGE);
			break;
		case SHAPE_CONTIGUOUS:
			run->base = take(ram, run->length, PAGE);
			break;
		default: /* now and then no gap, so that neighbours touch */
			run->base = take(ram, run->length + 4u * (i % 3), 4);
			break;
		}
	}
	g_free(order);
}

struct vgpu_operand *operand_new(struct ram *ram, enum shape shape, uint64_t length)
{
	struct vgpu_operand *op = g_new0(struct vgpu_operand, 1);
	GArray *runs = cut(shape, length);

	place(ram, shape, runs);
	op->length = length;
	op->nruns = runs->len;
	op->run = (struct vgpu_run *)(void *)g_array_free(runs, FALSE);
	return op;
}

struct vgpu_operand *operand_around(void *base, uint64_t length)
{
	struct vgpu_operand *op = g_new0(struct vgpu_operand, 1);
	struct vgpu_run *run = g_new0(struct vgpu_run, 1);

	*run = (struct vgpu_run){base, length};
	*op = (struct vgpu_operand){run, 1, length};
	return op;
}

void operand_free(struct vgpu_operand *op)
{
	g_free((void *)op->run);
	g_free(op);
}

void operand_expect(struct ram *ram, const struct vgpu_operand *op, const void *data)
{
	const uint8_t *from = data;

	for (uint32_t i = 0; i < op->nruns; i++) {
		memcpy(ram->shadow + (op->run[i].base - ram->base), from, op->run[i].length);
		from += op->run[i].length;
	}
}

void operand_store(struct ram *ram, const struct vgpu_operand *op, const void *data)
{
	const uint8_t *from = data;

	for (uint32_t i = 0; i < op->nruns; i++) {
		memcpy(op->run[i].base, from, op->run[i].length);
		from += op->run[i].length;
	}
	if (ram)
		operand_expect(ram, op, data);
}

void operand_load(const struct vgpu_operand *op, void *data)
{
	uint8_t *to = data;

	for (uint32_t i = 0; i < op->nruns; i++) {
		memcpy(to, op->run[i].base, op->run[i].length);
		to += op->run[i].length;
	}
}

void ram_check(const struct ram *ram, const char *what)
{
	size_t bad = 0, first = 0;

	if (memcmp(ram->base, ram->shadow, ram->used) == 0)
		return;
	for (size_t i = 0; i < ram->used; i++) {
		if (ram->base[i] == ram->shadow[i])
			continue;
		if (bad++ == 0)
			first = i;
	}
	g_error("%s: %zu of %zu bytes of RAM are wrong, the first at offset %zu: "
		"is %02x, must be %02x",
		what, bad, ram->used, first, ram->base[first], ram->shadow[first]);
}

float *random_floats(uint32_t seed, uint64_t n)
{
	float *f = g_new(float, n + 1);
	uint32_t state = seed | 1u;

	for (uint64_t i = 0; i < n; i++) {
		uint32_t bits = next_random(&state);
		uint32_t exponent = 64 + (bits >> 23) % 128; /* far from overflow */

		bits = (bits & 0x807fffffu) | exponent << 23;
		memcpy(&f[i], &bits, sizeof(bits));
	}
	return f;
}

void fill_random(void *at, uint64_t length, uint32_t seed)
{
	uint32_t state = seed | 1u;
	uint8_t *to = at;

	for (uint64_t i = 0; i < length; i += sizeof(uint32_t)) {
		uint32_t word = next_random(&state);

		memcpy(to + i, &word, MIN(sizeof(word), length - i));
	}
}
