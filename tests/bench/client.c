/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a call costs before any GPU is asked: quiet posts a second and round
 * trips, with a function number that no host knows, so that nothing is done.
 *
 * usage: client-bench [POSTS [CALLS [THREADS]]], VGPU_TRANSPORT says where to.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"

#define NO_FUNCTION 0xfffffffeu
#define BODY 96u /* a launch with some parameters */

static unsigned long posts = 2000000, calls = 200000;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static CUresult call(void)
{
	uint64_t out[4];
	size_t got;

	return client_call(NO_FUNCTION, 0, NULL, 0, NULL, 0, out, sizeof(out), &got);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void bench_calls(void)
{
	double *t = malloc(calls * sizeof(*t));

	if (!t)
		exit(EXIT_FAILURE);
	for (unsigned long i = 0; i < calls; i++) {
		double before = now();

		call();
		t[i] = now() - before;
	}
	qsort(t, calls, sizeof(*t), by_value);
	printf("round trip: median %.0f ns, 1%% %.0f ns, 99%% %.0f ns\n", t[calls / 2] * 1e9,
	       t[calls / 100] * 1e9, t[calls - calls / 100 - 1] * 1e9);
	free(t);
}

static void post_many(unsigned long n)
{
	uint8_t body[BODY];
	const struct vgpu_piece piece = {body, sizeof(body)};

	memset(body, 1, sizeof(body));
	for (unsigned long i = 0; i < n; i++)
		client_post(NO_FUNCTION, 0, NULL, 0, &piece, 1);
}

/* Bursts that fit into the ring tell what the guest's side costs alone. */
static void bench_bursts(void)
{
	const unsigned long burst = 200;
	double best = 1, sum = 0;
	int n = 0;

	for (unsigned long i = 0; i < posts / burst; i++, n++) {
		double before = now(), t;

		post_many(burst);
		t = (now() - before) / (double)burst;
		best = t < best ? t : best;
		sum += t;
		call();
	}
	printf("posts in bursts of %lu: %.0f ns each, best %.0f ns\n", burst, sum / n * 1e9,
	       best * 1e9);
}

static void bench_posts(void)
{
	double before = now(), t;

	post_many(posts);
	t = now() - before;
	call();
	printf("posts: %.0f ns each, with the host done %.0f ns\n", t / (double)posts * 1e9,
	       (now() - before) / (double)posts * 1e9);
}

static void *caller(void *unused)
{
	(void)unused;
	for (unsigned long i = 0; i < calls; i++)
		call();
	return NULL;
}

static void bench_threads(unsigned int n)
{
	pthread_t thread[64];
	double before = now();

	for (unsigned int i = 0; i < n; i++)
		pthread_create(&thread[i], NULL, caller, NULL);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	printf("%u threads: %.0f calls a second\n", n, (double)calls * n / (now() - before));
}

int main(int argc, char **argv)
{
	unsigned int threads = argc > 3 ? (unsigned int)atoi(argv[3]) : 0;
	CUresult r = client_connect();

	if (r != CUDA_SUCCESS) {
		fprintf(stderr, "client-bench: no session (%d)\n", (int)r);
		return EXIT_FAILURE;
	}
	if (argc > 1)
		posts = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		calls = strtoul(argv[2], NULL, 0);
	bench_calls();
	bench_bursts();
	bench_posts();
	if (threads && threads <= 64)
		bench_threads(threads);
	return EXIT_SUCCESS;
}
