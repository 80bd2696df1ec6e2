// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hostile: attacks the device from inside the guest.
 *
 *   hostile [--seed N] [--divide N] all | NAME...
 *
 * --divide is for where a single access is slow: of those at random one Nth is made.
 * Exit status: 0 all was refused or contained, 1 not so, 2 usage, 77 no device.
 */
#include "hostile.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vgpu.h"

static const struct attack attacks[] = {
	{"registers", attack_registers, "random values to every register"},
	{"queues", attack_queues, "queues set up wrongly, twice, in no memory"},
	{"rings", attack_rings, "indices and record lengths that cannot be"},
	{"requests", attack_requests, "requests with wrong fields, sizes at and beyond limits"},
	{"buffers", attack_buffers, "buffer tables and segment lists that lie"},
	{"flips", attack_flips, "tables, lists and requests that change while they are read"},
	{"bars", attack_bars, "BARs that move under load, in configuration space"},
	{"user-rings", attack_user_rings, "a process that scribbles over its rings"},
	{"user-ioctls", attack_user_ioctls, "ioctls and writes of garbage"},
	{"user-maps", attack_user_maps, "mappings of all shapes"},
	{"user-buffers", attack_user_buffers, "memory that cannot be registered"},
	{"user-files", attack_user_files, "closing, forking and dying at the wrong time"},
};

#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

static unsigned int failures;
static uint64_t state = 1;
static int divisor = 1;

void check(bool good, const char *format, ...)
{
	va_list args;

	printf("%s ", good ? "ok" : "not ok");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	failures += !good;
}

uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

int times(int n)
{
	return n / divisor;
}

void give_up(const char *what)
{
	printf("not ok %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(errno == ENODEV || errno == ENOENT ? 77 : 1);
}

/* A user-... attack runs as nobody, in a process of its own. */
static void run_as_nobody(const struct attack *a)
{
	pid_t child;
	int status;

	if (geteuid() == 0)
		chmod(VGPU_DEVICE_PATH, 0666);
	fflush(stdout);
	child = fork();
	if (child < 0)
		give_up("fork");
	if (child == 0) {
		failures = 0;
		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			give_up("becoming nobody");
		a->run();
		exit(failures ? 1 : 0);
	}
	if (waitpid(child, &status, 0) < 0)
		give_up("waitpid");
	if (!WIFEXITED(status))
		check(false, "%s: ended by signal %d", a->name, WTERMSIG(status));
	else if (WEXITSTATUS(status) == 77)
		exit(77);
	else
		failures += WEXITSTATUS(status) != 0;
}

static void run(const struct attack *a)
{
	if (strncmp(a->name, "user-", 5) == 0)
		run_as_nobody(a);
	else
		a->run();
}

static int usage(void)
{
	fprintf(stderr, "usage: hostile [--seed N] [--divide N] all | NAME...\n\n");
	for (size_t i = 0; i < ATTACKS; i++)
		fprintf(stderr, "  %-13s %s\n", attacks[i].name, attacks[i].description);
	return 2;
}

static bool run_named(const char *name)
{
	bool all = strcmp(name, "all") == 0, found = false;

	for (size_t i = 0; i < ATTACKS; i++) {
		if (all || strcmp(attacks[i].name, name) == 0) {
			run(&attacks[i]);
			found = true;
		}
	}
	return found;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"divide", required_argument, NULL, 'd'},
		{0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "s:d:", options, NULL)) != -1) {
		if (letter == 's')
			state = strtoull(optarg, NULL, 0);
		else if (letter == 'd')
			divisor = atoi(optarg);
		if ((letter != 's' && letter != 'd') || divisor < 1)
			return usage();
	}
	if (optind == argc)
		return usage();
	for (; optind < argc; optind++)
		if (!run_named(argv[optind]))
			return usage();
	printf("hostile: %u failures\n", failures);
	return failures ? 1 : 0;
}
