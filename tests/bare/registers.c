/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Part one: commands through BAR 0 alone.  No memory is shared, no interrupt
 * is used.
 */
#include "bare.h"

#define PATIENCE 20000000u /* looks at a register before we give up */

void wait_for_link(struct device *d)
{
	for (uint32_t i = 0; i < PATIENCE; i++) {
		if (reg(d, VGPU_REG_STATUS) & VGPU_STATUS_LINK)
			return;
		relax();
	}
	fail("no link to the daemon, status 0x%x", reg(d, VGPU_REG_STATUS));
}

/* Runs a command without payload; its result. */
static int32_t command(struct device *d, uint32_t number)
{
	set_reg(d, VGPU_REG_DATA_OFFSET, VGPU_REG_DATA);
	set_reg(d, VGPU_REG_DATA_LENGTH, 0);
	set_reg(d, VGPU_REG_COMMAND, number);
	for (uint32_t i = 0; i < PATIENCE; i++)
		if (reg(d, VGPU_REG_STATUS) & VGPU_STATUS_DONE)
			return (int32_t)reg(d, VGPU_REG_RESULT);
	fail("command %u does not end", number);
}

static void vector_add(struct device *d)
{
	const uint32_t base = VGPU_REG_DATA;
	int32_t result = command(d, VGPU_CMD_VECTOR_ADD);
	uint32_t errors, elements;

	if (result || reg(d, VGPU_REG_RESULT_LENGTH) != sizeof(struct vgpu_compute_result))
		fail("VECTOR_ADD gives %d, %u bytes", result, reg(d, VGPU_REG_RESULT_LENGTH));
	errors = reg(d, base + offsetof(struct vgpu_compute_result, errors));
	elements = reg(d, base + offsetof(struct vgpu_compute_result, elements));
	if (errors || elements != VGPU_SELF_TEST_ELEMENTS)
		fail("VECTOR_ADD: %u elements, %u errors", elements, errors);
	print("Vector add passed: %u elements, %u errors\n", elements, errors);
}

void run_registers(struct device *d, uint32_t count)
{
	uint64_t begin;
	int32_t result;

	if (reg(d, VGPU_REG_MAGIC) != VGPU_MAGIC ||
	    reg(d, VGPU_REG_ABI_VERSION) != VGPU_ABI_VERSION)
		fail("magic 0x%x, version 0x%x", reg(d, VGPU_REG_MAGIC),
		     reg(d, VGPU_REG_ABI_VERSION));
	result = command(d, VGPU_CMD_NOP);
	if (result)
		fail("NOP gives %d", result);
	print("NOP command successful\n");
	vector_add(d);
	begin = cycles();
	for (uint32_t i = 0; i < count; i++)
		command(d, VGPU_CMD_NOP);
	if (count)
		print("register round trip: %u cycles\n", (uint32_t)((cycles() - begin) / count));
}
