// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test bandwidth: a buffer to the device and back, its sum and its contents
 * checked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "vgpu_stub.h"

#define DEFAULT_BYTES (16u << 20)
#define DEFAULT_REPEAT 10u

static uint32_t fill(uint32_t *word, size_t count, uint64_t state)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += word[i] = (uint32_t)random_next(&state);
	return sum;
}

static uint64_t changed_words(const uint32_t *word, size_t count, uint64_t state)
{
	uint64_t changed = 0;

	for (size_t i = 0; i < count; i++)
		changed += word[i] != (uint32_t)random_next(&state);
	return changed;
}

static double gigabytes_per_second(uint64_t bytes, uint64_t ns)
{
	return ns ? (double)bytes / (double)ns : 0;
}

static int verdict(struct context *c, const struct vgpu_bandwidth_result *r, uint64_t bytes,
		   uint64_t errors)
{
	double to = gigabytes_per_second(r->bytes, r->to_device_ns);
	double from = gigabytes_per_second(r->bytes, r->from_device_ns);

	say(c, "Bandwidth %s: %" PRIu64 " bytes, %" PRIu64 " errors", errors ? "failed" : "passed",
	    bytes, errors);
	say(c, "To device: %.2f GB/s, from device: %.2f GB/s", to, from);
	say_backend(c, r->backend);
	report_int(c, "bytes", bytes);
	report_int(c, "errors", errors);
	report_real(c, "to_device_gb_per_s", to);
	report_real(c, "from_device_gb_per_s", from);
	report_int(c, "host_copied", r->host_copied);
	return errors ? EXIT_FAILED : EXIT_PASSED;
}

static int measure(struct context *c, struct array *x)
{
	struct vgpu_bandwidth body = {.repetitions =
					      c->opt.repeat ? c->opt.repeat : DEFAULT_REPEAT};
	struct vgpu_desc desc = {.buffer = x->handle, .length = x->bytes};
	uint32_t *word = (uint32_t *)(void *)x->data;
	size_t count = x->bytes / sizeof(*word);
	uint32_t sum = fill(word, count, c->opt.seed);
	struct vgpu_bandwidth_result r;
	uint64_t errors;
	int got = vgpu_call(c->session, VGPU_CMD_BANDWIDTH, &desc, 1, &body, sizeof(body), &r,
			    sizeof(r), c->opt.timeout_ms);

	if (got >= 0 && got < (int)sizeof(r))
		errno = EPROTO;
	if (got < (int)sizeof(r))
		return complain("bandwidth");
	errors = changed_words(word, count, c->opt.seed);
	if (r.checksum != sum) {
		fprintf(stderr, "gpu_test: the device saw checksum 0x%08x, want 0x%08x\n",
			r.checksum, sum);
		errors++;
	}
	report_int(c, "repetitions", body.repetitions);
	return verdict(c, &r, x->bytes, errors);
}

int run_bandwidth(struct context *c)
{
	size_t bytes = c->opt.size ? (c->opt.size + 3) & ~(uint64_t)3 : DEFAULT_BYTES;
	struct array x;
	int ret;

	if (array_make(&x, bytes) < 0)
		return complain("memory");
	ret = array_register(c, &x, VGPU_STUB_BUFFER_READ | VGPU_STUB_BUFFER_WRITE);
	if (ret)
		ret = complain("registering the buffer");
	else
		ret = measure(c, &x);
	array_free(c, &x);
	return ret;
}
