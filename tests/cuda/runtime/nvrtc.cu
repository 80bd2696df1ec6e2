// SPDX-License-Identifier: GPL-2.0-or-later
// A kernel compiled from its text while the program runs, loaded as a library.
#include <cuda.h>
#include <nvrtc.h>

#include "library.h"

static const char source[] =
	"template <typename T> __global__ void mix(T *p, T factor, int n)\n"
	"{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) p[i] = p[i] * factor + i; }\n";

#define RT(call)                                                                      \
	do {                                                                          \
		nvrtcResult r_ = (call);                                              \
		if (r_ != NVRTC_SUCCESS) {                                            \
			fprintf(stderr, "%s:%d: %s: %d\n", __FILE__, __LINE__, #call, \
				(int)r_);                                             \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

int main()
{
	const int n = 1000;
	float host[n], factor = 2.5f, *p;
	const char *options[1], *lowered = NULL;
	void *args[] = {&p, &factor, (void *)&n};
	cudaLibrary_t loaded;
	cudaKernel_t kernel;
	nvrtcProgram program;
	char arch[32], *image;
	cudaDeviceProp device;
	size_t size;

	need_gpu();
	open_library("libnvrtc.so.13");
	FUNCTION(nvrtcCreateProgram);
	FUNCTION(nvrtcCompileProgram);
	FUNCTION(nvrtcAddNameExpression);
	FUNCTION(nvrtcGetLoweredName);
	FUNCTION(nvrtcGetCUBINSize);
	FUNCTION(nvrtcGetCUBIN);
	CK(cudaGetDeviceProperties(&device, 0));
	snprintf(arch, sizeof(arch), "--gpu-architecture=sm_%d%d", device.major, device.minor);
	options[0] = arch;
	RT(p_nvrtcCreateProgram(&program, source, "mix.cu", 0, NULL, NULL));
	RT(p_nvrtcAddNameExpression(program, "mix<float>"));
	RT(p_nvrtcCompileProgram(program, 1, options));
	RT(p_nvrtcGetLoweredName(program, "mix<float>", &lowered));
	RT(p_nvrtcGetCUBINSize(program, &size));
	CHECK(size > 0);
	image = (char *)malloc(size);
	RT(p_nvrtcGetCUBIN(program, image));
	CK(cudaLibraryLoadData(&loaded, image, NULL, NULL, 0, NULL, NULL, 0));
	CK(cudaLibraryGetKernel(&kernel, loaded, lowered));
	for (int i = 0; i < n; i++)
		host[i] = (float)i;
	CK(cudaMalloc(&p, sizeof(host)));
	CK(cudaMemcpy(p, host, sizeof(host), cudaMemcpyHostToDevice));
	CK(cudaLaunchKernel((const void *)kernel, dim3(4), dim3(256), args, 0, 0));
	CK(cudaMemcpy(host, p, sizeof(host), cudaMemcpyDeviceToHost));
	for (int i = 0; i < n; i++)
		CHECK(host[i] == 3.5f * i);
	CK(cudaLibraryUnload(loaded));
	return done("nvrtc");
}
