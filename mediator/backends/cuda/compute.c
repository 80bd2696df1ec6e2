/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VECTOR_ADD and MATMUL: both operands to the device, a kernel, the result
 * back.  All input has been read before any output is written, so operands may
 * overlap.
 */
#include "session.h"

#include <errno.h>

static int bring(struct vgpu_backend *be, unsigned int index, const struct vgpu_operand *op,
		 struct vgpu_work *work)
{
	struct plan *plan = &be->plan[index];
	int rc = session_check(be, plan_make(plan, op, &be->regions, be->stream),
			       "preparing an operand");

	if (rc)
		return rc;
	return session_check(be,
			     plan_to_device(plan, be->buffer[index].at, &be->staging, be->stream,
					    &work->host_copied),
			     "copying to the device");
}

static int take_back(struct vgpu_backend *be, unsigned int from, const struct vgpu_operand *op,
		     struct vgpu_work *work)
{
	struct plan *plan = &be->plan[2];
	int rc = session_check(be, plan_make(plan, op, &be->regions, be->stream),
			       "preparing the result");

	if (rc)
		return rc;
	return session_check(be,
			     plan_from_device(plan, be->buffer[from].at, &be->staging, be->stream,
					      &work->host_copied),
			     "copying from the device");
}

static int vector_add(struct vgpu_backend *be, const struct vgpu_operand *a,
		      const struct vgpu_operand *b, const struct vgpu_operand *out, uint64_t n,
		      struct vgpu_work *work)
{
	int rc = session_reserve(be, 0, a->length);

	if (!rc)
		rc = session_reserve(be, 1, b->length);
	if (!rc)
		rc = bring(be, 0, a, work);
	if (!rc)
		rc = bring(be, 1, b, work);
	if (!rc)
		rc = session_check(be,
				   vgpu_kernel_vector_add((float *)be->buffer[0].at,
							  (const float *)be->buffer[1].at, n,
							  be->stream),
				   "vector_add kernel");
	if (!rc)
		rc = take_back(be, 0, out, work);
	return rc;
}

int cuda_vector_add(struct vgpu_backend *be, const struct vgpu_operand *a,
		    const struct vgpu_operand *b, const struct vgpu_operand *out, uint64_t n,
		    struct vgpu_work *work)
{
	int rc;

	if (n > UINT64_MAX / sizeof(float) || a->length != n * sizeof(float) ||
	    b->length != a->length || out->length != a->length)
		return -EINVAL;
	if (n == 0)
		return be->lost;
	rc = session_begin(be);
	if (!rc)
		rc = vector_add(be, a, b, out, n, work);
	return session_end(be, rc, work);
}

static int matmul(struct vgpu_backend *be, const struct vgpu_operand *a,
		  const struct vgpu_operand *b, const struct vgpu_operand *out,
		  const struct vgpu_matmul *dims, struct vgpu_work *work)
{
	int rc = session_reserve(be, 0, a->length);

	if (!rc)
		rc = session_reserve(be, 1, b->length);
	if (!rc)
		rc = session_reserve(be, 2, out->length);
	if (!rc)
		rc = bring(be, 0, a, work);
	if (!rc)
		rc = bring(be, 1, b, work);
	if (!rc)
		rc = session_check(be,
				   vgpu_kernel_matmul((const float *)be->buffer[0].at,
						      (const float *)be->buffer[1].at,
						      (float *)be->buffer[2].at, dims->m, dims->n,
						      dims->k, be->stream),
				   "matmul kernel");
	if (!rc)
		rc = take_back(be, 2, out, work);
	return rc;
}

static bool is_matrix(const struct vgpu_operand *op, uint32_t rows, uint32_t columns)
{
	return op->length % sizeof(float) == 0 &&
	       op->length / sizeof(float) == (uint64_t)rows * columns;
}

int cuda_matmul(struct vgpu_backend *be, const struct vgpu_operand *a, const struct vgpu_operand *b,
		const struct vgpu_operand *out, const struct vgpu_matmul *dims,
		struct vgpu_work *work)
{
	int rc;

	if (!is_matrix(a, dims->m, dims->k) || !is_matrix(b, dims->k, dims->n) ||
	    !is_matrix(out, dims->m, dims->n))
		return -EINVAL;
	if (out->length == 0)
		return be->lost;
	rc = session_begin(be);
	if (!rc)
		rc = matmul(be, a, b, out, dims, work);
	return session_end(be, rc, work);
}
