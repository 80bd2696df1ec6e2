// SPDX-License-Identifier: GPL-2.0-or-later
// A failed assertion: its text on stderr, the error at the wait, and for good.
#include <assert.h>

#include "check.h"

__global__ void claim(int number)
{
	assert(number != 5 && "five is not allowed");
}

int main()
{
	static char text[65536];
	int ends[2], saved = dup(2);
	void *p;

	need_gpu();
	CHECK(!pipe(ends));
	claim<<<1, 1>>>(4);
	CK(cudaDeviceSynchronize());
	dup2(ends[1], 2);
	claim<<<1, 1>>>(5);
	cudaError_t e = cudaDeviceSynchronize();
	fflush(stderr);
	dup2(saved, 2);
	close(ends[1]);
	EXPECT(e, cudaErrorAssert);
	EXPECT(cudaMalloc(&p, 16), cudaErrorAssert);
	CHECK(read(ends[0], text, sizeof(text) - 1) > 0);
	if (!strstr(text, "five is not allowed"))
		fprintf(stderr, "got: %s\n", text);
	CHECK(strstr(text, "five is not allowed"));
	return done("assertion");
}
