/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes CUDA calls as a guest sends them: the worker's dispatch and all that
 * is behind it, on the cpu backend's driver.
 *
 * Input: items of the form struct fuzz_item, each followed by its descriptors and
 * its body (without struct vgpu_cuda_call).  Before them a session is made that
 * holds one object of each kind, so that an input can be short; afterwards all
 * is taken down again, which must succeed.  Words of a body that begin with
 * ADDRESS_TAG stand for addresses of that session, which an input cannot know.
 */
#include "fuzz_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 64

/* 0xadd7 in the upper half, then which address, then how far behind it. */
static uint64_t address_of(uint64_t word)
{
	uint64_t base[4];

	if (word >> 48 != ADDRESS_TAG)
		return word;
	base[0] = bench_device();
	base[1] = BENCH_WINDOW;
	base[2] = (uintptr_t)bench_device; /* memory of the worker itself */
	base[3] = bench_device() + BENCH_DEVICE_BYTES - 64;
	return base[word >> 40 & 3] + (word & 0xffffffff);
}

static void send(const struct fuzz_item *it, const uint8_t *desc, const uint8_t *body)
{
	_Alignas(8) static uint8_t rec[VGPU_RECORD_MAX];
	struct vgpu_request h = {.command = VGPU_CMD_CUDA,
				 .flags = it->flags & 1 ? VGPU_REQUEST_QUIET : 0,
				 .ndesc = it->ndesc};
	struct vgpu_cuda_call call = {.function = it->function,
				      .context = it->flags & 2   ? 0
						 : it->flags & 4 ? BENCH(CONTEXT, 2)
								 : BENCH(CONTEXT, 1)};
	const size_t descs = it->ndesc * sizeof(struct vgpu_desc);
	size_t at = sizeof(h), start;

	if (sizeof(h) + descs + sizeof(call) + it->length > VGPU_RECORD_MAX)
		return;
	memcpy(rec + at, desc, descs);
	at += descs;
	memcpy(rec + at, &call, sizeof(call));
	at += sizeof(call);
	start = at;
	memcpy(rec + at, body, it->length);
	at += it->length;
	if (getenv("FUZZ_SHOW")) /* to understand a crash: what was called */
		fprintf(stderr, "%s%s, %u bytes, %u descriptors\n",
			cuda_function_name(it->function) ? cuda_function_name(it->function) : "?",
			it->flags & 1 ? " quiet" : "", it->length, it->ndesc);
	for (size_t i = start; i + 8 <= at; i += 8) {
		uint64_t word;

		memcpy(&word, rec + i, 8);
		word = address_of(word);
		memcpy(rec + i, &word, 8);
	}
	h.length = (uint32_t)at;
	memcpy(rec, &h, sizeof(h));
	bench_record(rec, (uint32_t)at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_item it;

	bench_begin();
	for (unsigned int n = 0; n < ITEMS_MAX && size >= sizeof(it); n++) {
		size_t descs;

		memcpy(&it, data, sizeof(it));
		data += sizeof(it);
		size -= sizeof(it);
		it.ndesc %= VGPU_DESCS_MAX + 1;
		descs = it.ndesc * sizeof(struct vgpu_desc);
		if (descs > size)
			break;
		if (it.length > size - descs)
			it.length = (uint16_t)(size - descs);
		send(&it, data, data + descs);
		data += descs + it.length;
		size -= descs + it.length;
	}
	bench_end();
	return 0;
}
