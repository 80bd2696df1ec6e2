// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test: opening, printing, random numbers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu_test.h"

static const char *hint(int error)
{
	switch (error) {
	case ENOTCONN:
		return " (is gpu_mediator running on the host?)";
	case ECONNREFUSED:
		return " (the host refuses this VM; its log says why)";
	case EBUSY:
		return " (all queues of the device are in use)";
	case EACCES:
		return " (are you in the group of the device file or socket?)";
	default:
		return "";
	}
}

int open_session(struct context *c)
{
	const char *path = c->opt.device;
	int error;

	if (!path)
		path = getenv("VGPU_TRANSPORT");
	if (!path)
		path = VGPU_DEVICE_PATH;
	c->session = vgpu_session_open(path);
	if (c->session) {
		vgpu_session_set_wait(c->session, c->opt.wait);
		return EXIT_PASSED;
	}
	error = errno;
	if (*vgpu_open_reason())
		fprintf(stderr, "gpu_test: %s: the host refuses: %s\n", path, vgpu_open_reason());
	else if (*vgpu_open_reason())
		fprintf(stderr, "gpu_test: %s: %s: %s\n", path, strerror(error),
			vgpu_open_reason());
	else
		fprintf(stderr, "gpu_test: %s: %s%s\n", path, strerror(error), hint(error));
	if (error == ENOENT || error == ENXIO || error == ENODEV)
		return EXIT_NO_DEVICE;
	return EXIT_FAILED;
}

void say(const struct context *c, const char *format, ...)
{
	va_list args;

	if (c->opt.json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

int complain(const char *what)
{
	fprintf(stderr, "gpu_test: %s: %s\n", what, strerror(errno));
	return EXIT_FAILED;
}

const char *backend_name(uint32_t backend)
{
	switch (backend) {
	case VGPU_BACKEND_CPU:
		return "cpu";
	case VGPU_BACKEND_CUDA:
		return "cuda";
	default:
		return "unknown";
	}
}

void say_backend(struct context *c, uint32_t backend)
{
	say(c, "Backend: %s", backend_name(backend));
	report_string(c, "backend", backend_name(backend));
}

void report_int(struct context *c, const char *key, uint64_t value)
{
	json_object_set_new(c->report, key, json_integer((json_int_t)value));
}

void report_real(struct context *c, const char *key, double value)
{
	json_object_set_new(c->report, key, json_real(value));
}

void report_string(struct context *c, const char *key, const char *value)
{
	json_object_set_new(c->report, key, json_string(value));
}

uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* splitmix64 */
uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void random_floats(uint64_t *state, float *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i] = (float)((double)(int64_t)random_next(state) * 0x1p-63);
}
