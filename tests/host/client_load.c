/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that uses the client of the guest's libcuda.so.1 as the rest of it
 * does, from many threads.  test-client.c starts it, and has words with it:
 * it prints a line when it is under way, and stops when its input ends.
 *
 * usage: client-load WHAT, VGPU_TRANSPORT says where to.  Exit status 0: all well.
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "vgpu_cuda_wire.h"

#define THREADS 6
#define ROUNDS 1500
#define BYTES 4096u
#define NO_FUNCTION 0xfffffffeu

#define CHECK(what)                                                                        \
	do {                                                                               \
		if (!(what)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			exit(EXIT_FAILURE);                                                \
		}                                                                          \
	} while (0)

static uint64_t context;
static bool stop;      /* the load shall end */
static bool may_break; /* the session's end is no failure */

static CUresult post(uint32_t fn, const void *fixed, size_t length, const void *more, size_t n)
{
	const struct vgpu_piece piece[2] = {{fixed, length}, {more, n}};

	return client_post(fn, context, NULL, 0, piece, 2);
}

static CUresult call(uint32_t fn, const void *fixed, size_t length, void *out, size_t size,
		     size_t *got)
{
	const struct vgpu_piece piece = {fixed, length};

	return client_call(fn, context, NULL, 0, &piece, 1, out, size, got);
}

static void make_context(void)
{
	struct vgpu_vgpuCtxRetainPrimary_req q = {.ctx = vgpu_cuda_handle(VGPU_CUDA_CONTEXT, 1, 1)};
	const struct vgpu_piece piece = {&q, sizeof(q)};

	CHECK(client_call(CUDA_FN_vgpuCtxRetainPrimary, 0, NULL, 0, &piece, 1, NULL, 0, NULL) ==
	      CUDA_SUCCESS);
	context = q.ctx;
}

static uint64_t allocate(uint64_t bytes)
{
	const struct vgpu_cuMemAlloc_v2_req q = {.bytesize = bytes};
	struct vgpu_cuMemAlloc_v2_rsp r;
	size_t got;

	CHECK(call(CUDA_FN_cuMemAlloc_v2, &q, sizeof(q), &r, sizeof(r), &got) == CUDA_SUCCESS);
	CHECK(got == sizeof(r) && r.dptr);
	return r.dptr;
}

/* Posts data of its own to its memory and reads it back. */
static CUresult there_and_back(uint64_t device, uint8_t *data, uint32_t n)
{
	const struct vgpu_vgpuWrite_req w = {.dst = device, .bytes = n};
	const struct vgpu_vgpuRead_req rd = {.src = device, .bytes = n};
	uint8_t back[BYTES];
	size_t got;
	CUresult r = post(CUDA_FN_vgpuWrite, &w, sizeof(w), data, n);

	if (r == CUDA_SUCCESS)
		r = call(CUDA_FN_vgpuRead, &rd, sizeof(rd), back, sizeof(back), &got);
	if (r == CUDA_SUCCESS)
		CHECK(got == n && !memcmp(back, data, n));
	return r;
}

static void *work(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	uint64_t device = allocate(BYTES);
	uint8_t data[BYTES];

	for (unsigned int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		uint32_t n = 8 * (1 + (uint32_t)rand_r(&seed) % (BYTES / 8));
		CUresult r;

		memset(data, (int)(seed + i), n);
		r = there_and_back(device, data, n);
		if (r == CUDA_ERROR_DEVICE_UNAVAILABLE && may_break)
			return (void *)1;
		CHECK(r == CUDA_SUCCESS);
		/* now and then more than a ring holds */
		for (int k = 0; i % 500 == 17 && k < 3000; k++) {
			const struct vgpu_vgpuWrite_req w = {.dst = device, .bytes = 8};

			r = post(CUDA_FN_vgpuWrite, &w, sizeof(w), data, 8);
			if (r == CUDA_ERROR_DEVICE_UNAVAILABLE && may_break)
				return (void *)1;
			CHECK(r == CUDA_SUCCESS);
		}
		if (!may_break && i == ROUNDS)
			break;
	}
	return NULL;
}

static void start_load(pthread_t *thread)
{
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, work, (void *)(i + 1)) == 0);
}

