// SPDX-License-Identifier: GPL-2.0-or-later
/* cuInit(), versions, and what a fork does to the library. */
#include <pthread.h>

#include "callback.h"
#include "client.h"
#include "context.h"
#include "device.h"

static bool initialised;
static bool lost_by_fork; /* this is the child of a process that had called cuInit() */

static void in_child(void)
{
	if (initialised)
		lost_by_fork = true;
	initialised = false;
}

static void first_time(void)
{
	notes_start();
	pthread_atfork(NULL, NULL, in_child);
}

CUresult cuInit(unsigned int Flags)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CUresult r;

	if (Flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (lost_by_fork)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (__atomic_load_n(&initialised, __ATOMIC_ACQUIRE))
		return client_sticky();
	pthread_once(&once, first_time);
	r = client_connect();
	if (r == CUDA_SUCCESS)
		r = device_start();
	if (r == CUDA_SUCCESS)
		__atomic_store_n(&initialised, true, __ATOMIC_RELEASE);
	return r;
}

bool shim_initialised(void)
{
	return __atomic_load_n(&initialised, __ATOMIC_ACQUIRE);
}

CUresult shim_enter(void)
{
	return shim_initialised() ? client_sticky() : CUDA_ERROR_NOT_INITIALIZED;
}

/*
 * Never more than the cuda.h that the table was built from, because a runtime
 * takes the version as a promise of functions.
 */
CUresult cuDriverGetVersion(int *driverVersion)
{
	int host = shim_initialised() ? device_driver_version() : CUDA_VERSION;

	if (!driverVersion)
		return CUDA_ERROR_INVALID_VALUE;
	*driverVersion = host < CUDA_VERSION ? host : CUDA_VERSION;
	return CUDA_SUCCESS;
}
