// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What lies where.
 *
 * A tree of the C library's, ordered by address, in which two ranges that
 * overlap count as equal: looking for an address is looking for a range of one
 * byte.  VMM reservations have a tree of their own, since memory is mapped
 * inside them.
 */
#include "ranges.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#include "api.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static void *tree, *reservations;
static unsigned long long ids;

static int compare(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->base + (x->size ? x->size - 1 : 0) < y->base)
		return -1;
	if (y->base + (y->size ? y->size - 1 : 0) < x->base)
		return 1;
	return 0;
}

static struct range *look(void **root, uint64_t addr)
{
	struct range key = {.base = addr, .size = 1};
	void *node = tfind(&key, root, compare);

	return node ? *(struct range **)node : NULL;
}

int range_add(const struct range *r)
{
	struct range *copy = malloc(sizeof(*copy));
	void **root = r->kind == RANGE_RESERVED ? &reservations : &tree;
	void *node;
	int result = -1;

	if (!copy)
		return -1;
	*copy = *r;
	pthread_rwlock_wrlock(&lock);
	copy->id = ++ids;
	node = tsearch(copy, root, compare);
	if (node && *(struct range **)node == copy)
		result = 0;
	pthread_rwlock_unlock(&lock);
	if (result < 0)
		free(copy);
	return result;
}

static bool remove_from(void **root, uint64_t base, struct range *out)
{
	struct range *r = look(root, base);

	if (!r || r->base != base)
		return false;
	if (out)
		*out = *r;
	tdelete(r, root, compare);
	free(r);
	return true;
}

bool range_remove(uint64_t base, struct range *out)
{
	bool found;

	pthread_rwlock_wrlock(&lock);
	found = remove_from(&tree, base, out) || remove_from(&reservations, base, out);
	pthread_rwlock_unlock(&lock);
	return found;
}

bool range_remove_kind(uint64_t base, enum range_kind kind)
{
	void **root = kind == RANGE_RESERVED ? &reservations : &tree;
	struct range *r;
	bool found = false;

	pthread_rwlock_wrlock(&lock);
	r = look(root, base);
	if (r && r->kind == kind)
		found = remove_from(root, base, NULL);
	pthread_rwlock_unlock(&lock);
	return found;
}

bool range_find(uint64_t addr, struct range *out)
{
	struct range *r;

	pthread_rwlock_rdlock(&lock);
	r = look(&tree, addr);
	if (!r)
		r = look(&reservations, addr);
	if (r)
		*out = *r;
	pthread_rwlock_unlock(&lock);
	return r != NULL;
}

bool range_find_in(uint64_t addr, uint64_t size, struct range *out)
{
	struct range key = {.base = addr, .size = size};
	void *node;

	pthread_rwlock_rdlock(&lock);
	node = tfind(&key, &tree, compare);
	if (node)
		*out = **(struct range **)node;
	pthread_rwlock_unlock(&lock);
	return node != NULL;
}

void range_evict(uint64_t addr, uint64_t size)
{
	struct range key = {.base = addr, .size = size}, *r;
	void *node;

	pthread_rwlock_wrlock(&lock);
	while ((node = tfind(&key, &tree, compare)) != NULL) {
		r = *(struct range **)node;
		if (r->kind != RANGE_POOL && r->kind != RANGE_GRAPH)
			break;
		tdelete(r, &tree, compare);
		free(r);
	}
	pthread_rwlock_unlock(&lock);
}

/* Ranges that touch count as one: memory is mapped piece by piece. */
bool range_holds(uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	struct range *r = NULL;

	if (end < addr)
		return false;
	pthread_rwlock_rdlock(&lock);
	do {
		r = look(&tree, addr);
		if (r && r->kind == RANGE_GRAPH)
			r = NULL;
		addr = r ? r->base + r->size : addr;
	} while (r && addr < end);
	pthread_rwlock_unlock(&lock);
	return r != NULL;
}

bool range_is_pinned(const void *addr, size_t size)
{
	uint64_t at = (uintptr_t)addr;
	struct range *r;
	bool pinned = false;

	pthread_rwlock_rdlock(&lock);
	r = look(&tree, at);
	if (r && (r->kind == RANGE_HOST || r->kind == RANGE_REGISTERED))
		pinned = size <= r->size && at - r->base <= r->size - size;
	pthread_rwlock_unlock(&lock);
	return pinned;
}

bool range_is_read_only(uint64_t addr)
{
	struct range r;

	return range_find(addr, &r) && r.kind == RANGE_REGISTERED &&
	       (r.flags & CU_MEMHOSTREGISTER_READ_ONLY);
}

bool range_set_sync(uint64_t addr, bool on)
{
	struct range *r;

	pthread_rwlock_wrlock(&lock);
	r = look(&tree, addr);
	if (r)
		r->sync_memops = on;
	pthread_rwlock_unlock(&lock);
	return r != NULL;
}

void range_set_access(uint64_t addr, uint64_t size, unsigned int access)
{
	uint64_t end = addr + size;
	struct range *r;

	pthread_rwlock_wrlock(&lock);
	while (addr < end && (r = look(&tree, addr)) != NULL) {
		if (r->kind == RANGE_MAPPED)
			r->access = access;
		addr = r->base + r->size;
	}
	pthread_rwlock_unlock(&lock);
}

bool range_find_reserved(uint64_t addr, struct range *out)
{
	const struct range *r;

	pthread_rwlock_rdlock(&lock);
	r = look(&reservations, addr);
	if (r)
		*out = *r;
	pthread_rwlock_unlock(&lock);
	return r != NULL;
}

/* ------------------------------------------------------ removing several */

static const struct context *dead_context;
static enum range_kind dead_kind;
static uint64_t dead_owner;
static struct range *doomed;

/* twalk() gives no way to pass an argument; the lock is held for writing. */
static void pick(const void *node, VISIT which, int depth)
{
	struct range *r = *(struct range *const *)node;

	(void)depth;
	if (which != preorder && which != leaf)
		return;
	if ((dead_context && r->context == dead_context) || (dead_owner && r->owner == dead_owner))
		doomed = r;
}

static void pick_kind(const void *node, VISIT which, int depth)
{
	struct range *r = *(struct range *const *)node;

	(void)depth;
	if ((which == preorder || which == leaf) && r->context == dead_context &&
	    r->kind == dead_kind)
		doomed = r;
}

bool range_take(const struct context *c, enum range_kind kind, struct range *out)
{
	bool found;

	pthread_rwlock_wrlock(&lock);
	dead_context = c;
	dead_kind = kind;
	doomed = NULL;
	twalk(tree, pick_kind);
	found = doomed != NULL;
	if (found)
		remove_from(&tree, doomed->base, out);
	pthread_rwlock_unlock(&lock);
	return found;
}

static void forget(const struct context *c, uint64_t owner)
{
	pthread_rwlock_wrlock(&lock);
	dead_context = c;
	dead_owner = owner;
	do {
		doomed = NULL;
		twalk(tree, pick);
		if (doomed) {
			tdelete(doomed, &tree, compare);
			free(doomed);
		}
	} while (doomed);
	pthread_rwlock_unlock(&lock);
}

void range_forget_context(const struct context *c)
{
	forget(c, 0);
}

void range_forget_owner(uint64_t owner)
{
	if (owner)
		forget(NULL, owner);
}
