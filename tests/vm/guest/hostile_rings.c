// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hostile: rings and requests.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hostile.h"

/* The queue must be declared broken; a new one must then work. */
static void broken(struct raw *r, const char *what)
{
	int status = 0;
	int ret;

	do
		ret = raw_receive(r, &status);
	while (ret == 0);
	check(ret == -EPIPE && (int)r->ring.hdr->error == -EPROTO, "rings: %s: queue %s, error %d",
	      what, ret == -EPIPE ? "failed" : "still there", (int)r->ring.hdr->error);
	raw_fresh(r);
	check(raw_nop(r), "rings: %s: a new queue works", what);
}

static void set_index(struct raw *r, vgpu_le32 *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_SEQ_CST);
	pci_kick(&r->pci, 0);
}

static void bad_indices(struct raw *r)
{
	static const uint32_t jumps[] = {RAW_SLOTS + 1, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff};

	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		raw_fresh(r);
		set_index(r, &r->ring.hdr->req_prod, jumps[i]);
		broken(r, "req_prod out of range");
	}
	raw_fresh(r);
	raw_nop(r);
	raw_nop(r);
	set_index(r, &r->ring.hdr->req_prod, 1);
	broken(r, "req_prod backwards");
	raw_fresh(r);
	raw_nop(r);
	__atomic_store_n(&r->ring.hdr->rsp_cons, 177, __ATOMIC_SEQ_CST);
	raw_publish(r, &(struct vgpu_request){.length = 32}, 32, 1);
	broken(r, "rsp_cons ahead of rsp_prod");
}

static void bad_lengths(struct raw *r)
{
	static const struct {
		uint32_t length, slots;
	} t[] = {{0, 1},
		 {31, 1},
		 {65, 1},
		 {VGPU_RECORD_MAX, 127},
		 {VGPU_RECORD_MAX + 1, 129},
		 {0x10000, 128},
		 {0xffffffff, 1},
		 {0x80000000, 1}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct vgpu_request req = {.length = t[i].length};

		raw_fresh(r);
		raw_publish(r, &req, sizeof(req), t[i].slots);
		broken(r, "a record of impossible length");
	}
}

/* The host's own fields: it must not read them back. */
static void forged_host_fields(struct raw *r)
{
	bool good = true;

	raw_fresh(r);
	for (int i = 0; i < 50 && good; i++) {
		good = raw_nop(r);
		r->ring.hdr->host_flags = (uint32_t)rnd();
		r->ring.hdr->req_cons = (uint32_t)rnd();
		memset(r->ring.rsp, (int)rnd(), 64);
		r->ring.hdr->req_cons = r->ring.req_prod; /* our own push looks at it */
	}
	check(good, "rings: the host's fields overwritten");
}

static void full_response_ring(struct raw *r)
{
	struct vgpu_request req = {.command = VGPU_CMD_NOP};
	unsigned int sent = 0, got = 0;
	int status;

	raw_fresh(r);
	for (; sent < RAW_SLOTS; sent++)
		raw_send(r, &req, NULL, NULL, 0);
	check(raw_consumed(r), "rings: requests are taken while there is room for responses");
	/* the response ring is full now: these must wait, not overwrite */
	for (; sent < 2 * RAW_SLOTS; sent++)
		raw_send(r, &req, NULL, NULL, 0);
	while (got < sent && raw_receive(r, &status) == 0 && status == 0) {
		got++;
		pci_kick(&r->pci, 0);
	}
	check(got == sent, "rings: %u responses of %u through a full ring", got, sent);
}

static void scribble(struct raw *r)
{
	uint32_t size = VGPU_PAGE + 2 * RAW_SLOTS * VGPU_SLOT;

	for (int round = 0; round < 10; round++) {
		raw_fresh(r);
		for (int i = 0; i < 2000; i++) {
			/* a byte, an index, or a plausible header somewhere */
			uint32_t at = (uint32_t)(rnd() % size);
			struct vgpu_request req = {.length = 32 + rnd() % 128,
						   .command = rnd() % 8,
						   .ndesc = rnd() % 4};

			if (rnd() % 3 == 0)
				r->mem[at] = (uint8_t)rnd();
			else if (rnd() % 2)
				memcpy(r->ring.req + rnd() % RAW_SLOTS * VGPU_SLOT, &req,
				       sizeof(req));
			else
				r->ring.hdr->req_prod += 1 + rnd() % 3;
			if (i % 16 == 0)
				pci_kick(&r->pci, 0);
		}
		check(raw_stop(r, 0), "rings: random scribbling, round %d", round);
	}
	raw_fresh(r);
	check(raw_nop(r), "rings: a queue after the scribbling");
}

void attack_rings(void)
{
	struct raw r;

	raw_open(&r);
	bad_indices(&r);
	bad_lengths(&r);
	forged_host_fields(&r);
	full_response_ring(&r);
	scribble(&r);
	raw_close(&r, "rings");
}

/* ------------------------------------------------------------------ requests */

