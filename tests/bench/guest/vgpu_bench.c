// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vgpu_bench: round trips and rates of the device, measured in the guest.
 *
 * Prints one JSON object; times are in microseconds.  The kinds of round trip
 * take turns in blocks, so that a machine that becomes slower meanwhile slows
 * them all.  Needs root: the register path is measured with the driver unbound,
 * since a kernel lets nobody map the registers of a bound device.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "pci.h"
#include "vgpu.h"
#include "vgpu_stub.h"

#define TIMEOUT_MS 60000
#define BLOCKS 10
#define KINDS 6
#define PAUSE_US 1000
#define IN_FLIGHT_MAX 16
#define ADD_FLOATS (4u << 20)
#define EDU_PATH "/dev/edu_rtt"

/* A kind of round trip: by a session, or by edu. */
struct kind {
	const char *name;
	struct vgpu_session *session;
	unsigned int pause_us; /* before each */
	int edu;
};

struct samples {
	const char *name;
	double *us;
	size_t count;
};

static json_t *report;

static void die(const char *what)
{
	fprintf(stderr, "vgpu_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/*
 * A guest whose kernel distrusts its TSC reads the clock from a device, which
 * takes as long as what is measured here.  So the TSC itself is read, and the
 * clock only to find out how fast it runs.
 */
#ifdef __x86_64__
static double tsc_per_us;

static void clock_calibrate(void)
{
	double began = clock_us();
	uint64_t ticks = __builtin_ia32_rdtsc();

	while (clock_us() - began < 100000)
		;
	tsc_per_us = (double)(__builtin_ia32_rdtsc() - ticks) / (clock_us() - began);
}

static double now_us(void)
{
	return (double)__builtin_ia32_rdtsc() / tsc_per_us;
}
#else
static void clock_calibrate(void)
{
}

static double now_us(void)
{
	return clock_us();
}
#endif

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static void samples_make(struct samples *s, const char *name, size_t count)
{
	s->name = name;
	s->count = 0;
	s->us = calloc(count, sizeof(*s->us));
	if (!s->us)
		die("memory");
}

/* Median and 99th percentile into the report; null if nothing was measured. */
static void samples_report(struct samples *s)
{
	if (!s->count) {
		json_object_set_new(report, s->name, json_null());
		return;
	}
	qsort(s->us, s->count, sizeof(*s->us), compare);
	json_object_set_new(report, s->name,
			    json_pack("{s:f, s:f, s:f, s:I}", "median_us", s->us[s->count / 2],
				      "p99_us", s->us[s->count * 99 / 100], "min_us", s->us[0],
				      "count", (json_int_t)s->count));
	free(s->us);
}

/* ------------------------------------------------------------------- queues */

static struct vgpu_session *session(enum vgpu_wait_mode wait)
{
	struct vgpu_session *s = vgpu_session_open(NULL);

	if (!s)
		die(VGPU_DEVICE_PATH);
	vgpu_session_set_wait(s, wait);
	return s;
}

static void pause_us(unsigned int us)
{
	struct timespec t = {.tv_nsec = us * 1000L};

	if (us)
		nanosleep(&t, NULL);
}

static void nop_queue(const struct kind *k, struct samples *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double began;

		pause_us(k->pause_us);
		began = now_us();
		if (vgpu_call(k->session, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0, TIMEOUT_MS) < 0)
			die("nop");
		out->us[out->count++] = now_us() - began;
	}
}

static void edu_round_trips(const struct kind *k, struct samples *out, size_t count)
{
	uint32_t seen;

	for (size_t i = 0; i < count; i++) {
		double began;

		pause_us(k->pause_us);
		began = now_us();
		if (read(k->edu, &seen, sizeof(seen)) != sizeof(seen))
			die(EDU_PATH);
		out->us[out->count++] = now_us() - began;
	}
}

static struct vgpu_status_result status_of(struct vgpu_session *s)
{
	struct vgpu_status_result r;

	if (vgpu_call(s, VGPU_CMD_QUERY_STATUS, NULL, 0, NULL, 0, &r, sizeof(r), TIMEOUT_MS) <
	    (int)sizeof(r))
		die("query_status");
	return r;
}

/* What it took: doorbells and interrupts of each request. */
static void report_wakes(const struct kind *k)
{
	struct vgpu_status_result r = status_of(k->session);
	json_t *entry = json_object_get(report, k->name);

	json_object_set_new(entry, "doorbells_per_request",
			    json_real((double)r.kicks / (double)r.requests));
	json_object_set_new(entry, "interrupts_per_request",
			    json_real((double)r.calls / (double)r.requests));
}

/*
 * Back to back the worker is still polling when the next request comes; after a
 * pause both sides sleep, and a round trip takes a doorbell and an interrupt.
 */
static void measure_round_trips(size_t count)
{
	int edu = open(EDU_PATH, O_RDONLY | O_CLOEXEC);
	struct kind kind[] = {
		{"nop_interrupt", session(VGPU_WAIT_INTERRUPT), 0, -1},
		{"nop_polled", session(VGPU_WAIT_POLL), 0, -1},
		{"nop_adaptive", session(VGPU_WAIT_ADAPTIVE), 0, -1},
		{"nop_interrupt_after_pause", session(VGPU_WAIT_INTERRUPT), PAUSE_US, -1},
		{"edu", NULL, 0, edu},
		{"edu_after_pause", NULL, PAUSE_US, edu},
	};
	struct samples s[KINDS];

	for (size_t i = 0; i < KINDS; i++)
		samples_make(&s[i], kind[i].name, count);
	for (int block = 0; block < BLOCKS; block++)
		for (size_t i = 0; i < KINDS; i++) {
			if (kind[i].session)
				nop_queue(&kind[i], &s[i], count / BLOCKS);
			else if (edu >= 0)
				edu_round_trips(&kind[i], &s[i], count / BLOCKS);
		}
	for (size_t i = 0; i < KINDS; i++) {
		samples_report(&s[i]);
		if (kind[i].session)
			report_wakes(&kind[i]);
		vgpu_session_close(kind[i].session);
	}
	if (edu >= 0)
		close(edu);
}

/* ---------------------------------------------------------------- throughput */

static void submit_nop(struct vgpu_session *s)
{
	uint64_t id;

	if (vgpu_submit(s, VGPU_CMD_NOP, NULL, 0, NULL, 0, &id) < 0)
		die("submitting");
}

static double rate(struct vgpu_session *s, unsigned int in_flight, size_t count)
{
	const struct vgpu_response *rsp;
	double began = now_us();
	size_t sent = 0;

	for (; sent < in_flight; sent++)
		submit_nop(s);
	for (size_t done = 0; done < count; done++) {
		if (vgpu_receive(s, TIMEOUT_MS, &rsp) < 0)
			die("receiving");
		if (sent < count) {
			submit_nop(s);
			sent++;
		}
	}
	return (double)count / ((now_us() - began) / 1e6);
}

static void measure_rates(size_t count)
{
	static const struct {
		const char *name;
		enum vgpu_wait_mode wait;
		unsigned int in_flight;
	} kind[] = {
		{"interrupt_1", VGPU_WAIT_INTERRUPT, 1},
		{"interrupt_16", VGPU_WAIT_INTERRUPT, IN_FLIGHT_MAX},
		{"polled_1", VGPU_WAIT_POLL, 1},
		{"polled_16", VGPU_WAIT_POLL, IN_FLIGHT_MAX},
	};
	json_t *rates = json_object();

	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		struct vgpu_session *s = session(kind[i].wait);

		rate(s, kind[i].in_flight, count / 10 + IN_FLIGHT_MAX); /* warm up */
		json_object_set_new(rates, kind[i].name,
				    json_real(rate(s, kind[i].in_flight, count + IN_FLIGHT_MAX)));
		vgpu_session_close(s);
	}
	json_object_set_new(report, "requests_per_second", rates);
}

