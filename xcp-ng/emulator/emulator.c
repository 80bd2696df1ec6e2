/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that serves the guest.
 *
 * Order matters: open and restrict the hypervisor's handles, make the server
 * and take the function, give up every privilege, and only then look at what
 * the guest asks for.
 */
#include "emulator.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "confine.h"
#include "device.h"
#include "fdio.h"
#include "report.h"
#include "shell.h"
#include "xen.h"

/* Requests handled before sockets have their turn. */
#define REQUESTS_AT_ONCE 64

/* How often the daemon is told that the guest's pages have changed, in ms. */
#define CHANGED_MS 20

/* Lines about a guest's mistakes in a second. */
#define GUEST_LINES 10u

/* Guest RAM lies below this, and from 4 GiB on: hvmloader has the devices in between. */
#define LOW_RAM_END 0xf0000000ull
#define HIGH_RAM 0x100000000ull

struct emulator {
	const struct emulator_config *config;
	int report;
	struct xen xen;
	struct device device;
	struct shell *shell;
	GMainLoop *loop;
	guint changed; /* a timer, while it is too early to tell the daemon again */
	bool changed_again;
	gint64 guest_second;
	guint guest_lines;
};

static void say(const struct emulator *e, const char *text)
{
	fprintf(stderr, "vgpu-stub-xen: domain %u: %s\n", e->config->domid, text);
}

/* -------------------------------------------------------- for the device */

static int host_map(void *opaque, uint64_t address, uint32_t size)
{
	struct emulator *e = opaque;

	return xen_map_range(&e->xen, address, size);
}

static int host_unmap(void *opaque, uint64_t address, uint32_t size)
{
	struct emulator *e = opaque;

	return xen_unmap_range(&e->xen, address, size);
}

/* The guest can cause as many as it likes. */
static void host_guest_error(void *opaque, const char *text)
{
	struct emulator *e = opaque;
	gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;

	if (!e->config->verbose)
		return;
	if (second != e->guest_second)
		e->guest_lines = 0;
	e->guest_second = second;
	if (e->guest_lines++ < GUEST_LINES)
		say(e, text);
}

static void host_send_msi(void *opaque, uint64_t address, uint32_t data)
{
	struct emulator *e = opaque;
	int err = xen_send_msi(&e->xen, address, data);

	if (err)
		host_guest_error(e, "an interrupt's message does not reach it");
}

static void host_enter(void *opaque)
{
	struct emulator *e = opaque;

	shell_enter(e->shell);
}

static void host_leave(void *opaque)
{
	struct emulator *e = opaque;

	shell_leave(e->shell);
}

static void host_rung(void *opaque)
{
	struct emulator *e = opaque;

	shell_linger(e->shell);
}

static bool host_guest_read(void *opaque, uint64_t address, void *data, uint32_t size)
{
	struct emulator *e = opaque;

	return xen_guest_read(&e->xen, address, data, size);
}

static bool host_guest_write(void *opaque, uint64_t address, const void *data, uint32_t size)
{
	struct emulator *e = opaque;

	return xen_guest_write(&e->xen, address, data, size);
}

static void tell_changed(struct emulator *e)
{
	shell_enter(e->shell);
	vgpu_core_memory_changed(shell_core(e->shell));
	shell_leave(e->shell);
}

static gboolean on_changed_over(gpointer data)
{
	struct emulator *e = data;

	if (e->changed_again) {
		e->changed_again = false;
		tell_changed(e);
		return G_SOURCE_CONTINUE;
	}
	e->changed = 0;
	return G_SOURCE_REMOVE;
}

/* A balloon gives pages back one by one: the first is told at once, the others together. */
static void host_changed(void *opaque)
{
	struct emulator *e = opaque;

	if (e->changed) {
		e->changed_again = true;
		return;
	}
	tell_changed(e);
	e->changed = g_timeout_add(CHANGED_MS, on_changed_over, e);
}

static const struct device_host device_host = {
	.map = host_map,
	.unmap = host_unmap,
	.send_msi = host_send_msi,
	.enter = host_enter,
	.leave = host_leave,
	.rung = host_rung,
	.guest_read = host_guest_read,
	.guest_write = host_guest_write,
	.changed = host_changed,
	.guest_error = host_guest_error,
};

/* --------------------------------------------------------- for the shell */

static void shell_raise(void *opaque, uint32_t vector)
{
	struct emulator *e = opaque;

	device_raise(&e->device, vector);
}

