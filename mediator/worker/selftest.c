/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The built-in self-tests: numbers that float32 holds exactly, checked one by one. */
#include "selftest.h"

#include <string.h>

#define N VGPU_SELF_TEST_ELEMENTS
#define SIDE 32u /* SIDE * SIDE == N */

static struct vgpu_operand whole(float *data, struct vgpu_run *run)
{
	*run = (struct vgpu_run){.base = (uint8_t *)data, .length = N * sizeof(float)};
	return (struct vgpu_operand){.run = run, .nruns = 1, .length = run->length};
}

int selftest_vector_add(const struct vgpu_backend_ops *ops, struct vgpu_backend *be,
			struct vgpu_work *work, uint32_t *errors)
{
	static float a[N], b[N], out[N];
	struct vgpu_run run[3];
	struct vgpu_operand x = whole(a, &run[0]), y = whole(b, &run[1]), z = whole(out, &run[2]);
	int err;

	for (uint32_t i = 0; i < N; i++) {
		a[i] = (float)i;
		b[i] = (float)(2 * i) + 0.5f;
		out[i] = -1.0f;
	}
	err = ops->vector_add(be, &x, &y, &z, N, work);
	for (uint32_t i = 0; i < N && !err; i++)
		*errors += out[i] != (float)(3 * i) + 0.5f;
	return err;
}

static float expected(const float *a, const float *b, uint32_t row, uint32_t column)
{
	float sum = 0.0f;

	for (uint32_t i = 0; i < SIDE; i++)
		sum += a[row * SIDE + i] * b[i * SIDE + column];
	return sum;
}

int selftest_matmul(const struct vgpu_backend_ops *ops, struct vgpu_backend *be,
		    struct vgpu_work *work, uint32_t *errors)
{
	static float a[N], b[N], out[N];
	const struct vgpu_matmul dims = {.m = SIDE, .n = SIDE, .k = SIDE};
	struct vgpu_run run[3];
	struct vgpu_operand x = whole(a, &run[0]), y = whole(b, &run[1]), z = whole(out, &run[2]);
	int err;

	for (uint32_t i = 0; i < N; i++) {
		a[i] = (float)(i % 7) - 3.0f;
		b[i] = (float)(i % 11) - 5.0f;
		out[i] = -1.0f;
	}
	err = ops->matmul(be, &x, &y, &z, &dims, work);
	for (uint32_t i = 0; i < N && !err; i++)
		*errors += out[i] != expected(a, b, i / SIDE, i % SIDE);
	return err;
}
