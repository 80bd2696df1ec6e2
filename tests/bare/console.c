/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output on the first serial line, the end by isa-debug-exit, and the few
 * functions that the compiler expects from a C library.
 */
#include "bare.h"

#include <stdarg.h>

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4

void *memcpy(void *dst, const void *src, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int byte, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) : "memory");
	return dst;
}

static uint64_t divide(uint64_t n, uint64_t by, uint64_t *rest)
{
	uint64_t quotient = 0, r = 0;

	for (int bit = 63; bit >= 0; bit--) {
		r = r << 1 | (n >> bit & 1);
		if (r >= by) {
			r -= by;
			quotient |= 1ull << bit;
		}
	}
	*rest = r;
	return quotient;
}

/* 64-bit division is a call on this processor, and there is no libgcc for it here. */
uint64_t __udivdi3(uint64_t n, uint64_t by);
uint64_t __umoddi3(uint64_t n, uint64_t by);

uint64_t __udivdi3(uint64_t n, uint64_t by)
{
	uint64_t rest;

	return divide(n, by, &rest);
}

uint64_t __umoddi3(uint64_t n, uint64_t by)
{
	uint64_t rest;

	if (!(by & (by - 1))) /* all that the ring asks for; the loop is slow where it counts */
		return n & (by - 1);
	divide(n, by, &rest);
	return rest;
}

static void put(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (uint8_t)c);
}

static void put_number(uint32_t n, uint32_t base)
{
	char digits[11];
	int i = 0;

	do {
		digits[i++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (i)
		put(digits[--i]);
}

static void vprint(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		int32_t d;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			for (const char *s = va_arg(ap, const char *); *s; s++)
				put(*s);
			break;
		case 'u':
			put_number(va_arg(ap, uint32_t), 10);
			break;
		case 'x':
			put_number(va_arg(ap, uint32_t), 16);
			break;
		case 'd':
			d = va_arg(ap, int32_t);
			if (d < 0)
				put('-');
			put_number(d < 0 ? -(uint32_t)d : (uint32_t)d, 10);
			break;
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

/* QEMU ends with status 33 for good and 35 for bad. */
void finish(bool good)
{
	outb(DEBUG_EXIT, good ? 0x10 : 0x11);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void fail(const char *fmt, ...)
{
	va_list ap;

	print("FAILED: ");
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	print("\n");
	finish(false);
}
