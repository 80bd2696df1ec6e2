/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a PTX text matters to somebody who does not execute it: the entries
 * with their parameters, and the variables of the module.
 */
#ifndef VGPU_CPU_PTX_H
#define VGPU_CPU_PTX_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PTX_PARAM_BYTES_MAX 32764u
#define PTX_NAMES_MAX 65536u

struct ptx_param {
	size_t offset, size;
};

struct ptx_entry {
	char *name;
	GArray *param; /* of struct ptx_param */
	size_t param_bytes;
	size_t shared;            /* bytes declared in the body and before */
	unsigned int max_threads; /* 0: not said */
};

struct ptx_variable {
	char *name;
	size_t size, align;
	bool constant;
	GByteArray *init; /* first bytes, the rest is 0 */
};

struct ptx_module {
	unsigned int refs;
	unsigned int major, minor; /* .version */
	unsigned int sm;           /* of .target */
	GPtrArray *entry;          /* of struct ptx_entry */
	GPtrArray *variable;       /* of struct ptx_variable */
};

/* NULL if the text is malformed; then `error`, if given, says where and why (g_free). */
struct ptx_module *ptx_parse(const char *text, size_t length, char **error);
struct ptx_module *ptx_ref(struct ptx_module *m);
void ptx_unref(struct ptx_module *m);

#endif /* VGPU_CPU_PTX_H */
