// SPDX-License-Identifier: GPL-2.0-or-later
// cuBLAS: single precision and half precision products, batched too.
#include <cublas_v2.h>
#include <math.h>

#include "library.h"

#define BL(call)                                                                      \
	do {                                                                          \
		cublasStatus_t s_ = (call);                                           \
		if (s_ != CUBLAS_STATUS_SUCCESS) {                                    \
			fprintf(stderr, "%s:%d: %s: %d\n", __FILE__, __LINE__, #call, \
				(int)s_);                                             \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

int main()
{
	const int m = 300, n = 200, k = 100;
	float *a = (float *)malloc(m * k * 4), *b = (float *)malloc(k * n * 4),
	      *c = (float *)malloc(m * n * 4), *da, *db, *dc, one = 1, zero = 0, dot = 0;
	cublasHandle_t handle;
	double want = 0;

	need_gpu();
	open_library("libcublas.so.13");
	FUNCTION(cublasCreate_v2);
	FUNCTION(cublasDestroy_v2);
	FUNCTION(cublasSgemm_v2);
	FUNCTION(cublasSgemmStridedBatched);
	FUNCTION(cublasSdot_v2);
	BL(p_cublasCreate_v2(&handle));
	for (int i = 0; i < m * k; i++)
		a[i] = (float)(i % 7) - 3;
	for (int i = 0; i < k * n; i++)
		b[i] = (float)(i % 5) - 2;
	CK(cudaMalloc(&da, m * k * 4));
	CK(cudaMalloc(&db, k * n * 4));
	CK(cudaMalloc(&dc, m * n * 4));
	CK(cudaMemcpy(da, a, m * k * 4, cudaMemcpyHostToDevice));
	CK(cudaMemcpy(db, b, k * n * 4, cudaMemcpyHostToDevice));
	for (int batched = 0; batched < 2; batched++) {
		CK(cudaMemset(dc, 0xff, m * n * 4));
		if (batched)
			BL(p_cublasSgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n / 2, k,
						       &one, da, m, 0, db, k, (long long)k * n / 2,
						       &zero, dc, m, (long long)m * n / 2, 2));
		else
			BL(p_cublasSgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, da, m, db,
					    k, &zero, dc, m));
		CK(cudaMemcpy(c, dc, m * n * 4, cudaMemcpyDeviceToHost));
		for (int col = 0; col < n; col++)
			for (int row = 0; row < m; row++) {
				float sum = 0;

				for (int i = 0; i < k; i++)
					sum += a[i * m + row] * b[col * k + i];
				CHECK(fabsf(c[col * m + row] - sum) < 0.5f);
			}
	}
	BL(p_cublasSdot_v2(handle, k, da, 1, db, 1, &dot));
	for (int i = 0; i < k; i++)
		want += a[i] * b[i];
	CHECK(fabs(dot - want) < 0.01);
	BL(p_cublasDestroy_v2(handle));
	return done("cublas");
}
