/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is around the device core: the socket to gpu_mediator, eventfds,
 * lifelines, the clock.  On GLib's main loop, and unaware of Xen.
 */
#ifndef VGPU_XEN_SHELL_H
#define VGPU_XEN_SHELL_H

#include <glib.h>

#include "vgpu_core.h"

struct shell;

/* How it is with the daemon. */
enum shell_link {
	SHELL_DOWN,
	SHELL_UP,
	SHELL_LIMITED, /* up, but it does not map the guest's memory */
	SHELL_REFUSED, /* down, and it says so itself */
};

struct shell_host {
	void (*raise)(void *opaque, uint32_t vector);
	void (*log)(void *opaque, enum vgpu_log_level level, const char *text);
	/* That is another than before; SHELL_DOWN to begin with. */
	void (*link)(void *opaque, enum shell_link link);
};

struct shell_config {
	const char *socket; /* as this process will see it when it serves */
	const char *name;   /* of the VM */
	uint32_t queues;
};

/* NULL: out of memory.  `host` must outlive it. */
struct shell *shell_new(const struct shell_config *config, const struct shell_host *host,
			void *opaque);
void shell_free(struct shell *s);

struct vgpu_core *shell_core(struct shell *s);

/* Around calls of the core: the clock before; the deadline, and doorbells, after. */
void shell_enter(struct shell *s);
void shell_leave(struct shell *s);

/*
 * A doorbell that was no more than that reaches the worker now: the guest has
 * its answer.
 */
void shell_kick(struct shell *s);

/*
 * Whoever rang sleeps until it is answered: waits a moment for the answer, so
 * that the interrupt goes out with the doorbell's own end.
 */
void shell_linger(struct shell *s);

#endif /* VGPU_XEN_SHELL_H */
