// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large copies through pinned memory.
 *
 * Copying by one CPU is far slower than the device's own copies, so that
 * several threads share a job: each takes the next piece, copies it to or from
 * a slot of its own and has the device copy the slot.  Two slots a thread, so
 * that one is copied by the device while the other one is by the CPU.  The
 * device writes a number behind each of its copies, which tells that the slot
 * is free or filled.
 */
#include "staging.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cancel.h"
#include "client.h"
#include "context_priv.h"
#include "copy.h"
#include "cuda_rpc.h"
#include "own_thread.h"
#include "stream.h"
#include "window.h"

#define PIECE_MAX ((size_t)4 << 20)
#define PIECE_MIN ((size_t)128 << 10)
#define THREADS_MAX 8
#define PATIENCE_NS 2000000 /* then the stream is asked whether it has failed */
#define SPINS 256

struct slot {
	uint8_t *data;
	volatile uint64_t *fence; /* in pinned memory */
	uint64_t wanted;          /* what the fence has when the device is done */
	struct context *used_in;  /* by the latest copy */
	uint8_t *to;              /* where the data goes that is being fetched */
	size_t length;
};

static struct job {
	unsigned int direction;
	CUdeviceptr device;
	uint8_t *host;
	size_t n, piece;
	CUstream stream;
	struct context *context;
	size_t next;     /* of the pieces; taken atomically */
	CUresult result; /* the first failure */
	unsigned int busy;
} job;

static pthread_mutex_t one_job = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t start = PTHREAD_COND_INITIALIZER, end = PTHREAD_COND_INITIALIZER;
static unsigned int threads, generation;
static struct context *slots_in; /* the context that the slots were made in */
static uint64_t slots_in_host;
static struct slot slots[THREADS_MAX][2];
static unsigned long long bytes_copied;

unsigned long long staging_bytes(void)
{
	return __atomic_load_n(&bytes_copied, __ATOMIC_RELAXED);
}

static void fail(CUresult r)
{
	CUresult none = CUDA_SUCCESS;

	__atomic_compare_exchange_n(&job.result, &none, r, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The latest copy was in another stream, maybe of another context. */
static CUresult other_wait(const struct slot *s)
{
	struct context *current = context_top();
	CUresult r;

	if (!s->used_in->alive)
		return CUDA_SUCCESS; /* its work is over, too */
	context_lend(s->used_in);
	r = rpc_vgpuCtxSynchronize();
	context_lend(current);
	return r;
}

/* Waits until the device has done with a slot. */
static CUresult slot_wait(struct slot *s)
{
	uint64_t began = 0;
	CUresult r;

	for (unsigned int i = 1; *s->fence < s->wanted; i++) {
		if (i % SPINS)
			continue;
		if (!began)
			began = now_ns();
		if (now_ns() - began <= PATIENCE_NS)
			continue;
		r = rpc_cuStreamSynchronize(job.stream);
		if (r == CUDA_SUCCESS && *s->fence < s->wanted)
			r = other_wait(s);
		return r;
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return CUDA_SUCCESS;
}

static CUresult mark(struct slot *s)
{
	s->wanted++;
	s->used_in = context_top();
	return rpc_cuStreamWriteValue64_v2(job.stream, (CUdeviceptr)(uintptr_t)s->fence, s->wanted,
					   CU_STREAM_WRITE_VALUE_DEFAULT);
}

static CUresult send_piece(struct slot *s, size_t at, size_t length)
{
	CUresult r = slot_wait(s);

	if (r != CUDA_SUCCESS)
		return r;
	memcpy(s->data, job.host + at, length);
	r = rpc_cuMemcpyHtoDAsync_v2(job.device + at, s->data, length, job.stream);
	return r == CUDA_SUCCESS ? mark(s) : r;
}

/* Takes what the slot was fetching, if anything. */
static CUresult drain(struct slot *s)
{
	CUresult r;

	if (!s->length)
		return CUDA_SUCCESS;
	r = slot_wait(s);
	if (r == CUDA_SUCCESS)
		memcpy(s->to, s->data, s->length);
	s->length = 0;
	return r;
}

static CUresult fetch_piece(struct slot *s, size_t at, size_t length)
{
	CUresult r = s->length ? drain(s) : slot_wait(s);

	if (r == CUDA_SUCCESS)
		r = rpc_cuMemcpyDtoHAsync_v2(s->data, job.device + at, length, job.stream);
	if (r == CUDA_SUCCESS)
		r = mark(s);
	if (r != CUDA_SUCCESS)
		return r;
	s->to = job.host + at;
	s->length = length;
	return CUDA_SUCCESS;
}

/* One thread's share of the job. */
static void work(struct slot own[2])
{
	unsigned int which = 0;
	CUresult r = CUDA_SUCCESS;

	while (r == CUDA_SUCCESS &&
	       __atomic_load_n(&job.result, __ATOMIC_RELAXED) == CUDA_SUCCESS) {
		size_t at = __atomic_fetch_add(&job.next, 1, __ATOMIC_RELAXED) * job.piece;
		size_t length;

		if (at >= job.n)
			break;
		length = job.n - at < job.piece ? job.n - at : job.piece;
		if (job.direction == VGPU_COPY_TO_DEVICE)
			r = send_piece(&own[which], at, length);
		else
			r = fetch_piece(&own[which], at, length);
		which ^= 1;
	}
	for (int i = 0; i < 2; i++, which ^= 1) {
		CUresult d = drain(&own[which]);

		r = r == CUDA_SUCCESS ? d : r;
	}
	if (r != CUDA_SUCCESS)
		fail(r);
}

static void *helper(void *own)
{
	unsigned int seen = 0;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (seen == generation)
			pthread_cond_wait(&start, &lock);
		seen = generation;
		context_lend(job.context);
		pthread_mutex_unlock(&lock);
		work(own);
		pthread_mutex_lock(&lock);
		if (!--job.busy)
			pthread_cond_signal(&end);
	}
	return NULL;
}

/* ----------------------------------------------------------- setting up */

static unsigned int wanted_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < 4)
		return 1;
	return cpus / 2 < THREADS_MAX ? (unsigned int)cpus / 2 : THREADS_MAX;
}

