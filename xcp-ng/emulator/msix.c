/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI-X. */
#include "msix.h"

#include <string.h>

enum { ADDRESS_LOW, ADDRESS_HIGH, DATA, CONTROL };

#define CONTROL_MASKED 1u
#define ENTRY_BYTES 16u

void msix_init(struct msix *m, uint32_t n,
	       void (*send)(void *opaque, uint64_t address, uint32_t data), void *opaque)
{
	memset(m, 0, sizeof(*m));
	m->n = n;
	m->send = send;
	m->opaque = opaque;
	for (uint32_t i = 0; i < n; i++)
		m->vector[i].word[CONTROL] = CONTROL_MASKED;
}

/*
 * A guest that has Xen bind the message to an event channel writes vector 0, and
 * masks the channel: it never touches the mask here, which begins as set.
 */
static bool is_masked(const uint32_t *word)
{
	return word[CONTROL] & CONTROL_MASKED && word[DATA] & 0xff;
}

/* Sends what is pending, if it may go. */
static void flush(struct msix *m, uint32_t i)
{
	const uint32_t *word = m->vector[i].word;

	if (!m->vector[i].pending || !m->enabled || m->held || is_masked(word))
		return;
	m->vector[i].pending = false;
	m->send(m->opaque, (uint64_t)word[ADDRESS_HIGH] << 32 | word[ADDRESS_LOW], word[DATA]);
}

void msix_set(struct msix *m, bool enabled, bool held)
{
	m->enabled = enabled;
	m->held = held;
	for (uint32_t i = 0; i < m->n; i++) {
		if (!enabled)
			m->vector[i].pending = false;
		flush(m, i);
	}
}

void msix_raise(struct msix *m, uint32_t vector)
{
	if (vector >= m->n || !m->enabled)
		return;
	m->vector[vector].pending = true;
	flush(m, vector);
}

static uint32_t read_pending(const struct msix *m, uint64_t first)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < 32 && first + i < m->n; i++)
		bits |= (uint32_t)m->vector[first + i].pending << i;
	return bits;
}

static uint32_t read_word(const struct msix *m, uint64_t offset)
{
	if (offset < (uint64_t)m->n * ENTRY_BYTES)
		return m->vector[offset / ENTRY_BYTES].word[offset % ENTRY_BYTES / 4];
	if (offset >= MSIX_PBA_OFFSET && offset < MSIX_BAR_BYTES)
		return read_pending(m, (offset - MSIX_PBA_OFFSET) * 8);
	return 0;
}

static bool is_sane(uint64_t offset, uint32_t size)
{
	return (size == 4 || size == 8) && offset % size == 0 && offset <= MSIX_BAR_BYTES - size;
}

uint64_t msix_read(const struct msix *m, uint64_t offset, uint32_t size)
{
	if (!is_sane(offset, size))
		return 0;
	if (size == 4)
		return read_word(m, offset);
	return read_word(m, offset) | (uint64_t)read_word(m, offset + 4) << 32;
}

static void write_word(struct msix *m, uint64_t offset, uint32_t value)
{
	uint32_t i = (uint32_t)(offset / ENTRY_BYTES), word = (uint32_t)(offset % ENTRY_BYTES / 4);

	if (offset >= (uint64_t)m->n * ENTRY_BYTES)
		return;
	if (word == CONTROL)
		value &= CONTROL_MASKED;
	m->vector[i].word[word] = value;
	flush(m, i);
}

void msix_write(struct msix *m, uint64_t offset, uint64_t value, uint32_t size)
{
	if (!is_sane(offset, size))
		return;
	write_word(m, offset, (uint32_t)value);
	if (size == 8)
		write_word(m, offset + 4, (uint32_t)(value >> 32));
}
