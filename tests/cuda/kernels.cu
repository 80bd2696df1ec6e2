// SPDX-License-Identifier: GPL-2.0-or-later
// The kernels that the driver-API programs load, as PTX and as machine code.
//
// A backend without a GPU knows those above the line by name and signature; a
// program says which of the others it needs by asking for a GPU first.

extern "C" {

__device__ unsigned global_counter = 7;
__constant__ unsigned constant_table[16];

__global__ void empty(void)
{
}

__global__ void vector_add(const float *a, const float *b, float *c, unsigned n)
{
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		c[i] = a[i] + b[i];
}

// c (m x n) = a (m x k) * b (k x n), rows after one another
__global__ void matmul(const float *a, const float *b, float *c, unsigned m, unsigned n, unsigned k)
{
	unsigned col = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned row = blockIdx.y * blockDim.y + threadIdx.y;
	float sum = 0;

	if (row >= m || col >= n)
		return;
	for (unsigned i = 0; i < k; i++)
		sum += a[row * k + i] * b[i * n + col];
	c[row * n + col] = sum;
}

__global__ void fill(unsigned *p, unsigned value, unsigned n)
{
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		p[i] = value;
}

__global__ void increment(unsigned *p, unsigned n)
{
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		p[i]++;
}

__global__ void scale(float *p, float factor, unsigned n)
{
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		p[i] *= factor;
}

// Busy for about so many nanoseconds; ~0 is for ever.
__global__ void delay(unsigned long long nanoseconds)
{
	unsigned long long start, now;

	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
	do {
		asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
	} while (now - start < nanoseconds);
}

// Busy for so many rounds of arithmetic, each of which needs the one before: a
// time that is the same however the GPU is shared.
__global__ void work(unsigned *out, unsigned rounds)
{
	unsigned x = rounds;

	for (unsigned i = 0; i < rounds; i++)
		x = x * 1664525u + (x >> 13) + 1013904223u;
	*out = x;
}

// Busy until the word at `flag`, which anyone may write, is `value`.
__global__ void wait_flag(unsigned *flag, unsigned value)
{
	while (*(volatile unsigned *)flag != value)
		;
}

// Writes where it is told, whatever is there.
__global__ void store_at(unsigned long long address, unsigned value)
{
	*(volatile unsigned *)address = value;
}

// Reads where it is told, whatever is there.
__global__ void load_at(unsigned long long address, unsigned *out)
{
	*out = *(const volatile unsigned *)address;
}

// ---------------------------------------------------------------- GPU alone

__global__ void count_global(unsigned *out, unsigned add)
{
	global_counter += add;
	*out = global_counter + constant_table[3];
}

struct many {
	unsigned char byte;
	unsigned short half;
	unsigned word[5];
	unsigned long long wide;
};

// Parameters of odd sizes and places.
__global__ void mixed(unsigned char a, struct many m, unsigned short b, double d,
		      unsigned long long *out)
{
	out[0] = a;
	out[1] = m.byte;
	out[2] = m.half;
	out[3] = m.word[0] + m.word[4];
	out[4] = m.wide;
	out[5] = b;
	out[6] = (unsigned long long)(d * 1000.0);
}

__global__ void reverse_shared(unsigned *p, unsigned n)
{
	extern __shared__ unsigned tile[];
	unsigned i = threadIdx.x;

	if (i < n)
		tile[i] = p[i];
	__syncthreads();
	if (i < n)
		p[i] = tile[n - 1 - i];
}

__global__ void sample(unsigned long long texture, float *out, unsigned width, unsigned height)
{
	unsigned x = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned y = blockIdx.y * blockDim.y + threadIdx.y;
	float r, g, b, a;

	if (x >= width || y >= height)
		return;
	asm volatile("tex.2d.v4.f32.f32 {%0,%1,%2,%3}, [%4, {%5,%6}];"
		     : "=f"(r), "=f"(g), "=f"(b), "=f"(a)
		     : "l"(texture), "f"(x + 0.5f), "f"(y + 0.5f));
	out[y * width + x] = r;
}

} // extern "C"