/* -------------------------------------------------------------- host copies */

static void *buffer(struct vgpu_session *s, size_t bytes, uint32_t flags, struct vgpu_desc *desc)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	*desc = (struct vgpu_desc){.length = bytes};
	if (mem == MAP_FAILED || vgpu_buffer_register(s, mem, bytes, flags, &desc->buffer) < 0)
		die("registering a buffer");
	return mem;
}

static void measure_copies(void)
{
	size_t bytes = ADD_FLOATS * sizeof(float);
	struct vgpu_session *s = session(VGPU_WAIT_ADAPTIVE);
	struct vgpu_vector_add body = {.elements = ADD_FLOATS};
	struct vgpu_status_result before, after;
	struct vgpu_compute_result r;
	struct vgpu_desc desc[3];
	void *mem[3];

	mem[0] = buffer(s, bytes, VGPU_STUB_BUFFER_READ, &desc[0]);
	mem[1] = buffer(s, bytes, VGPU_STUB_BUFFER_READ, &desc[1]);
	mem[2] = buffer(s, bytes, VGPU_STUB_BUFFER_WRITE, &desc[2]);
	before = status_of(s);
	if (vgpu_call(s, VGPU_CMD_VECTOR_ADD, desc, 3, &body, sizeof(body), &r, sizeof(r),
		      TIMEOUT_MS) < (int)sizeof(r))
		die("vector_add");
	after = status_of(s);
	json_object_set_new(report, "host_copied_bytes",
			    json_integer((json_int_t)(after.host_copied - before.host_copied)));
	json_object_set_new(report, "payload_bytes", json_integer((json_int_t)(3 * bytes)));
	json_object_set_new(
		report, "host_copied_per_byte",
		json_real((double)(after.host_copied - before.host_copied) / (double)(3 * bytes)));
	json_object_set_new(report, "vector_add_ms", json_real((double)r.nanoseconds / 1e6));
	json_object_set_new(report, "backend",
			    json_string(r.backend == VGPU_BACKEND_CUDA ? "cuda" : "cpu"));
	vgpu_session_close(s);
	for (int i = 0; i < 3; i++)
		munmap(mem[i], bytes);
}

