/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the bare guest share: a machine without an operating
 * system, with one processor, no paging, and physical addresses as pointers.
 */
#ifndef BARE_H
#define BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"
#include "vgpu_ring.h"

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t cycles(void)
{
	return __builtin_ia32_rdtsc();
}

/* A little less than nothing: an access to a port that nobody has. */
static inline void relax(void)
{
	outb(0x80, 0);
}

/* console.c: the serial line, and the end. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* %s %u %d %x */
void finish(bool good) __attribute__((noreturn));
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* pci.c */
struct device {
	volatile uint32_t *regs;
	uint8_t *doorbells;
	uint32_t *msix; /* table */
	uint32_t address;
	uint32_t msix_at; /* of the capability */
};
void find_device(struct device *d);
void enable_msix(struct device *d);
void aim_vector(struct device *d, uint32_t vector, uint32_t address, uint32_t data);

static inline uint32_t reg(struct device *d, uint32_t offset)
{
	return d->regs[offset / 4];
}

static inline void set_reg(struct device *d, uint32_t offset, uint32_t value)
{
	d->regs[offset / 4] = value;
}

/* apic.c: one interrupt vector, which only counts. */
#define BARE_VECTOR 0x40
extern volatile uint32_t interrupts;
void interrupts_init(void);
uint32_t msi_address(void);

/* Sleeps until an interrupt, unless `ready` says that there is no need to. */
void sleep_unless(bool (*ready)(void *), void *opaque);

/* registers.c and queue.c: the two parts. */
void wait_for_link(struct device *d);
void run_registers(struct device *d, uint32_t count);
void run_queue(struct device *d, uint32_t count);

#endif /* BARE_H */
