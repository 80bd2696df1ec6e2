/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "driver.h"
CUresult capture_add(CUstream s, struct work *w)
{
	(void)s;
	work_free(w);
	return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult capture_record(CUstream s, CUevent e)
{
	(void)s;
	(void)e;
	return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult capture_wait(CUstream s, CUevent e)
{
	(void)s;
	(void)e;
	return CUDA_ERROR_NOT_SUPPORTED;
}
void capture_abandon(CUstream s)
{
	(void)s;
}
void capture_forget_event(CUevent e)
{
	(void)e;
}
void capture_invalidate(struct capture *c)
{
	(void)c;
}
void pool_account(CUmemoryPool pool, size_t size, bool more)
{
	(void)pool;
	(void)size;
	(void)more;
}
