/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Part two: a queue in our own RAM, with a doorbell and an interrupt for each
 * request; then the counters that tell which way they took.
 */
#include "bare.h"

#define QUEUE 3u
#define QUEUE_MSIX_VECTOR 2u
#define SLOTS 256u
#define PATIENCE 50000000u

static uint8_t memory[VGPU_PAGE + 2 * SLOTS * VGPU_SLOT] __attribute__((aligned(4096)));
static struct vgpu_ring ring;

static void select_state(struct device *d, uint32_t control, uint32_t want)
{
	set_reg(d, VGPU_REG_QUEUE_CONTROL, control);
	for (uint32_t i = 0; i < PATIENCE; i++) {
		uint32_t state = reg(d, VGPU_REG_QUEUE_STATE);

		if (state == want)
			return;
		if (state == VGPU_QUEUE_STATE_FAILED)
			fail("the queue failed: %d", (int32_t)reg(d, VGPU_REG_QUEUE_ERROR));
		relax();
	}
	fail("the queue does not reach state %u", want);
}

static void start(struct device *d)
{
	vgpu_ring_init(&ring, memory, SLOTS, SLOTS);
	aim_vector(d, QUEUE_MSIX_VECTOR, msi_address(), BARE_VECTOR);
	enable_msix(d);
	set_reg(d, VGPU_REG_DRIVER_FEATURES_LO, VGPU_F_QUEUES | VGPU_F_POLLING);
	set_reg(d, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	if (reg(d, VGPU_REG_CONTROL) != VGPU_CONTROL_FEATURES_OK)
		fail("features were refused, status 0x%x", reg(d, VGPU_REG_STATUS));
	set_reg(d, VGPU_REG_QUEUE_SELECT, QUEUE);
	set_reg(d, VGPU_REG_QUEUE_ADDR_LO, (uint32_t)memory);
	set_reg(d, VGPU_REG_QUEUE_ADDR_HI, 0);
	set_reg(d, VGPU_REG_QUEUE_REQ_SLOTS, SLOTS);
	set_reg(d, VGPU_REG_QUEUE_RSP_SLOTS, SLOTS);
	set_reg(d, VGPU_REG_QUEUE_BUFFERS, 0);
	set_reg(d, VGPU_REG_QUEUE_VECTOR, QUEUE_MSIX_VECTOR);
	select_state(d, VGPU_QUEUE_START, VGPU_QUEUE_STATE_RUNNING);
}

static void push(uint16_t command, uint64_t id)
{
	struct vgpu_request rq = {.length = sizeof(rq), .command = command, .id = id};
	struct vgpu_piece piece = {&rq, sizeof(rq)};
	int err = vgpu_ring_push(&ring, &piece, 1);

	if (err)
		fail("push gives %d", err);
}

static void doorbell(struct device *d)
{
	*(volatile uint32_t *)(d->doorbells + QUEUE * VGPU_DOORBELL_STRIDE) = 1;
}

static void pop(uint64_t id, void *record)
{
	struct vgpu_response *rsp = record;
	int n = vgpu_ring_pop(&ring, record);

	if (n < 0 || rsp->id != id || rsp->status)
		fail("answer: %d, id %u of %u, status %d", n, (uint32_t)rsp->id, (uint32_t)id,
		     (int32_t)rsp->status);
}

static bool has_response(void *opaque)
{
	(void)opaque;
	return vgpu_ring_has_response(&ring);
}

static uint8_t record[VGPU_RECORD_MAX];

/* One request, its doorbell without asking whether it is wanted, its interrupt. */
static void round_trip(struct device *d, uint16_t command, uint64_t id)
{
	push(command, id);
	doorbell(d);
	while (!vgpu_ring_has_response(&ring))
		sleep_unless(has_response, NULL);
	pop(id, record);
}

static void polled(struct device *d, uint64_t id)
{
	push(VGPU_CMD_NOP, id);
	if (vgpu_ring_must_kick(&ring))
		doorbell(d);
	for (uint32_t i = 0; !vgpu_ring_has_response(&ring); i++)
		if (i == PATIENCE)
			fail("no answer while polling");
	pop(id, record);
}

void run_queue(struct device *d, uint32_t count)
{
	struct vgpu_status_result *s = (void *)(record + sizeof(struct vgpu_response));
	uint64_t begin;
	uint32_t i;

	interrupts_init();
	start(d);
	begin = cycles();
	for (i = 0; i < count; i++)
		round_trip(d, VGPU_CMD_NOP, i);
	print("interrupt round trip: %u cycles\n", (uint32_t)((cycles() - begin) / count));
	round_trip(d, VGPU_CMD_QUERY_STATUS, i++);
	print("%u requests, %u interrupts taken\n", i, interrupts);
	print("kicks %u, calls %u, sleeps %u\n", (uint32_t)s->kicks, (uint32_t)s->calls,
	      (uint32_t)s->sleeps);
	print("slow doorbells %u, slow interrupts %u\n", reg(d, VGPU_REG_COUNT_DOORBELLS),
	      reg(d, VGPU_REG_COUNT_INTERRUPTS));

	vgpu_ring_set_polling(&ring, true);
	begin = cycles();
	for (uint32_t k = 0; k < count; k++)
		polled(d, i++);
	print("polled round trip: %u cycles\n", (uint32_t)((cycles() - begin) / count));
	select_state(d, VGPU_QUEUE_STOP, VGPU_QUEUE_STATE_STOPPED);
	print("queue stopped\n");
}
