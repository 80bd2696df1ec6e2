// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test info: what the host computes on.
 */
#include <errno.h>

#include "gpu_test.h"

/* Major and minor as CUDA packs them: 1000 * major + 10 * minor. */
static void say_version(struct context *c, const char *what, const char *key, uint32_t version)
{
	if (version)
		say(c, "%s: %u.%u", what, version / 1000, version % 1000 / 10);
	report_int(c, key, version);
}

int run_info(struct context *c)
{
	struct vgpu_info_result r;
	int got = vgpu_call(c->session, VGPU_CMD_GPU_INFO, NULL, 0, NULL, 0, &r, sizeof(r),
			    c->opt.timeout_ms);

	if (got >= 0 && got < (int)sizeof(r))
		errno = EPROTO;
	if (got < (int)sizeof(r))
		return complain("info");
	r.name[sizeof(r.name) - 1] = '\0';
	say(c, "Name: %s", r.name);
	say_backend(c, r.backend);
	if (r.compute_major)
		say(c, "Compute capability: %u.%u", r.compute_major, r.compute_minor);
	say(c, "Processors: %u", r.multiprocessors);
	say(c, "Memory: %.1f MiB, free %.1f MiB", (double)r.memory_total / (1 << 20),
	    (double)r.memory_free / (1 << 20));
	say_version(c, "Driver", "driver_version", r.driver_version);
	say_version(c, "Runtime", "runtime_version", r.runtime_version);
	report_string(c, "name", r.name);
	report_int(c, "compute_major", r.compute_major);
	report_int(c, "compute_minor", r.compute_minor);
	report_int(c, "multiprocessors", r.multiprocessors);
	report_int(c, "memory_total", r.memory_total);
	report_int(c, "memory_free", r.memory_free);
	return EXIT_PASSED;
}