static void shell_log(void *opaque, enum vgpu_log_level level, const char *text)
{
	struct emulator *e = opaque;

	if (level == VGPU_LOG_GUEST) {
		host_guest_error(e, text);
		return;
	}
	say(e, text);
	if (level != VGPU_LOG_INFO)
		report_send(e->report, REPORT_WORDS, 0, text);
}

static void shell_link(void *opaque, enum shell_link link)
{
	static const enum report_kind report[] = {
		[SHELL_DOWN] = REPORT_WAITING,
		[SHELL_UP] = REPORT_CONNECTED,
		[SHELL_LIMITED] = REPORT_LIMITED,
		[SHELL_REFUSED] = REPORT_REFUSED,
	};
	struct emulator *e = opaque;

	report_send(e->report, report[link], 0, "");
}

static const struct shell_host shell_host = {
	.raise = shell_raise,
	.log = shell_log,
	.link = shell_link,
};

/* ---------------------------------------------------------------- serving */

static gboolean on_request(gint fd, GIOCondition condition, gpointer data)
{
	struct emulator *e = data;
	struct ioreq r;
	uint32_t vcpu;

	(void)fd;
	(void)condition;
	for (int i = 0; i < REQUESTS_AT_ONCE && xen_next(&e->xen, &vcpu, &r); i++) {
		if (!device_run(&e->device, IOREQ_SBDF(0, e->config->slot, 0), &r))
			host_guest_error(e, "an access that makes no sense");
		xen_answer(&e->xen, vcpu, &r);
		shell_kick(e->shell);
	}
	return G_SOURCE_CONTINUE;
}

/* Whoever watches over us has gone: so has the reason to be here. */
static gboolean on_report_hup(gint fd, GIOCondition condition, gpointer data)
{
	struct emulator *e = data;

	(void)fd;
	(void)condition;
	g_main_loop_quit(e->loop);
	return G_SOURCE_REMOVE;
}

/*
 * Where RAM may be: hvmloader moves some of it from below the devices to above
 * 4 GiB.  What is not there is found out when a request names it.
 */
static void tell_memory(struct emulator *e)
{
	const uint64_t size = (e->config->memory + 0xfff) & ~0xfffull;
	const struct vgpu_core_region r[2] = {
		{.size = LOW_RAM_END,
		 .fd = -1,
		 .by_domain = true,
		 .domid = (uint16_t)e->config->domid},
		{.guest_addr = HIGH_RAM,
		 .size = size,
		 .fd = -1,
		 .by_domain = true,
		 .domid = (uint16_t)e->config->domid},
	};

	vgpu_core_set_memory(shell_core(e->shell), r, size ? 2 : 1);
}

static bool set_up(struct emulator *e, GError **err)
{
	const struct emulator_config *c = e->config;
	const struct confinement confinement = {
		.root = c->root, .uid = c->uid, .gid = c->gid, .socket_gid = c->socket_gid};
	char *inside = confine_path(c->root, c->socket);
	const struct shell_config shell = {.socket = inside, .name = c->name, .queues = c->queues};

	e->loop = g_main_loop_new(NULL, FALSE);
	device_init(&e->device, c->queues, &device_host, e);
	e->shell = shell_new(&shell, &shell_host, e);
	g_free(inside);
	if (!e->shell) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "out of memory");
		return false;
	}
	e->device.core = shell_core(e->shell);
	return xen_open(&e->xen, c->domid, err) && xen_serve(&e->xen, c->slot, err) &&
	       confine(&confinement, err);
}

int emulator_run(const struct emulator_config *config, int report)
{
	static struct emulator e;
	GError *err = NULL;

	e.config = config;
	e.report = report;
	if (!set_up(&e, &err)) {
		say(&e, err->message);
		report_send(report, REPORT_FAILED, e.xen.resource ? e.xen.server : UINT32_MAX,
			    err->message);
		g_clear_error(&err);
		return EXIT_FAILURE;
	}
	g_unix_fd_add(xen_fd(&e.xen), G_IO_IN, on_request, &e);
	g_unix_fd_add(report, G_IO_HUP, on_report_hup, &e);
	report_send(report, REPORT_SERVING, e.xen.server, "");
	shell_enter(e.shell);
	tell_memory(&e);
	vgpu_core_start(shell_core(e.shell));
	shell_leave(e.shell);
	g_main_loop_run(e.loop);
	xen_end(&e.xen);
	return EXIT_SUCCESS;
}