static unsigned int end_load(const pthread_t *thread)
{
	unsigned int broken = 0;

	for (int i = 0; i < THREADS; i++) {
		void *end;

		CHECK(pthread_join(thread[i], &end) == 0);
		broken += end != NULL;
	}
	return broken;
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void wait_for_word(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* ---------------------------------------------------------------- the cases */

static void run_threads(void)
{
	pthread_t thread[THREADS];

	start_load(thread);
	CHECK(end_load(thread) == 0);
}

static void run_killed(void)
{
	pthread_t thread[THREADS];
	uint64_t calls, waited;

	may_break = true;
	start_load(thread);
	do
		client_counts(&calls, &waited);
	while (waited < 1000);
	say_ready();
	CHECK(end_load(thread) == THREADS);
	CHECK(client_sticky() == CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK(client_connect() == CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK(post(NO_FUNCTION, NULL, 0, NULL, 0) == CUDA_ERROR_DEVICE_UNAVAILABLE);
}

/* Until the word comes, with calls all the time. */
static void run_busy(void)
{
	pthread_t thread[THREADS];

	may_break = true; /* for as many rounds as it takes */
	start_load(thread);
	say_ready();
	wait_for_word();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK(end_load(thread) == 0);
}

/* Until the word comes, with none. */
static void run_idle(void)
{
	uint8_t data[64] = {1};
	uint64_t device = allocate(BYTES);

	say_ready();
	wait_for_word();
	CHECK(there_and_back(device, data, sizeof(data)) == CUDA_SUCCESS);
}

static void run_deferred(void)
{
	uint8_t data[64] = {1};
	uint64_t device = allocate(BYTES);

	CHECK(post(NO_FUNCTION, NULL, 0, NULL, 0) == CUDA_SUCCESS);
	CHECK(there_and_back(device, data, sizeof(data)) != CUDA_SUCCESS);
	CHECK(there_and_back(device, data, sizeof(data)) == CUDA_SUCCESS);
	/* A failure of the call itself is told first, and the record must fit. */
	CHECK(call(NO_FUNCTION, NULL, 0, NULL, 0, NULL) != CUDA_SUCCESS);
	CHECK(post(NO_FUNCTION, NULL, 0, data, VGPU_RECORD_MAX) == CUDA_ERROR_INVALID_VALUE);
	CHECK(there_and_back(device, data, sizeof(data)) == CUDA_SUCCESS);
	CHECK(client_sticky() == CUDA_SUCCESS);
}

static void check_child(void)
{
	struct vgpu_area area;
	uint32_t handle;
	size_t got;

	CHECK(client_sticky() == CUDA_ERROR_NOT_INITIALIZED);
	CHECK(client_connect() == CUDA_ERROR_NOT_INITIALIZED);
	CHECK(post(NO_FUNCTION, NULL, 0, NULL, 0) == CUDA_ERROR_NOT_INITIALIZED);
	CHECK(call(NO_FUNCTION, NULL, 0, NULL, 0, &got) == CUDA_ERROR_NOT_INITIALIZED && !got);
	CHECK(client_area_create(NULL, BYTES, &area) == -1);
	CHECK(client_buffer_register(&area, 8, VGPU_BUFFER_READ, &handle) == -1);
}

/* Children come and go while threads call; the last one outlives us. */
static void run_fork(void)
{
	pthread_t thread[THREADS];
	pid_t child;
	int status;

	may_break = true;
	start_load(thread);
	for (int i = 0; i < 20; i++) {
		child = fork();
		if (!child) {
			check_child();
			_exit(EXIT_SUCCESS);
		}
		CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK(end_load(thread) == 0);
	if (!fork()) {
		wait_for_word();
		_exit(EXIT_SUCCESS);
	}
	say_ready();
}

static sem_t noted;
static uint64_t last_note;

static void on_note(const struct vgpu_cuda_note *note, const void *data)
{
	(void)data;
	if (note->kind != VGPU_CUDA_NOTE_CALLBACK)
		return;
	__atomic_store_n(&last_note, note->value, __ATOMIC_RELEASE);
	sem_post(&noted);
}

static void one_callback(uint64_t id)
{
	const struct vgpu_vgpuCallback_req q = {.id = id};
	const struct vgpu_vgpuCallbackDone_req done = {.id = id};

	CHECK(post(CUDA_FN_vgpuCallback, &q, sizeof(q), NULL, 0) == CUDA_SUCCESS);
	while (sem_wait(&noted) < 0) /* no call of ours looks for it */
		;
	CHECK(__atomic_load_n(&last_note, __ATOMIC_ACQUIRE) == id);
	CHECK(post(CUDA_FN_vgpuCallbackDone, &done, sizeof(done), NULL, 0) == CUDA_SUCCESS);
}

static void run_notes(void)
{
	pthread_t thread[THREADS];

	CHECK(client_notes_start() == CUDA_SUCCESS && client_notes_start() == CUDA_SUCCESS);
	for (uint64_t id = 1; id <= 200; id++)
		one_callback(id);
	start_load(thread);
	for (uint64_t id = 201; id <= 400; id++)
		one_callback(id);
	CHECK(end_load(thread) == 0);
	one_callback(401);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{"threads", run_threads}, {"killed", run_killed},     {"busy", run_busy},
		{"idle", run_idle},       {"deferred", run_deferred}, {"fork", run_fork},
		{"notes", run_notes},
	};

	CHECK(argc == 2);
	CHECK(sem_init(&noted, 0, 0) == 0);
	CHECK(post(NO_FUNCTION, NULL, 0, NULL, 0) == CUDA_ERROR_NOT_INITIALIZED);
	client_on_note(on_note);
	CHECK(client_connect() == CUDA_SUCCESS && client_connect() == CUDA_SUCCESS);
	make_context();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return EXIT_SUCCESS;
		}
	}
	CHECK(!"a case of that name");
}
