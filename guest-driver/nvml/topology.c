/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How devices lie to each other: apart, for CUDA's calls offer no way between them. */
#include "exports.h"
#include "library.h"

static nvmlReturn_t query(nvmlDevice_t a, nvmlDevice_t b, const void *out)
{
	nvmlReturn_t r = nvml_enter_device(a);

	if (r == NVML_SUCCESS)
		r = nvml_enter_device(b);
	return r == NVML_SUCCESS && !out ? NVML_ERROR_INVALID_ARGUMENT : r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b,
							     unsigned int *level)
{
	nvmlReturn_t r = query(a, b, level);

	if (r == NVML_SUCCESS)
		*level = a == b ? NVML_TOPOLOGY_INTERNAL : NVML_TOPOLOGY_SYSTEM;
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t a, nvmlDevice_t b, unsigned int index,
						unsigned int *status)
{
	nvmlReturn_t r = query(a, b, status);

	(void)index; /* reading, writing, atomics ...: all alike */
	if (r == NVML_SUCCESS)
		*status = NVML_P2P_STATUS_NOT_SUPPORTED;
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t a, nvmlDevice_t b, int *same)
{
	nvmlReturn_t r = query(a, b, same);

	if (r == NVML_SUCCESS)
		*same = a == b;
	return r;
}
