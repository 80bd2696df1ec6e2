// SPDX-License-Identifier: GPL-2.0-or-later
// Managed memory works, or is refused in the way a program can see beforehand.
#include "check.h"

int main()
{
	int can = -1;
	void *p = NULL;
	cudaError_t e;

	need_gpu();
	CK(cudaDeviceGetAttribute(&can, cudaDevAttrManagedMemory, 0));
	e = cudaMallocManaged(&p, 4096);
	if (can) {
		CK(e);
		*(volatile int *)p = 1;
		CK(cudaFree(p));
	} else {
		EXPECT(e, cudaErrorNotSupported);
		EXPECT(cudaGetLastError(), cudaErrorNotSupported);
	}
	CK(cudaMalloc(&p, 4096)); /* all else goes on */
	CK(cudaMemset(p, 0, 4096));
	CK(cudaDeviceSynchronize());
	printf("managed memory: %s\n", can ? "works" : "refused");
	return done("managed");
}
