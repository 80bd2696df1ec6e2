// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vgpu-smi: what this virtual machine may use of the host's GPU, and uses.
 *
 * Asks by a command of the device, so it needs no CUDA.  Exit status: 0, 1
 * failed, 2 usage, 77 no device.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgpu.h"

#define EXIT_USAGE 2
#define EXIT_NO_DEVICE 77
#define TIMEOUT_MS 60000

struct options {
	const char *device;
	bool json;
	unsigned int loop; /* seconds between two looks; 0: one look */
};

static const struct {
	uint32_t bit;
	const char *name;
} classes[] = {
	{VGPU_CLASS_BUILTIN, "builtin"},     {VGPU_CLASS_MEMORY, "memory"},
	{VGPU_CLASS_KERNELS, "kernels"},     {VGPU_CLASS_GRAPHS, "graphs"},
	{VGPU_CLASS_CALLBACKS, "callbacks"}, {VGPU_CLASS_PINNED, "pinned"},
	{VGPU_CLASS_ADMIN, "admin"},
};

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

static void usage(FILE *to)
{
	fprintf(to,
		"usage: vgpu-smi [options]\n\n"
		"Shows what this virtual machine may use of the host's GPU, and uses.\n\n"
		"  -d, --device WHERE  PATH, or unix:PATH of the daemon's socket (%s)\n"
		"  -j, --json          print a JSON object\n"
		"  -l, --loop SECONDS  again and again, with so many between two looks\n"
		"  -h, --help          this text\n"
		"      --version       the version\n",
		VGPU_DEVICE_PATH);
}

/* --------------------------------------------------------------- numbers */

/* Of 1024; into one of a few places, so that several fit one line. */
static const char *bytes_text(uint64_t bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	static char place[4][32];
	static unsigned int next;
	char *out = place[next++ % 4];
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i + 1 < sizeof(unit) / sizeof(unit[0])) {
		value /= 1024;
		i++;
	}
	snprintf(out, sizeof(place[0]), i ? "%.1f %s" : "%.0f %s", value, unit[i]);
	return out;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* --------------------------------------------------------------- for people */

static void row(const char *name)
{
	printf("%-13s", name);
}

static void print_memory(const struct vgpu_tenant_result *t)
{
	row("Memory");
	if (!t->memory_total) {
		printf("%s\n", bytes_text(t->memory_used));
		return;
	}
	printf("%s of %s (%.0f %%)%s\n", bytes_text(t->memory_used), bytes_text(t->memory_total),
	       100.0 * (double)t->memory_used / (double)t->memory_total,
	       t->memory_limit == VGPU_TENANT_NO_LIMIT ? ", all that the GPU has" : "");
}

static void print_share(const struct vgpu_tenant_result *t)
{
	row("Share");
	printf("weight %u", t->weight);
	if (t->cap_percent && t->cap_percent < 100)
		printf(", at most %u %% of the time", t->cap_percent);
	putchar('\n');
	row("GPU time");
	printf("%.3f s\n", seconds(t->gpu_ns));
}

static void print_work(const struct vgpu_tenant_result *t)
{
	row("Requests");
	printf("%" PRIu64 ", %" PRIu64 " of them launches, %" PRIu64 " refused", t->requests,
	       t->launches, t->refused);
	if (t->calls_rate)
		printf("; at most %" PRIu64 " a second", t->calls_rate);
	putchar('\n');
	row("Payload");
	fputs(bytes_text(t->bytes), stdout);
	if (t->bytes_rate)
		printf("; at most %s a second", bytes_text(t->bytes_rate));
	putchar('\n');
	row("Throttled");
	printf("%.3f s\n", seconds(t->throttled_ns));
}

static const char *backend_name(uint32_t backend)
{
	return backend == VGPU_BACKEND_CUDA ? "cuda" : backend == VGPU_BACKEND_CPU ? "cpu" : "?";
}

static void print_table(const struct vgpu_tenant_result *t)
{
	row("GPU");
	printf("%s (%s)\n", *t->name ? t->name : "unknown", backend_name(t->backend));
	print_memory(t);
	print_share(t);
	row("Sessions");
	printf("%u", t->sessions);
	if (t->sessions_most)
		printf(" of %u", t->sessions_most);
	putchar('\n');
	print_work(t);
	row("Allowed");
	for (size_t i = 0, n = 0; i < CLASSES; i++) {
		if (t->classes & classes[i].bit)
			printf("%s%s", n++ ? ", " : "", classes[i].name);
	}
	puts(t->classes ? "" : "nothing");
	row("State");
	puts(t->flags & VGPU_TENANT_QUARANTINED ? "quarantined: no new sessions for a while"
						: "ok");
}

/* -------------------------------------------------------------- for programs */

/* JSON has no larger whole numbers; null says that there is no limit. */
static json_t *number(uint64_t n)
{
	return n > INT64_MAX ? json_null() : json_integer((json_int_t)n);
}

static json_t *class_list(uint32_t allowed)
{
	json_t *list = json_array();

	for (size_t i = 0; i < CLASSES; i++) {
		if (allowed & classes[i].bit)
			json_array_append_new(list, json_string(classes[i].name));
	}
	return list;
}