/* ----------------------------------------------------------------- registers */

static void nop_registers(struct pci_device *dev, struct samples *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double began = now_us();

		pci_write(dev, VGPU_REG_DATA_LENGTH, 0);
		pci_write(dev, VGPU_REG_COMMAND, VGPU_CMD_NOP);
		while (pci_read(dev, VGPU_REG_STATUS) & VGPU_STATUS_BUSY)
			if (now_us() - began > TIMEOUT_MS * 1e3) {
				errno = ETIMEDOUT;
				die("nop by registers");
			}
		if (pci_read(dev, VGPU_REG_RESULT) != 0) {
			errno = -(int)pci_read(dev, VGPU_REG_RESULT);
			die("nop by registers");
		}
		out->us[out->count++] = now_us() - began;
	}
}

static void measure_registers(size_t count)
{
	struct pci_device dev;
	struct samples s, warm;

	if (pci_take(&dev) < 0)
		die("taking the device from its driver");
	samples_make(&warm, "warm_up", BLOCKS);
	samples_make(&s, "nop_registers", count);
	nop_registers(&dev, &warm, BLOCKS); /* the first one starts a worker */
	nop_registers(&dev, &s, count);
	pci_give_back(&dev);
	samples_report(&s);
	free(warm.us);
}

static size_t parse_count(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'n'},
		{0},
	};
	size_t count = 5000;
	int letter;

	while ((letter = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		count = letter == 'n' ? strtoul(optarg, NULL, 0) : 0;
		if (count < BLOCKS || count > 10000000) {
			fprintf(stderr, "usage: vgpu_bench [--count N], N at least %d\n", BLOCKS);
			exit(2);
		}
	}
	return count / BLOCKS * BLOCKS;
}

int main(int argc, char **argv)
{
	size_t count = parse_count(argc, argv);

	report = json_object();
	clock_calibrate();
	measure_round_trips(count);
	measure_rates(count);
	measure_copies();
	measure_registers(count);
	json_dumpf(report, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(report);
	return 0;
}
