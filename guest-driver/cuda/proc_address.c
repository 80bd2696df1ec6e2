// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cuGetProcAddress(): an entry point by its name, a version of CUDA and how
 * the caller wants default streams.  Needs neither cuInit() nor a session.
 */
#include <string.h>

#include "api.h"
#include "cuda_exports.h"

#define KNOWN_FLAGS \
	(CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)

/* The index of the first entry of that name, cuda_nprocs if there is none. */
static unsigned int first_of(const char *name)
{
	unsigned int low = 0, high = cuda_nprocs;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (strcmp(cuda_procs[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < cuda_nprocs && !strcmp(cuda_procs[low].name, name))
		return low;
	return cuda_nprocs;
}

/* The newest form of this kind that `version` has, of those from `first` on; NULL: none. */
static const struct cuda_proc *newest(unsigned int first, int version, bool per_thread)
{
	const struct cuda_proc *best = NULL;

	for (unsigned int i = first; i < cuda_nprocs; i++) {
		const struct cuda_proc *p = &cuda_procs[i];

		if (strcmp(p->name, cuda_procs[first].name) != 0)
			break;
		if (p->per_thread == per_thread && p->version <= version)
			best = p; /* they are in the order of versions */
	}
	return best;
}

/*
 * For per-thread streams that form counts which stands for the same plain one:
 * many functions are older than per-thread streams, and callers that want
 * these may name the version in which the function itself appeared.
 */
static const struct cuda_proc *pick(unsigned int first, int version, bool per_thread)
{
	const struct cuda_proc *plain = newest(first, version, false);
	const struct cuda_proc *own = per_thread ? newest(first, version, true) : NULL;

	if (!per_thread || own)
		return own ? own : plain;
	for (unsigned int i = first; i < cuda_nprocs; i++) {
		const struct cuda_proc *p = &cuda_procs[i];

		if (strcmp(p->name, cuda_procs[first].name) != 0)
			break;
		if (p->per_thread && plain && newest(first, p->version, false) == plain)
			return p;
	}
	return plain;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
			     CUdriverProcAddressQueryResult *symbolStatus)
{
	CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	const struct cuda_proc *p = NULL;
	unsigned int first;

	if (!symbol || !pfn || (flags & ~(cuuint64_t)KNOWN_FLAGS) || flags == KNOWN_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	first = first_of(symbol);
	if (first < cuda_nprocs) {
		p = pick(first, cudaVersion, flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
		status = p ? CU_GET_PROC_ADDRESS_SUCCESS
			   : CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
	}
	*pfn = p ? p->address : NULL;
	if (symbolStatus)
		*symbolStatus = status;
	return p ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
	return cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, NULL);
}