static void bad_headers(struct raw *r)
{
	struct vgpu_request req = {.command = VGPU_CMD_NOP};
	struct vgpu_desc desc[VGPU_DESCS_MAX + 1] = {0};

	req.flags = 1;
	raw_refused(r, "requests: flags", &req, NULL, NULL, 0, -EINVAL);
	req = (struct vgpu_request){.reserved0 = 1};
	raw_refused(r, "requests: reserved0", &req, NULL, NULL, 0, -EINVAL);
	req = (struct vgpu_request){.reserved1 = 1};
	raw_refused(r, "requests: reserved1", &req, NULL, NULL, 0, -EINVAL);
	req = (struct vgpu_request){.reserved2 = 1ull << 63};
	raw_refused(r, "requests: reserved2", &req, NULL, NULL, 0, -EINVAL);
	req = (struct vgpu_request){.ndesc = 1};
	raw_refused(r, "requests: a descriptor that is not there", &req, NULL, NULL, 0, -EINVAL);
	req = (struct vgpu_request){.ndesc = 0xffff};
	raw_refused(r, "requests: 65535 descriptors", &req, NULL, NULL, 0, -EINVAL);
	req = (struct vgpu_request){.ndesc = VGPU_DESCS_MAX + 1};
	raw_refused(r, "requests: 17 descriptors", &req, desc, NULL, 0, -EINVAL);
	for (uint32_t c = VGPU_CMD_TENANT + 1; c <= 0xffff; c = c * 3 + 1) {
		req = (struct vgpu_request){.command = (uint16_t)c};
		raw_refused(r, "requests: unknown command", &req, NULL, NULL, 0, -EOPNOTSUPP);
	}
}

static void bad_bodies(struct raw *r)
{
	static uint8_t body[VGPU_RECORD_MAX];
	struct vgpu_request req = {.command = VGPU_CMD_TEXT};
	struct vgpu_vector_add add = {.elements = 1ull << 62};
	struct vgpu_matmul mul = {.m = VGPU_MATMUL_DIM_MAX + 1, .n = 1, .k = 1};

	memset(body, 'x', sizeof(body));
	raw_refused(r, "requests: TEXT of no bytes", &req, NULL, NULL, 0, 0);
	raw_refused(r, "requests: TEXT of 1025 bytes", &req, NULL, body, VGPU_TEXT_MAX + 1, 0);
	req.command = VGPU_CMD_VECTOR_ADD;
	raw_refused(r, "requests: VECTOR_ADD, body of 4 bytes", &req, NULL, body, 4, 0);
	raw_refused(r, "requests: VECTOR_ADD of 2^62 inline", &req, NULL, &add, sizeof(add), 0);
	add.elements = 0;
	raw_refused(r, "requests: VECTOR_ADD of nothing", &req, NULL, &add, sizeof(add), 0);
	add.elements = 0x4000000000000001u;
	raw_refused(r, "requests: VECTOR_ADD whose size wraps", &req, NULL, &add, sizeof(add), 0);
	req.command = VGPU_CMD_MATMUL;
	raw_refused(r, "requests: MATMUL too large", &req, NULL, &mul, sizeof(mul), 0);
	mul = (struct vgpu_matmul){0xffffffff, 0xffffffff, 0xffffffff, 0};
	raw_refused(r, "requests: MATMUL whose size wraps", &req, NULL, &mul, sizeof(mul), 0);
	mul = (struct vgpu_matmul){0, 1, 1, 0};
	raw_refused(r, "requests: MATMUL of nothing", &req, NULL, &mul, sizeof(mul), 0);
	mul = (struct vgpu_matmul){1, 1, 1, 1};
	raw_refused(r, "requests: MATMUL, reserved", &req, NULL, &mul, sizeof(mul), -EINVAL);
}

static void bad_bandwidth(struct raw *r)
{
	struct vgpu_request req = {.command = VGPU_CMD_BANDWIDTH, .ndesc = 1};
	struct vgpu_bandwidth bw = {.repetitions = 0};
	struct vgpu_desc desc = {.buffer = 0, .length = 4096};

	raw_buffer(r, 0, 0, 4096, VGPU_BUFFER_READ | VGPU_BUFFER_WRITE);
	raw_refused(r, "requests: BANDWIDTH 0 times", &req, &desc, &bw, sizeof(bw), 0);
	bw.repetitions = 1001;
	raw_refused(r, "requests: BANDWIDTH 1001 times", &req, &desc, &bw, sizeof(bw), 0);
	bw = (struct vgpu_bandwidth){1, 1};
	raw_refused(r, "requests: BANDWIDTH, reserved", &req, &desc, &bw, sizeof(bw), -EINVAL);
	req.ndesc = 0;
	bw = (struct vgpu_bandwidth){1, 0};
	raw_refused(r, "requests: BANDWIDTH of nothing", &req, NULL, &bw, sizeof(bw), 0);
}

/* The largest that is allowed must still work. */
static void good_limits(struct raw *r)
{
	static uint8_t body[VGPU_RECORD_MAX];
	struct vgpu_request req = {.command = VGPU_CMD_TEXT};
	int status = -1;

	memset(body, 'L', sizeof(body));
	raw_send(r, &req, NULL, body, VGPU_TEXT_MAX);
	check(raw_receive(r, &status) == 0 && status == 0, "requests: TEXT of 1024 bytes");
	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)i;
	raw_send(r, &req, NULL, body, VGPU_TEXT_MAX);
	check(raw_receive(r, &status) == 0, "requests: TEXT of control characters");
	memset(body, 0, sizeof(body));
	body[0] = 8; /* elements */
	req.command = VGPU_CMD_VECTOR_ADD;
	raw_send(r, &req, NULL, body, 8 + 2 * 8 * sizeof(float));
	check(raw_receive(r, &status) == 0 && status == 0, "requests: VECTOR_ADD inline");
}

void attack_requests(void)
{
	struct raw r;

	raw_open(&r);
	raw_fresh(&r);
	bad_headers(&r);
	bad_bodies(&r);
	bad_bandwidth(&r);
	good_limits(&r);
	raw_close(&r, "requests");
}