static int print_json(const struct vgpu_tenant_result *t, bool many)
{
	json_t *o = json_object();
	int ret;

	/* A name that is no UTF-8 is left out. */
	json_object_set_new(o, "gpu", json_string(t->name));
	json_object_set_new(o, "backend", json_string(backend_name(t->backend)));
	json_object_set_new(o, "memory_used", number(t->memory_used));
	json_object_set_new(o, "memory_total", number(t->memory_total));
	json_object_set_new(o, "memory_limit", number(t->memory_limit));
	json_object_set_new(o, "weight", json_integer(t->weight));
	json_object_set_new(o, "cap_percent", json_integer(t->cap_percent));
	json_object_set_new(o, "gpu_ns", number(t->gpu_ns));
	json_object_set_new(o, "sessions", json_integer(t->sessions));
	json_object_set_new(o, "sessions_most", json_integer(t->sessions_most));
	json_object_set_new(o, "requests", number(t->requests));
	json_object_set_new(o, "requests_rate", number(t->calls_rate));
	json_object_set_new(o, "bytes", number(t->bytes));
	json_object_set_new(o, "bytes_rate", number(t->bytes_rate));
	json_object_set_new(o, "launches", number(t->launches));
	json_object_set_new(o, "refused", number(t->refused));
	json_object_set_new(o, "throttled_ns", number(t->throttled_ns));
	json_object_set_new(o, "allowed", class_list(t->classes));
	json_object_set_new(o, "quarantined", json_boolean(t->flags & VGPU_TENANT_QUARANTINED));
	/* One look: an object to read; many: a line each. */
	ret = json_dumpf(o, stdout, many ? JSON_COMPACT : JSON_INDENT(2));
	json_decref(o);
	putchar('\n');
	return ret;
}

/* ------------------------------------------------------------------ asking */

static int no_session(const char *path, int error)
{
	const char *hint = "";

	if (*vgpu_open_reason()) {
		fprintf(stderr, "vgpu-smi: %s: the host refuses: %s\n", path, vgpu_open_reason());
		return EXIT_FAILURE;
	}
	if (error == ENOTCONN)
		hint = " (is gpu_mediator running on the host?)";
	else if (error == EBUSY || error == EUSERS)
		hint = " (as many sessions as there may be are open)";
	else if (error == EACCES || error == EPERM)
		hint = " (this virtual machine is no tenant, or is quarantined; or you are not in "
		       "the group of the device file or socket)";
	fprintf(stderr, "vgpu-smi: %s: %s%s\n", path, strerror(error), hint);
	return error == ENOENT || error == ENXIO || error == ENODEV ? EXIT_NO_DEVICE : EXIT_FAILURE;
}

static int ask(struct vgpu_session *s, struct vgpu_tenant_result *t)
{
	int got = vgpu_call(s, VGPU_CMD_TENANT, NULL, 0, NULL, 0, t, sizeof(*t), TIMEOUT_MS);

	if (got < 0 && errno == EOPNOTSUPP)
		fprintf(stderr,
			"vgpu-smi: the host is older than this program and has no answer\n");
	else if (got < (int)sizeof(*t))
		fprintf(stderr, "vgpu-smi: %s\n", strerror(got < 0 ? errno : EPROTO));
	if (got < (int)sizeof(*t))
		return EXIT_FAILURE;
	t->name[sizeof(t->name) - 1] = '\0';
	return EXIT_SUCCESS;
}

static int show(struct vgpu_session *s, const struct options *o)
{
	struct vgpu_tenant_result t;
	int ret = ask(s, &t);

	if (ret)
		return ret;
	if (o->json)
		print_json(&t, o->loop);
	else
		print_table(&t);
	if (o->loop && !o->json)
		putchar('\n');
	if (fflush(stdout) != 0) {
		perror("vgpu-smi: standard output");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static int run(const struct options *o)
{
	const char *path = o->device ? o->device : getenv("VGPU_TRANSPORT");
	struct vgpu_session *s;
	int ret;

	if (!path)
		path = VGPU_DEVICE_PATH;
	s = vgpu_session_open(path);
	if (!s)
		return no_session(path, errno);
	while ((ret = show(s, o)) == EXIT_SUCCESS && o->loop)
		sleep(o->loop);
	vgpu_session_close(s);
	return ret;
}

/* ----------------------------------------------------------------- options */

enum { OPT_VERSION = 256 };

static bool parse_loop(const char *text, unsigned int *out)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	*out = (unsigned int)n;
	return !errno && end != text && !*end && text[0] != '-' && n >= 1 && n <= 86400;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option long_options[] = {
		{"device", required_argument, NULL, 'd'},    {"json", no_argument, NULL, 'j'},
		{"loop", required_argument, NULL, 'l'},      {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPT_VERSION}, {0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "d:jl:h", long_options, NULL)) != -1) {
		if (letter == 'h') {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		if (letter == OPT_VERSION) {
			puts("vgpu-smi " VGPU_VERSION);
			return EXIT_SUCCESS;
		}
		if (letter == '?')
			return EXIT_USAGE;
		if (letter == 'd')
			o->device = optarg;
		if (letter == 'j')
			o->json = true;
		if (letter == 'l' && !parse_loop(optarg, &o->loop)) {
			fprintf(stderr,
				"vgpu-smi: --loop %s: not a number of seconds, 1 to 86400\n",
				optarg);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	usage(stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	int ret = parse(argc, argv, &o);

	return ret >= 0 ? ret : run(&o);
}
