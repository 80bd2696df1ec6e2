/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How parameters of kernels lie: learnt from the driver, whatever it answers. */
#include <glib.h>
#include <string.h>

#include "cuda-program.h"

#define MODULE HANDLE(MODULE, 2)
#define FUNCTION HANDLE(FUNCTION, 3)
#define GRAPH HANDLE(GRAPH, 4)
#define NODE HANDLE(NODE, 5)

static CUresult (*real_param_info)(CUfunction f, size_t i, size_t *offset, size_t *size);

static CUresult broken_param_info(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	return i == 1 ? CUDA_ERROR_UNKNOWN : real_param_info(f, i, offset, size);
}

/* Another kernel at the same place: its only parameter is a number. */
static CUresult others_param_info(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	(void)f;
	*offset = 0;
	*size = 4;
	return i ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static void replace(CUresult (*by)(CUfunction, size_t, size_t *, size_t *))
{
	if (!real_param_info)
		real_param_info = driver()->cuFuncGetParamInfo;
	driver()->cuFuncGetParamInfo = by ? by : real_param_info;
}

static CUresult get_function(void)
{
	return CALL(vgpuModuleGetFunction, CTX,
		    REQ(vgpuModuleGetFunction, .f = FUNCTION, .module = MODULE, .name_length = 11),
		    {"vector_add", 11})
		->result;
}

/* A kernel with half its parameters would be launched with what lies behind them. */
static void test_failure(void)
{
	program_start();
	load(MODULE);
	replace(broken_param_info);
	g_assert_cmpint(get_function(), ==, CUDA_ERROR_UNKNOWN);
	replace(NULL);
	g_assert_cmpint(get_function(), ==, CUDA_SUCCESS);
	calls_stop();
}

static CUresult read_node(void)
{
	return CALL(vgpuGraphGetKernel, CTX, REQ(vgpuGraphGetKernel, .node = NODE, .bytes = 64))
		->result;
}

/* The driver gave a function's pointer to another kernel: the layout is not that one's. */
static void test_reuse(void)
{
	const uint8_t params[28] = {0};
	struct vgpu_kernel_node kernel = {
		.function = FUNCTION, .grid = {1, 1, 1}, .block = {1, 1, 1}, .bytes = 28};

	program_start();
	load(MODULE);
	g_assert_cmpint(get_function(), ==, CUDA_SUCCESS);
	QUIET(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH));
	assert_ok(CALL(vgpuGraphAddKernel, CTX,
		       REQ(vgpuGraphAddKernel, .node = NODE, .graph = GRAPH, .bytes = 28),
		       {NULL, 0}, {&kernel, sizeof(kernel)}, {params, 28}));
	g_assert_cmpint(read_node(), ==, CUDA_SUCCESS);
	replace(others_param_info);
	g_assert_cmpint(read_node(), ==, CUDA_ERROR_NOT_SUPPORTED);
	replace(NULL);
	g_assert_cmpint(read_node(), ==, CUDA_SUCCESS);
	calls_stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda-modules/failure", test_failure);
	g_test_add_func("/mediator/cuda-modules/reuse", test_reuse);
	return g_test_run();
}
