// SPDX-License-Identifier: GPL-2.0-or-later
// A texture of an array, with interpolation between its points, and a surface.
#include <math.h>

#include "check.h"

enum { WIDTH = 64, HEIGHT = 32 };

__global__ void sample(cudaTextureObject_t t, float *out)
{
	int x = threadIdx.x, y = blockIdx.x;

	out[y * WIDTH + x] = tex2D<float>(t, x + 1.0f, y + 0.5f);
}

__global__ void write(cudaSurfaceObject_t s)
{
	int x = threadIdx.x, y = blockIdx.x;

	surf2Dwrite((float)(1000 + x + y), s, x * 4, y);
}

int main()
{
	static float host[WIDTH * HEIGHT], got[WIDTH * HEIGHT];
	cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
	cudaResourceDesc resource = {};
	cudaTextureDesc sampling = {};
	cudaTextureObject_t texture;
	cudaSurfaceObject_t surface;
	cudaArray_t array;
	float *out;

	need_gpu();
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		host[i] = (float)(i % 17);
	CK(cudaMallocArray(&array, &format, WIDTH, HEIGHT, cudaArraySurfaceLoadStore));
	CK(cudaMemcpy2DToArray(array, 0, 0, host, WIDTH * 4, WIDTH * 4, HEIGHT,
			       cudaMemcpyHostToDevice));
	resource.resType = cudaResourceTypeArray;
	resource.res.array.array = array;
	sampling.filterMode = cudaFilterModeLinear;
	sampling.addressMode[0] = sampling.addressMode[1] = cudaAddressModeClamp;
	sampling.readMode = cudaReadModeElementType;
	CK(cudaCreateTextureObject(&texture, &resource, &sampling, NULL));
	CK(cudaMalloc(&out, sizeof(got)));
	sample<<<HEIGHT, WIDTH>>>(texture, out);
	CK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++) {
			float a = host[y * WIDTH + x], b = host[y * WIDTH + (x + 1 < WIDTH ? x + 1 : x)];

			CHECK(fabsf(got[y * WIDTH + x] - (a + b) / 2) < 0.01f);
		}
	CK(cudaCreateSurfaceObject(&surface, &resource));
	write<<<HEIGHT, WIDTH>>>(surface);
	CK(cudaMemcpy2DFromArray(got, WIDTH * 4, array, 0, 0, WIDTH * 4, HEIGHT,
				 cudaMemcpyDeviceToHost));
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		CHECK(got[i] == 1000 + i % WIDTH + i / WIDTH);
	CK(cudaDestroyTextureObject(texture));
	CK(cudaDestroySurfaceObject(surface));
	CK(cudaFreeArray(array));
	return done("texture");
}
