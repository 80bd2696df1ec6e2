// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test nop: a request that does nothing, there and back.
 */
#include "gpu_test.h"

int run_nop(struct context *c)
{
	unsigned int repeat = c->opt.repeat ? c->opt.repeat : 1;
	uint64_t began = monotonic_ns();

	for (unsigned int i = 0; i < repeat; i++)
		if (vgpu_call(c->session, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0,
			      c->opt.timeout_ms) < 0)
			return complain("nop");
	report_int(c, "repetitions", repeat);
	report_real(c, "mean_us", (double)(monotonic_ns() - began) / 1e3 / repeat);
	say(c, "NOP command successful");
	return EXIT_PASSED;
}
