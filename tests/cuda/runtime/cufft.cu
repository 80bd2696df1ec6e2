// SPDX-License-Identifier: GPL-2.0-or-later
// cuFFT: a transform and back, of lengths with and without small factors.
#include <cufft.h>
#include <math.h>

#include "library.h"

#define FT(call)                                                                      \
	do {                                                                          \
		cufftResult r_ = (call);                                              \
		if (r_ != CUFFT_SUCCESS) {                                            \
			fprintf(stderr, "%s:%d: %s: %d\n", __FILE__, __LINE__, #call, \
				(int)r_);                                             \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

int main()
{
	static const int lengths[] = {1024, 1000, 1009};

	need_gpu();
	open_library("libcufft.so.12");
	FUNCTION(cufftPlan1d);
	FUNCTION(cufftExecC2C);
	FUNCTION(cufftDestroy);
	for (int length : lengths) {
		size_t bytes = length * sizeof(cufftComplex);
		cufftComplex *host = (cufftComplex *)malloc(bytes), *p;
		cufftHandle plan;

		for (int i = 0; i < length; i++) {
			host[i].x = cosf(2 * (float)M_PI * 5 * i / length);
			host[i].y = 0;
		}
		CK(cudaMalloc(&p, bytes));
		CK(cudaMemcpy(p, host, bytes, cudaMemcpyHostToDevice));
		FT(p_cufftPlan1d(&plan, length, CUFFT_C2C, 1));
		FT(p_cufftExecC2C(plan, p, p, CUFFT_FORWARD));
		CK(cudaMemcpy(host, p, bytes, cudaMemcpyDeviceToHost));
		for (int i = 0; i < length; i++) {
			float want = i == 5 || i == length - 5 ? length / 2.0f : 0;

			CHECK(fabsf(host[i].x - want) < 0.05f && fabsf(host[i].y) < 0.05f);
		}
		FT(p_cufftExecC2C(plan, p, p, CUFFT_INVERSE));
		CK(cudaMemcpy(host, p, bytes, cudaMemcpyDeviceToHost));
		for (int i = 0; i < length; i++)
			CHECK(fabsf(host[i].x / length - cosf(2 * (float)M_PI * 5 * i / length)) <
			      0.001f);
		FT(p_cufftDestroy(plan));
		CK(cudaFree(p));
		free(host);
	}
	return done("cufft");
}
