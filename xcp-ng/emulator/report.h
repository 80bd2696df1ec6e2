/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the confined process tells the one that watches over it.  Packets of
 * one fixed size; the receiver believes nothing in them and only writes them
 * down for people.
 */
#ifndef VGPU_XEN_REPORT_H
#define VGPU_XEN_REPORT_H

#include <stdint.h>

#define REPORT_TEXT 192u

enum report_kind {
	REPORT_SERVING = 1, /* the device is there; `value`: the number of the ioreq server */
	REPORT_CONNECTED,   /* to gpu_mediator */
	REPORT_WAITING,     /* for gpu_mediator */
	REPORT_REFUSED,     /* by gpu_mediator */
	REPORT_WORDS,       /* why something is as it is */
	REPORT_FAILED,      /* the process ends; `text` says why */
	REPORT_LIMITED,     /* connected, but for small commands only; words came before */
};

struct report {
	uint32_t kind;
	uint32_t value;
	char text[REPORT_TEXT]; /* NUL-terminated, or so it should be */
};

/* Sends one; lost if nobody listens. */
void report_send(int fd, enum report_kind kind, uint32_t value, const char *text);

#endif /* VGPU_XEN_REPORT_H */
