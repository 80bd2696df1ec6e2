// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hostile: registers and the set-up of queues.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define RANDOM_WRITES 20000

/*
 * An address that harms nobody but us if the host believes it: in the arena,
 * unaligned, or far outside RAM.
 */
static uint32_t random_address_low(const struct raw *r)
{
	if (rnd() % 2)
		return (uint32_t)(r->phys + rnd() % 0x80 * VGPU_PAGE);
	return (uint32_t)rnd() | 1;
}

static void random_write(struct raw *r)
{
	static const uint32_t favourites[] = {
		0, 1, 2, 3, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc};
	uint32_t reg = rnd() % 4 ? rnd() % 0x100 & ~3u : rnd() % VGPU_BAR_REGS_SIZE & ~3u;
	uint32_t value = rnd() % 2 ? (uint32_t)rnd() : favourites[rnd() % 10];

	if (reg == VGPU_REG_QUEUE_ADDR_LO || reg == VGPU_REG_QUEUE_TABLE_LO)
		value = random_address_low(r);
	if (reg == VGPU_REG_CONTROL && rnd() % 16)
		value = VGPU_CONTROL_FEATURES_OK; /* else most of the time would be resets */
	pci_write(&r->pci, reg, value);
}

/* Accesses that the device does not have: they must read 0 and do nothing. */
static void odd_accesses(struct raw *r)
{
	volatile uint8_t *byte = (volatile uint8_t *)r->pci.regs;
	bool zero = true;

	for (uint32_t at = 0; at < VGPU_REG_DATA; at++) {
		zero &= byte[at] == 0;
		byte[at] = 0xff;
	}
	for (uint32_t at = 0; at + 2 <= VGPU_REG_DATA; at += 2) {
		zero &= *(volatile uint16_t *)(byte + at) == 0;
		*(volatile uint16_t *)(byte + at) = 0xffff;
	}
	check(zero, "registers: accesses of 8 and 16 bits read 0");
	check(pci_read(&r->pci, VGPU_REG_MAGIC) == VGPU_MAGIC, "registers: and write nothing");
}

typedef uint32_t __attribute__((aligned(1), may_alias)) odd32;
typedef uint64_t __attribute__((aligned(1), may_alias)) odd64;

/*
 * Accesses that lie across registers, up to the last bytes of the BAR.  What is
 * not aligned comes to the device in whatever pieces the machine makes of it,
 * so there only what it leaves behind counts.
 */
static void across_edges(struct raw *r)
{
	volatile uint8_t *byte = (volatile uint8_t *)r->pci.regs;
	bool zero = true;

	for (uint32_t at = 0; at + 8 <= VGPU_BAR_REGS_SIZE; at += at < VGPU_REG_DATA ? 1 : 509) {
		uint64_t value = *(volatile odd64 *)(byte + at);

		zero &= at % 8 || value == 0;
		*(volatile odd64 *)(byte + at) = UINT64_MAX;
		if (at % 4) {
			(void)*(volatile odd32 *)(byte + at);
			*(volatile odd32 *)(byte + at) = UINT32_MAX;
		}
	}
	zero &= *(volatile odd64 *)(byte + VGPU_BAR_REGS_SIZE - 8) == 0;
	check(zero, "registers: accesses of 64 bits read 0");
	check(pci_read(&r->pci, VGPU_REG_MAGIC) == VGPU_MAGIC,
	      "registers: and they and all that are not aligned write nothing");
}

#ifdef __x86_64__
#define STRING_WORDS 32u

/* `words` 32-bit words by one string instruction; backwards from their last ones. */
static void string_move(volatile void *to, const volatile void *from, size_t words, bool backwards)
{
	const size_t skip = backwards ? 4 * (words - 1) : 0;
	const volatile uint8_t *s = (const volatile uint8_t *)from + skip;
	volatile uint8_t *d = (volatile uint8_t *)to + skip;

	if (backwards)
		__asm__ volatile("std; rep movsl; cld" : "+D"(d), "+S"(s), "+c"(words)::"memory");
	else
		__asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(words)::"memory");
}

