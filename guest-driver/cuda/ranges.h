/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies where: memory of the device and pinned memory of the host, by address.
 *
 * May be called from any thread.  Looking up copies what is known, so that it
 * stays valid if another thread frees the memory meanwhile.
 */
#ifndef CUDA_RANGES_H
#define CUDA_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context;

enum range_kind {
	RANGE_DEVICE,     /* cuMemAlloc and its like */
	RANGE_POOL,       /* from a pool, in the order of a stream */
	RANGE_GRAPH,      /* a graph's, at this place each time that a launch makes it */
	RANGE_GLOBAL,     /* a module's variable */
	RANGE_RESERVED,   /* addresses of the VMM calls, mapped or not */
	RANGE_MAPPED,     /* memory mapped there by the VMM calls */
	RANGE_HOST,       /* cuMemHostAlloc */
	RANGE_REGISTERED, /* cuMemHostRegister */
};

struct range {
	uint64_t base;
	uint64_t size;
	enum range_kind kind;
	unsigned int flags;      /* as given to the call that made it */
	struct context *context; /* that it was made in, or NULL */
	unsigned long long id;   /* unique in this process, set by range_add() */
	uint64_t owner;          /* pool, module, allocation handle; 0: none */
	unsigned int access;     /* of RANGE_MAPPED: as CUmemAccess_flags has it */
	bool sync_memops;
};

/* 0 or -1 if it overlaps another, or for want of memory. */
int range_add(const struct range *r);

/* Removes the range that begins at `base`, giving it in *out (may be NULL); false: there is none.
 */
bool range_remove(uint64_t base, struct range *out);

/* The same for a range of this kind only. */
bool range_remove_kind(uint64_t base, enum range_kind kind);

/* Which range contains `addr`?  false: none. */
bool range_find(uint64_t addr, struct range *out);

/* Any range that has a byte in common with [addr, addr+size).  false: none. */
bool range_find_in(uint64_t addr, uint64_t size, struct range *out);

/*
 * Is all of [addr, addr+size) memory that is there for certain?  Of a graph's only
 * the host knows.
 */
bool range_holds(uint64_t addr, uint64_t size);

/*
 * Removes what came from pools or is a graph's in [addr, addr+size): the host has
 * given out the addresses anew.
 */
void range_evict(uint64_t addr, uint64_t size);

/* Is [addr, addr+size) in one range of pinned host memory? */
bool range_is_pinned(const void *addr, size_t size);

/* Is it registered for reading only? */
bool range_is_read_only(uint64_t addr);

/* Changes a range's sync_memops; false: there is none. */
bool range_set_sync(uint64_t addr, bool on);

/* Removes one range of this kind and context, giving it in *out; false: there is none. */
bool range_take(const struct context *c, enum range_kind kind, struct range *out);
/* What the device may do with memory mapped in [addr, addr+size). */
void range_set_access(uint64_t addr, uint64_t size, unsigned int access);

/* The reservation that contains `addr`; false: there is none. */
bool range_find_reserved(uint64_t addr, struct range *out);

/* Removes all ranges of a context that has ended. */
void range_forget_context(const struct context *c);

/* Removes all ranges of `owner`. */
void range_forget_owner(uint64_t owner);

#endif /* CUDA_RANGES_H */
