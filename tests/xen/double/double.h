/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A double of libxenforeignmemory: one "domain", whose memory is a file.
 *
 * Frame n is page n of the file; what lies beyond its end is not there.  A
 * handle must be restricted to the domain before it maps anything.  As in the
 * hypervisor, what is mapped stays what it was, whatever the domain does.
 */
#ifndef TESTS_XEN_DOUBLE_H
#define TESTS_XEN_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>

struct xen_double {
	const char *path; /* of the file; NULL: $XEN_DOUBLE_MEMORY */
	uint32_t domid;   /* the one that there is; 0: any */
	bool refuse_open;
	bool refuse_restrict;
	bool dead;            /* the domain: nothing can be mapped any more */
	uint64_t missing;     /* this frame is not there; 0: all are */
	unsigned int handles; /* open */
	unsigned int maps;    /* calls that mapped something */
};

extern struct xen_double xen_double;

#endif /* TESTS_XEN_DOUBLE_H */
