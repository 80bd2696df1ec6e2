/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a tenant's file. */
#ifndef VGPU_POLICY_KEYS_H
#define VGPU_POLICY_KEYS_H

#include <stddef.h>

#include "policy.h"

struct policy_key;

/* Stores a value; false: it is not what the key's `right` says. */
typedef bool policy_store(struct policy *p, const struct policy_key *k, const char *text);

struct policy_key {
	const char *group;
	const char *name;
	policy_store *store;
	size_t offset;
	guint min, max;    /* of a number */
	const char *right; /* NULL: a number from `min` to `max` */
};

/* In this order they are to be stored, so that a burst comes after its rate. */
extern const struct policy_key policy_keys[];
extern const size_t policy_n_keys;

/* parse.c: sets `err`: this is not what the key may be, and what it may. */
void policy_key_wrong(GError **err, const char *path, const struct policy_key *k, const char *text);

#endif /* VGPU_POLICY_KEYS_H */
