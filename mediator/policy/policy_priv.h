/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of policy.h's implementation know of each other. */
#ifndef VGPU_POLICY_PRIV_H
#define VGPU_POLICY_PRIV_H

#include "policy.h"

/* A tenant's name is part of file names, log lines and labels of metrics. */
#define POLICY_NAME_MAX 63u

/* levels.c: everything that a level decides. */
void policy_set_level(struct policy *p, enum policy_level level);
bool policy_level_parse(const char *text, enum policy_level *level);

/* parse.c: what no key is wrong in by itself. */
bool policy_check_whole(const struct policy *p, const char *path, GError **err);

/* policy.c */
bool policy_name_is_good(const char *name);
/* "kernels", one bit; 0: there is no such class. */
uint32_t policy_class_parse(const char *text);

/*
 * units.c: a number with K, M, G or T after it, these being powers of 1024.
 * False: it is not, or it is more than 1024T.
 */
bool policy_size_parse(const char *text, uint64_t *bytes);

/* "5%" is 5. */
bool policy_percent_parse(const char *text, guint *percent);

#endif /* VGPU_POLICY_PRIV_H */
