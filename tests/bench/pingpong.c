/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The benchmark's reference on the host: an eventfd ping-pong between two
 * processes, each sleeping in read().  Prints one JSON object, microseconds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 20000
#define WARM_UP 1000

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void echo(int from, int to)
{
	uint64_t one;

	for (int i = 0; i < ROUNDS + WARM_UP; i++)
		if (read(from, &one, sizeof(one)) != sizeof(one) ||
		    write(to, &one, sizeof(one)) != sizeof(one))
			_exit(1);
	_exit(0);
}

int main(void)
{
	static double us[ROUNDS];
	int ping = eventfd(0, EFD_CLOEXEC), pong = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	int status;
	pid_t child;

	if (ping < 0 || pong < 0) {
		perror("eventfd");
		return 1;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (!child)
		echo(ping, pong);
	for (int i = -WARM_UP; i < ROUNDS; i++) {
		double began = now_us();

		if (write(ping, &one, sizeof(one)) != sizeof(one) ||
		    read(pong, &one, sizeof(one)) != sizeof(one)) {
			perror("ping-pong");
			return 1;
		}
		if (i >= 0)
			us[i] = now_us() - began;
	}
	if (waitpid(child, &status, 0) != child || status)
		return 1;
	qsort(us, ROUNDS, sizeof(us[0]), by_value);
	printf("{\"rounds\": %d, \"median_us\": %.3f, \"p99_us\": %.3f}\n", ROUNDS, us[ROUNDS / 2],
	       us[ROUNDS * 99 / 100]);
	return 0;
}
