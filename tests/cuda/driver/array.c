// SPDX-License-Identifier: GPL-2.0-or-later
/* Arrays and texture objects. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { WIDTH = 64, HEIGHT = 32 };

static CUarray make_array(void)
{
	CUDA_ARRAY_DESCRIPTOR d = {
		.Width = WIDTH, .Height = HEIGHT, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
	CUDA_ARRAY_DESCRIPTOR got;
	CUarray array = NULL;

	CK(cuArrayCreate(&array, &d));
	CK(cuArrayGetDescriptor(&got, array));
	CHECK_EQ(got.Width, WIDTH);
	CHECK_EQ(got.Format, CU_AD_FORMAT_FLOAT);
	return array;
}

static void copy_array(CUarray array, float *host, bool to_array)
{
	CUDA_MEMCPY2D c = {.WidthInBytes = WIDTH * 4, .Height = HEIGHT};

	if (to_array) {
		c.srcMemoryType = CU_MEMORYTYPE_HOST;
		c.srcHost = host;
		c.srcPitch = WIDTH * 4;
		c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		c.dstArray = array;
	} else {
		c.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		c.srcArray = array;
		c.dstMemoryType = CU_MEMORYTYPE_HOST;
		c.dstHost = host;
		c.dstPitch = WIDTH * 4;
	}
	CK(cuMemcpy2D(&c));
}

static void there_and_back(void)
{
	float out[WIDTH * HEIGHT], in[WIDTH * HEIGHT];
	CUarray array;

	start();
	array = make_array();
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		out[i] = (float)i;
	copy_array(array, out, true);
	copy_array(array, in, false);
	CHECK(!memcmp(in, out, sizeof(in)));
	CK(cuArrayDestroy(array));
}

static void sample(CUtexObject texture, const float *want)
{
	unsigned int width = WIDTH, height = HEIGHT;
	float in[WIDTH * HEIGHT];
	CUdeviceptr out = device_alloc(sizeof(in));
	void *args[] = {&texture, &out, &width, &height};

	CK(cuLaunchKernel(kernel("sample"), 4, 4, 1, 16, 8, 1, 0, NULL, args, NULL));
	CK(cuMemcpyDtoH(in, out, sizeof(in)));
	CHECK(!memcmp(in, want, sizeof(in)));
}

static void texture(void)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY}, got;
	CUDA_TEXTURE_DESC sampling = {.filterMode = CU_TR_FILTER_MODE_POINT};
	float out[WIDTH * HEIGHT];
	CUtexObject object = 0;
	CUarray array;

	start();
	array = make_array();
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		out[i] = (float)i * 0.5f;
	copy_array(array, out, true);
	resource.res.array.hArray = array;
	CK(cuTexObjectCreate(&object, &resource, &sampling, NULL));
	CK(cuTexObjectGetResourceDesc(&got, object));
	CHECK(got.resType == CU_RESOURCE_TYPE_ARRAY && got.res.array.hArray == array);
	sample(object, out);
	CK(cuTexObjectDestroy(object));
	CK(cuArrayDestroy(array));
}

static void texture_of_pitched_memory(void)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_PITCH2D};
	CUDA_TEXTURE_DESC sampling = {.filterMode = CU_TR_FILTER_MODE_POINT};
	float out[WIDTH * HEIGHT];
	CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			   .srcHost = out,
			   .srcPitch = WIDTH * 4,
			   .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			   .WidthInBytes = WIDTH * 4,
			   .Height = HEIGHT};
	CUtexObject object = 0;
	CUdeviceptr p;
	size_t pitch;

	start();
	CK(cuMemAllocPitch(&p, &pitch, WIDTH * 4, HEIGHT, 16));
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		out[i] = (float)(i % 1000);
	c.dstDevice = p;
	c.dstPitch = pitch;
	CK(cuMemcpy2D(&c));
	resource.res.pitch2D.devPtr = p;
	resource.res.pitch2D.format = CU_AD_FORMAT_FLOAT;
	resource.res.pitch2D.numChannels = 1;
	resource.res.pitch2D.width = WIDTH;
	resource.res.pitch2D.height = HEIGHT;
	resource.res.pitch2D.pitchInBytes = pitch;
	CK(cuTexObjectCreate(&object, &resource, &sampling, NULL));
	sample(object, out);
	CK(cuTexObjectDestroy(object));
}

const struct test_case array_cases[] = {
	{"there_and_back", there_and_back, GPU},
	{"texture", texture, GPU},
	{"texture_of_pitched_memory", texture_of_pitched_memory, GPU},
	{0},
};
