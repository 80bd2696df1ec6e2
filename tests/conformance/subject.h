/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend under test.
 *
 * One for the whole program; tests open sessions of it as they need them.
 */
#ifndef VGPU_CONFORMANCE_SUBJECT_H
#define VGPU_CONFORMANCE_SUBJECT_H

#include <stdbool.h>

#include "backend.h"

struct subject {
	const struct vgpu_backend_ops *ops;
	unsigned int device;
};

extern struct subject subject;

/*
 * `name` is "cpu" or the path of a module.  Loads it; the module stays for the
 * life of the process.
 */
bool subject_load(const char *name, GError **err);

/* The gate at start: true if the backend can work here.  *text is the caller's to free. */
bool subject_probe(char **text);

/* A session, which the caller closes with subject.ops->close(); aborts the test on failure. */
struct vgpu_backend *subject_open(void);

/* A backend that does not care where data lies has no map and unmap. */
void subject_map(struct vgpu_backend *be, void *base, size_t length);
void subject_unmap(struct vgpu_backend *be, void *base, size_t length);

/* Fails the test unless `rc` is 0; says which call. */
#define assert_ok(rc)                                                                       \
	do {                                                                                \
		int rc_ = (rc);                                                             \
		if (rc_ != 0)                                                               \
			g_error("%s:%d: %s returned %d (%s)", __FILE__, __LINE__, #rc, rc_, \
				g_strerror(-rc_));                                          \
	} while (0)

#endif /* VGPU_CONFORMANCE_SUBJECT_H */
