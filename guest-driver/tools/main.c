// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test: runs commands on the host's GPU and verifies what comes back.
 *
 * Exit status: 0 passed, 1 failed, 2 usage, 77 no device.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"

static const struct subcommand subcommands[] = {
	{"nop", run_nop, "a request that does nothing"},
	{"vector_add", run_vector_add, "add two vectors (--size, --input twice, --output)"},
	{"matmul", run_matmul, "multiply two matrices (--dims, --input twice, --output)"},
	{"bandwidth", run_bandwidth, "a buffer to the device and back (--size, --repeat)"},
	{"info", run_info, "what the host computes on"},
	{"status", run_status, "counters of the session"},
	{"stress", run_stress, "all of them at random (--seconds, --seed, --reopen)"},
};

#define SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

enum { OPT_VERSION = 256 };

static const struct option long_options[] = {
	{"size", required_argument, NULL, 's'},
	{"dims", required_argument, NULL, 'D'},
	{"repeat", required_argument, NULL, 'r'},
	{"input", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'o'},
	{"seed", required_argument, NULL, 'S'},
	{"seconds", required_argument, NULL, 't'},
	{"json", no_argument, NULL, 'j'},
	{"wait", required_argument, NULL, 'w'},
	{"device", required_argument, NULL, 'd'},
	{"timeout", required_argument, NULL, 'T'},
	{"reopen", no_argument, NULL, 'R'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

static void usage(FILE *to)
{
	fprintf(to, "usage: gpu_test [options] COMMAND\n\ncommands:\n");
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		fprintf(to, "  %-11s %s\n", subcommands[i].name, subcommands[i].description);
	fprintf(to,
		"  any other   is shown to the host's administrator and refused\n\n"
		"options:\n"
		"  -s, --size N        elements (bandwidth: bytes); K, M, G may follow\n"
		"  -D, --dims MxNxK    of matmul: a is MxK, b is KxN\n"
		"  -r, --repeat N      do it N times\n"
		"  -i, --input FILE    float32 values; twice: a, then b\n"
		"  -o, --output FILE   where the result goes, float32 values\n"
		"  -S, --seed N        of the random numbers (1)\n"
		"  -t, --seconds N     how long stress runs (10)\n"
		"  -R, --reopen        stress: open a new session when one is lost\n"
		"  -w, --wait HOW      poll, interrupt or adaptive (adaptive)\n"
		"  -d, --device WHERE  PATH, or unix:PATH of the daemon's socket (%s)\n"
		"  -T, --timeout S     of each request, in seconds (60)\n"
		"  -j, --json          print a JSON object\n"
		"  -h, --help          this text\n"
		"      --version       the version\n",
		VGPU_DEVICE_PATH);
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;
	uint64_t unit = 1;

	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || end == text || text[0] == '-')
		return false;
	if (*end) {
		const char *at = strchr("KMG", *end);

		if (!at || end[1])
			return false;
		unit = 1ull << (10 * (at - "KMG" + 1));
	}
	if (*out > max / unit)
		return false;
	*out *= unit;
	return true;
}

static bool parse_dims(const char *text, struct options *o)
{
	char rest;

	return sscanf(text, "%ux%ux%u%c", &o->m, &o->n, &o->k, &rest) == 3 && o->m && o->n &&
	       o->k && o->m <= VGPU_MATMUL_DIM_MAX && o->n <= VGPU_MATMUL_DIM_MAX &&
	       o->k <= VGPU_MATMUL_DIM_MAX;
}

static bool parse_wait(const char *text, enum vgpu_wait_mode *mode)
{
	if (strcmp(text, "poll") == 0)
		*mode = VGPU_WAIT_POLL;
	else if (strcmp(text, "interrupt") == 0)
		*mode = VGPU_WAIT_INTERRUPT;
	else if (strcmp(text, "adaptive") == 0)
		*mode = VGPU_WAIT_ADAPTIVE;
	else
		return false;
	return true;
}

/* One option: true, or false if its argument makes no sense. */
static bool take_option(int letter, const char *arg, struct options *o)
{
	uint64_t n = 0;
	bool good = true;

	switch (letter) {
	case 's':
		good = parse_number(arg, 1ull << 40, &o->size) && o->size;
		break;
	case 'D':
		good = parse_dims(arg, o);
		break;
	case 'r':
		good = parse_number(arg, 1000000000, &n) && n;
		o->repeat = (unsigned int)n;
		break;
	case 'i':
		good = o->inputs < 2;
		if (good)
			o->input[o->inputs++] = arg;
		break;
	case 'o':
		o->output = arg;
		break;
	case 'S':
		good = parse_number(arg, UINT64_MAX, &o->seed);
		break;
	case 't':
		good = parse_number(arg, 10000000, &n);
		o->seconds = (unsigned int)n;
		break;
	case 'T':
		good = parse_number(arg, INT_MAX / 1000, &n) && n;
		o->timeout_ms = (int)n * 1000;
		break;
	case 'w':
		good = parse_wait(arg, &o->wait);
		break;
	case 'd':
		o->device = arg;
		break;
	case 'j':
		o->json = true;
		break;
	case 'R':
		o->reopen = true;
		break;
	default:
		return false;
	}
	if (!good)
		fprintf(stderr, "gpu_test: %s: not a valid value here\n", arg);
	return good;
}

/* Files go with data of one's own, not with the self-test: -1, or EXIT_USAGE. */
static int check_files(const char *command, const struct options *o)
{
	bool sized = o->size || o->m;

	if (o->inputs == 1) {
		fprintf(stderr, "gpu_test: --input must be given twice\n");
		return EXIT_USAGE;
	}
	if (strcmp(command, "matmul") == 0 && (o->inputs || o->output) && !sized) {
		fprintf(stderr, "gpu_test: matmul with files needs --dims\n");
		return EXIT_USAGE;
	}
	if (o->output && !sized && !o->inputs) {
		fprintf(stderr, "gpu_test: --output needs --size or --input\n");
		return EXIT_USAGE;
	}
	return -1;
}

/* Fills `o`: -1, or the exit status if there is nothing left to do. */
static int parse_options(int argc, char **argv, struct options *o)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "s:D:r:i:o:S:t:T:w:d:jRh", long_options, NULL)) !=
	       -1) {
		if (letter == 'h') {
			usage(stdout);
			return EXIT_PASSED;
		}
		if (letter == OPT_VERSION) {
			puts("gpu_test " VGPU_VERSION);
			return EXIT_PASSED;
		}
		if (!take_option(letter, optarg, o))
			return EXIT_USAGE;
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return check_files(argv[optind], o);
}

static int run(struct context *c, const char *word)
{
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		if (strcmp(subcommands[i].name, word) == 0) {
			int ret = open_session(c);

			return ret == EXIT_PASSED ? subcommands[i].run(c) : ret;
		}
	}
	return run_text(c, word);
}

int main(int argc, char **argv)
{
	struct context c = {
		.opt = {.seed = 1, .seconds = 10, .timeout_ms = 60000},
	};
	int ret = parse_options(argc, argv, &c.opt);

	if (ret >= 0)
		return ret;
	c.report = json_pack("{s:s}", "command", argv[optind]);
	if (!c.report)
		c.report = json_object(); /* a word that is not UTF-8 */
	ret = run(&c, argv[optind]);
	if (c.opt.json) {
		json_object_set_new(c.report, "status", json_integer(ret));
		json_dumpf(c.report, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(c.report);
	vgpu_session_close(c.session);
	if (fflush(stdout) != 0)
		return complain("standard output");
	return ret;
}