/* Called with one_job held: memory for the slots of all threads that there may be. */
static CUresult make_slots(void)
{
	unsigned int n = wanted_threads();
	void *data, *fences;
	CUresult r = window_alloc(n * 2 * PIECE_MAX, CU_MEMHOSTREGISTER_PORTABLE, &data);

	if (r == CUDA_SUCCESS)
		r = window_alloc(4096, 0, &fences);
	if (r != CUDA_SUCCESS)
		return r;
	memset(fences, 0, 4096);
	for (unsigned int i = 0; i < n * 2; i++)
		slots[i / 2][i % 2] = (struct slot){
			.data = (uint8_t *)data + i * PIECE_MAX,
			.fence = (volatile uint64_t *)((uint8_t *)fences + i * 64),
		};
	slots_in = context_top();
	slots_in_host = context_current();
	return CUDA_SUCCESS;
}

/* Called with one_job held.  The calling thread counts as one of them. */
static void make_threads(void)
{
	unsigned int n = wanted_threads();

	threads = 1;
	while (threads < n && own_thread_start(helper, slots[threads], 0))
		threads++;
}

/* The slots' memory goes with the context that it was made in. */
static bool slots_gone(void)
{
	return !slots_in || !slots_in->alive || slots_in->host != slots_in_host;
}

static size_t piece_for(size_t n)
{
	size_t piece = n / threads / 4;

	if (piece < PIECE_MIN)
		piece = PIECE_MIN;
	return piece > PIECE_MAX ? PIECE_MAX : piece & ~(size_t)4095;
}

static CUresult run(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		    CUstream stream)
{
	bool alone = threads == 1 || n < 2 * PIECE_MIN;

	pthread_mutex_lock(&lock);
	job = (struct job){.direction = direction,
			   .device = device,
			   .host = host,
			   .n = n,
			   .piece = piece_for(n),
			   .stream = stream,
			   .context = context_top(),
			   .busy = alone ? 0 : threads - 1};
	if (!alone) {
		generation++;
		pthread_cond_broadcast(&start);
	}
	pthread_mutex_unlock(&lock);
	work(slots[0]);
	pthread_mutex_lock(&lock);
	while (job.busy)
		pthread_cond_wait(&end, &lock);
	pthread_mutex_unlock(&lock);
	return job.result;
}

/* Who may not have pinned memory copies all the same, only more slowly. */
static bool not_permitted; /* was found out once */

static CUresult by_slots(unsigned int direction, CUdeviceptr device, void *host, size_t n,
			 CUstream stream)
{
	int cancel = cancel_disable(); /* helpers work on the job, and on its memory */
	CUresult r = CUDA_SUCCESS;

	pthread_mutex_lock(&one_job);
	if (!__atomic_load_n(&context_top()->alive, __ATOMIC_ACQUIRE))
		r = CUDA_ERROR_CONTEXT_IS_DESTROYED;
	else if (slots_gone())
		r = make_slots();
	if (r == CUDA_SUCCESS && !threads)
		make_threads();
	if (r == CUDA_SUCCESS)
		r = run(direction, device, host, n, stream);
	pthread_mutex_unlock(&one_job);
	cancel_restore(cancel);
	if (r == CUDA_SUCCESS)
		__atomic_fetch_add(&bytes_copied, n, __ATOMIC_RELAXED);
	return r;
}

CUresult staging_copy(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		      CUstream stream)
{
	CUresult r = CUDA_ERROR_NOT_PERMITTED;

	if (!__atomic_load_n(&not_permitted, __ATOMIC_RELAXED))
		r = by_slots(direction, device, host, n, stream);
	if (r != CUDA_ERROR_NOT_PERMITTED)
		return r;
	__atomic_store_n(&not_permitted, true, __ATOMIC_RELAXED);
	return copy_by_records(direction, device, host, n, stream);
}

void staging_context_ends(const struct context *c)
{
	pthread_mutex_lock(&one_job);
	if (slots_in == c)
		slots_in = NULL;
	pthread_mutex_unlock(&one_job);
}