/* On Xen one request stands for all of them, and names the guest's memory. */
static void strings(struct raw *r)
{
	uint32_t word[2][STRING_WORDS];

	for (int backwards = 0; backwards < 2; backwards++) {
		memset(word[backwards], 0xee, sizeof(word[backwards]));
		string_move(word[backwards], r->pci.regs, STRING_WORDS, backwards);
	}
	check(word[0][VGPU_REG_MAGIC / 4] == VGPU_MAGIC &&
		      memcmp(word[0], word[1], sizeof(word[0])) == 0,
	      "registers: read by string instructions, in both directions");
	for (size_t i = 0; i < STRING_WORDS; i++)
		word[0][i] = (uint32_t)rnd();
	string_move(r->pci.regs + VGPU_REG_DATA / 4, word[0], STRING_WORDS, false);
	string_move(word[1], r->pci.regs + VGPU_REG_DATA / 4, STRING_WORDS, true);
	check(memcmp(word[0], word[1], sizeof(word[0])) == 0,
	      "registers: what such an instruction writes is there");
	/* From registers to registers: whatever that means, it must come back. */
	string_move(r->pci.regs + VGPU_REG_DATA / 4, r->pci.regs, STRING_WORDS, true);
	check(pci_read(&r->pci, VGPU_REG_MAGIC) == VGPU_MAGIC,
	      "registers: and a move within them comes back");
}
#else
static void strings(struct raw *r)
{
	(void)r;
}
#endif

