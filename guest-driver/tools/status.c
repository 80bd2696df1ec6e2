// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test status: the counters of a session, its own.
 */
#include <errno.h>
#include <inttypes.h>

#include "gpu_test.h"

static void say_counter(struct context *c, const char *what, const char *key, uint64_t value)
{
	say(c, "%s: %" PRIu64, what, value);
	report_int(c, key, value);
}

int run_status(struct context *c)
{
	struct vgpu_status_result r;
	int got = vgpu_call(c->session, VGPU_CMD_QUERY_STATUS, NULL, 0, NULL, 0, &r, sizeof(r),
			    c->opt.timeout_ms);

	if (got >= 0 && got < (int)sizeof(r))
		errno = EPROTO;
	if (got < (int)sizeof(r))
		return complain("status");
	say(c, "Status: ready");
	say_backend(c, r.backend);
	say_counter(c, "Uptime (ns)", "uptime_ns", r.uptime_ns);
	say_counter(c, "Requests", "requests", r.requests);
	say_counter(c, "Errors", "errors", r.errors);
	say_counter(c, "Bytes in", "bytes_in", r.bytes_in);
	say_counter(c, "Bytes out", "bytes_out", r.bytes_out);
	say_counter(c, "Bytes copied by a CPU of the host", "host_copied", r.host_copied);
	say_counter(c, "Doorbells", "kicks", r.kicks);
	say_counter(c, "Interrupts", "calls", r.calls);
	say_counter(c, "Sleeps", "sleeps", r.sleeps);
	return EXIT_PASSED;
}
