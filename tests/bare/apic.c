/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts: an IDT with one vector that counts, the local APIC to receive
 * messages, the old interrupt controllers silenced.
 */
#include "bare.h"

#define LAPIC 0xfee00000u
#define LAPIC_ID 0x20
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_ENABLE 0x100
#define SPURIOUS_VECTOR 0xff

struct gate {
	uint16_t low;
	uint16_t selector;
	uint16_t type;
	uint16_t high;
};

struct frame;

volatile uint32_t interrupts;
static struct gate idt[256];

static volatile uint32_t *lapic(uint32_t offset)
{
	return (volatile uint32_t *)(LAPIC + offset);
}

/* boot.S */
void on_message(struct frame *frame);

__attribute__((interrupt)) static void on_spurious(struct frame *frame)
{
	(void)frame;
}

__attribute__((interrupt)) static void on_exception(struct frame *frame)
{
	(void)frame;
	fail("an exception");
}

static void set_gate(uint32_t vector, void (*handler)(struct frame *))
{
	uint32_t at = (uint32_t)handler;

	idt[vector] = (struct gate){(uint16_t)at, 8, 0x8e00, (uint16_t)(at >> 16)};
}

void interrupts_init(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	for (uint32_t i = 0; i < 32; i++)
		set_gate(i, on_exception);
	set_gate(BARE_VECTOR, on_message);
	set_gate(SPURIOUS_VECTOR, on_spurious);
	__asm__ volatile("lidt %0" : : "m"(pointer));
	*lapic(LAPIC_SPURIOUS) = LAPIC_ENABLE | SPURIOUS_VECTOR;
	__asm__ volatile("sti");
}

uint32_t msi_address(void)
{
	return LAPIC | (*lapic(LAPIC_ID) >> 24) << 12;
}

/* sti takes effect after the hlt has begun: no interrupt slips in between. */
void sleep_unless(bool (*ready)(void *), void *opaque)
{
	__asm__ volatile("cli");
	if (ready(opaque))
		__asm__ volatile("sti");
	else
		__asm__ volatile("sti; hlt" : : : "memory");
}