static int register_command(struct raw *r, uint32_t command, uint32_t offset, uint32_t length)
{
	struct timespec pause = {.tv_nsec = 1000000};

	pci_write(&r->pci, VGPU_REG_DATA_OFFSET, offset);
	pci_write(&r->pci, VGPU_REG_DATA_LENGTH, length);
	pci_write(&r->pci, VGPU_REG_COMMAND, command);
	for (int i = 0; i < 20000; i++) {
		if (pci_read(&r->pci, VGPU_REG_STATUS) & VGPU_STATUS_DONE)
			return (int)pci_read(&r->pci, VGPU_REG_RESULT);
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

static void payloads(struct raw *r)
{
	static const struct {
		uint32_t command, offset, length;
		int want;
	} t[] = {
		{VGPU_CMD_NOP, 0xffc, 4, 0},
		{VGPU_CMD_NOP, 0xffc, 5, -EINVAL},
		{VGPU_CMD_NOP, 0x0fc, 4, -EINVAL},
		{VGPU_CMD_NOP, 0x102, 4, -EINVAL},
		{VGPU_CMD_NOP, 0x1000, 4, -EINVAL},
		{VGPU_CMD_NOP, 0xfffffffc, 8, -EINVAL},
		{VGPU_CMD_NOP, 0x100, 0xffffffff, -EINVAL},
		{VGPU_CMD_NOP, 0x100, VGPU_DATA_SIZE + 1, -EINVAL},
		{0x7fff, 0x100, 0, -EOPNOTSUPP},
		{0x10000, 0x100, 0, -EOPNOTSUPP},
		{0xffffffff, 0x100, 0, -EOPNOTSUPP},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int got = register_command(r, t[i].command, t[i].offset, t[i].length);

		/* what a NOP makes of a payload is the worker's affair */
		check(got == t[i].want || (!t[i].want && got <= 0 && got != -ETIMEDOUT),
		      "registers: command 0x%x, payload 0x%x+0x%x: %d", t[i].command, t[i].offset,
		      t[i].length, got);
	}
}

void attack_registers(void)
{
	struct raw r;

	raw_open(&r);
	odd_accesses(&r);
	across_edges(&r);
	strings(&r);
	payloads(&r);
	for (int i = 0; i < times(RANDOM_WRITES); i++) {
		random_write(&r);
		if (i % 64 == 0)
			(void)pci_read(&r.pci, (uint32_t)rnd() % 0x100 & ~3u);
	}
	check(pci_reset(&r.pci), "registers: %d random writes, then a reset", times(RANDOM_WRITES));
	check(register_command(&r, VGPU_CMD_NOP, VGPU_REG_DATA, 0) == 0,
	      "registers: a NOP after that");
	raw_close(&r, "registers");
}

/* ------------------------------------------------------------------- queues */

static void bad_start(struct raw *r, const char *what, const struct raw_setup *s, int want)
{
	uint32_t state;
	int error;

	memset(r->mem, 0, ARENA_BYTES);
	raw_start(r, s);
	state = raw_settle(r, s->queue);
	error = (int)raw_error(r, s->queue);
	check(state == VGPU_QUEUE_STATE_FAILED && error < 0 && (!want || error == want),
	      "queues: %s: state %u, error %d", what, state, error);
	check(raw_stop(r, s->queue), "queues: %s: can be stopped", what);
}

static void bad_values(struct raw *r)
{
	struct raw_setup s;

#define BAD(field, value, want)                                \
	do {                                                   \
		s = raw_good(r);                               \
		s.field = (value);                             \
		bad_start(r, #field " = " #value, &s, (want)); \
	} while (0)
	BAD(addr, s.addr + 8, -EINVAL);
	BAD(addr, 0xfffffffffffff000u, -EINVAL);
	BAD(addr, 1ull << 40, 0);
	BAD(addr, 0xfee00000u, 0);
	BAD(addr, 0xffffffffffff0000u, 0);
	BAD(req_slots, 0, -EINVAL);
	BAD(req_slots, 64, -EINVAL);
	BAD(req_slots, 129, -EINVAL);
	BAD(req_slots, VGPU_SLOTS_MAX * 2, -EINVAL);
	BAD(req_slots, 0x80000000u, -EINVAL);
	BAD(rsp_slots, 0, -EINVAL);
	BAD(rsp_slots, 0xffffffffu, -EINVAL);
	BAD(table, s.table + 32, -EINVAL);
	BAD(table, 1ull << 40, 0);
	BAD(table, 0xffffffffffffffc0u, -EINVAL);
	BAD(buffers, VGPU_BUFFERS_MAX + 1, -EINVAL);
	BAD(buffers, 0xffffffffu, -EINVAL);
	BAD(vector, 0xffffu, -EINVAL);
#undef BAD
}

static void no_such_queue(struct raw *r)
{
	struct raw_setup s = raw_good(r);

	s.queue = 0xffffffffu;
	raw_start(r, &s);
	check(raw_settle(r, s.queue) == 0, "queues: a queue that does not exist");
	s.queue = pci_read(&r->pci, VGPU_REG_MAX_QUEUES);
	raw_start(r, &s);
	check(raw_settle(r, s.queue) != VGPU_QUEUE_STATE_RUNNING,
	      "queues: one more than there are");
	raw_stop(r, s.queue);
}

static void start_without_features(struct raw *r)
{
	struct raw_setup s = raw_good(r);

	pci_reset(&r->pci);
	bad_start(r, "before FEATURES_OK", &s, -EINVAL);
	pci_write(&r->pci, VGPU_REG_DRIVER_FEATURES_LO, 0xffffffff);
	pci_write(&r->pci, VGPU_REG_DRIVER_FEATURES_HI, 0xffffffff);
	pci_write(&r->pci, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	check(!(pci_read(&r->pci, VGPU_REG_CONTROL) & VGPU_CONTROL_FEATURES_OK),
	      "queues: features that are not offered");
	bad_start(r, "after features were refused", &s, -EINVAL);
	check(raw_negotiate(r), "queues: features can still be agreed on");
}

static void twice(struct raw *r)
{
	struct raw_setup s = raw_good(r);

	raw_fresh(r);
	s.addr += 0x1000;
	raw_start(r, &s);
	check(raw_nop(r), "queues: a start of a running queue changes nothing");
	s = raw_good(r);
	s.queue = 1;
	raw_start(r, &s); /* the same memory: our own fault, but nobody else's */
	raw_settle(r, 1);
	raw_nop(r);
	check(raw_stop(r, 1) && raw_stop(r, 0), "queues: two queues in the same memory");
}

static void hasty(struct raw *r)
{
	struct raw_setup s = raw_good(r);
	bool good = true;

	for (int i = 0; i < 40; i++) {
		s.queue = i % 4;
		memset(r->mem, 0, 0x10000);
		raw_start(r, &s);
		if (i % 3 == 0)
			raw_settle(r, s.queue);
		pci_write(&r->pci, VGPU_REG_QUEUE_SELECT, s.queue);
		pci_write(&r->pci, VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_STOP);
	}
	for (uint32_t q = 0; q < 4; q++)
		good &= raw_stop(r, q);
	check(good, "queues: started and stopped in haste");
	s.queue = 0;
	for (int i = 0; i < 10; i++) {
		raw_negotiate(r);
		raw_start(r, &s);
		good &= pci_reset(&r->pci);
	}
	check(good && raw_negotiate(r), "queues: reset while starting");
}

static void doorbells(struct raw *r)
{
	raw_fresh(r);
	for (int i = 0; i < times(20000); i++)
		r->pci.doorbells[rnd() % (r->pci.doorbell_bytes / 4)] = (uint32_t)rnd();
	check(raw_nop(r), "queues: doorbells of all queues, anywhere in the page");
}

void attack_queues(void)
{
	struct raw r;

	raw_open(&r);
	bad_values(&r);
	no_such_queue(&r);
	start_without_features(&r);
	twice(&r);
	hasty(&r);
	doorbells(&r);
	raw_close(&r, "queues");
}
