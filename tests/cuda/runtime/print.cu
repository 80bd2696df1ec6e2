// SPDX-License-Identifier: GPL-2.0-or-later
// What a kernel prints comes out of the program's own stdout, before the wait ends.
#include "check.h"

__global__ void speak(int number)
{
	if (threadIdx.x < 3)
		printf("block %d thread %d says %d and %.3f and %s\n", blockIdx.x, threadIdx.x, number,
		       2.5, "text");
}

int main()
{
	static char text[65536];
	int ends[2], saved = dup(1), lines = 0;
	ssize_t got;

	need_gpu();
	CHECK(!pipe(ends));
	fflush(stdout);
	dup2(ends[1], 1);
	speak<<<4, 32>>>(77);
	CK(cudaGetLastError());
	CK(cudaDeviceSynchronize());
	fflush(stdout);
	dup2(saved, 1);
	close(ends[1]);
	got = read(ends[0], text, sizeof(text) - 1);
	CHECK(got > 0);
	for (char *at = strchr(text, '\n'); at; at = strchr(at + 1, '\n'))
		lines++;
	if (lines != 12)
		fprintf(stderr, "got: %s\n", text);
	CHECK(lines == 12);
	CHECK(strstr(text, "block 3 thread 2 says 77 and 2.500 and text\n"));
	CHECK(strstr(text, "block 0 thread 0 says 77 and 2.500 and text\n"));
	return done("print");
}
