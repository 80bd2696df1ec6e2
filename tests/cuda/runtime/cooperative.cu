// SPDX-License-Identifier: GPL-2.0-or-later
// Cooperative groups: a barrier of the whole grid, tiles of a warp.
#include <cooperative_groups.h>

#include "check.h"

namespace cg = cooperative_groups;

__global__ void rounds(unsigned *p, unsigned turns)
{
	cg::grid_group grid = cg::this_grid();
	unsigned me = (unsigned)grid.thread_rank(), all = (unsigned)grid.size();

	for (unsigned i = 0; i < turns; i++) {
		unsigned next = p[(me + 1) % all];

		grid.sync();
		p[me] = next;
		grid.sync();
	}
}

__global__ void tiles(unsigned *out)
{
	cg::thread_block_tile<32> tile = cg::tiled_partition<32>(cg::this_thread_block());
	unsigned sum = tile.thread_rank();

	for (int i = 16; i; i /= 2)
		sum += tile.shfl_down(sum, i);
	if (tile.thread_rank() == 0)
		atomicAdd(out, sum);
}

int main()
{
	const unsigned n = 4 * 128;
	unsigned host[n], turns = 37, *p, sum = 0;
	void *args[] = {&p, &turns};
	int can = 0;

	need_gpu();
	CK(cudaDeviceGetAttribute(&can, cudaDevAttrCooperativeLaunch, 0));
	CHECK(can);
	for (unsigned i = 0; i < n; i++)
		host[i] = i;
	CK(cudaMalloc(&p, sizeof(host)));
	CK(cudaMemcpy(p, host, sizeof(host), cudaMemcpyHostToDevice));
	CK(cudaLaunchCooperativeKernel((const void *)rounds, dim3(4), dim3(128), args, 0, 0));
	CK(cudaMemcpy(host, p, sizeof(host), cudaMemcpyDeviceToHost));
	for (unsigned i = 0; i < n; i++)
		CHECK(host[i] == (i + turns) % n);
	CK(cudaMemset(p, 0, 4));
	tiles<<<2, 128>>>(p);
	CK(cudaMemcpy(&sum, p, 4, cudaMemcpyDeviceToHost));
	CHECK(sum == 8 * 31 * 16);
	/* More blocks than can be there at once. */
	EXPECT(cudaLaunchCooperativeKernel((const void *)rounds, dim3(1000000), dim3(128), args, 0, 0),
	       cudaErrorCooperativeLaunchTooLarge);
	return done("cooperative");
}
