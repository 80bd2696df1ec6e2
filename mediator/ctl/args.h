/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is to be added to a virtual machine so that it has a GPU; pure. */
#ifndef VGPU_CTL_ARGS_H
#define VGPU_CTL_ARGS_H

#include <glib.h>

#include "gpus.h"

enum args_target { ARGS_QEMU, ARGS_LIBVIRT, ARGS_XL, ARGS_XE };

/* A VM that comes by the daemon. */
struct args_vm {
	const char *name;
	const char *socket; /* that it connects to */
	const char *memory; /* NULL: not known */
	const char *plugin; /* of QEMU */
	const char *tenant; /* by which XCP-ng's wrapper finds the socket; NULL: the shared one */
};

/* Texts that the caller frees; without a newline at their end. */
char *args_mediated(enum args_target target, const struct args_vm *vm);

/* The functions of the card that go together: "0000:01:00.0", ... */
GPtrArray *args_functions(const struct gpu *g);
char *args_passthrough(enum args_target target, const char *vm, GPtrArray *functions);

#endif /* VGPU_CTL_ARGS_H */
