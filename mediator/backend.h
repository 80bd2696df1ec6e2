/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker asks of a backend.
 *
 * A backend runs commands on data that lies in memory of the worker, most of
 * it mapped guest RAM: it must expect the bytes to change while it reads them.
 * Lengths and addresses were checked by the caller.  Functions return 0 or a
 * negative errno; those with `err` set a GError on failure as well.  All calls
 * come from one thread.  A backend is a GModule whose vgpu_backend_get()
 * returns its table, or is linked in (cpu).
 */
#ifndef VGPU_BACKEND_H
#define VGPU_BACKEND_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"

#define VGPU_BACKEND_API 3u

/* A run of bytes; `base` is aligned to 4 and `length` a multiple of 4 for float data. */
struct vgpu_run {
	uint8_t *base;
	uint64_t length;
};

/* An operand: `nruns` runs, one after the other, `length` bytes in all. */
struct vgpu_operand {
	const struct vgpu_run *run;
	uint32_t nruns;
	uint64_t length;
};

/* Counters that a call adds to. */
struct vgpu_work {
	uint64_t nanoseconds; /* spent in the backend */
	uint64_t host_copied; /* payload bytes that the host's CPU copied */
};

/* Who pays for the device memory that commands need. */
struct vgpu_account {
	/* Before it is allocated.  False: there is no more to be had, the command fails (-ENOMEM).
	 */
	bool (*take)(void *opaque, uint64_t bytes);
	void (*give)(void *opaque, uint64_t bytes);
	void *opaque;
};

struct vgpu_backend; /* private to each backend */

struct vgpu_backend_ops {
	uint32_t api; /* VGPU_BACKEND_API */
	uint32_t id;  /* VGPU_BACKEND_CPU, VGPU_BACKEND_CUDA */
	const char *name;

	/* Counts devices, allocates and frees; for the gate at start.  No other call needed. */
	int (*probe)(unsigned int device, char **description, GError **err);
	/* Cheap: no GPU context is made before a command needs one. */
	int (*open)(struct vgpu_backend **be, unsigned int device, GError **err);
	void (*close)(struct vgpu_backend *be);

	/* A region of shareable RAM appears or goes; may be used later by operands. */
	int (*map)(struct vgpu_backend *be, void *base, size_t length);
	void (*unmap)(struct vgpu_backend *be, void *base, size_t length);

	int (*info)(struct vgpu_backend *be, struct vgpu_info_result *out);
	/* out = a + b, `n` floats; the three operands may overlap anyhow. */
	int (*vector_add)(struct vgpu_backend *be, const struct vgpu_operand *a,
			  const struct vgpu_operand *b, const struct vgpu_operand *out, uint64_t n,
			  struct vgpu_work *work);
	/* out[m][n] = a[m][k] * b[k][n]; overlapping operands give unspecified results only. */
	int (*matmul)(struct vgpu_backend *be, const struct vgpu_operand *a,
		      const struct vgpu_operand *b, const struct vgpu_operand *out,
		      const struct vgpu_matmul *dims, struct vgpu_work *work);
	/* As VGPU_CMD_BANDWIDTH; fills in everything but `backend`. */
	int (*bandwidth)(struct vgpu_backend *be, const struct vgpu_operand *buf,
			 uint32_t repetitions, struct vgpu_bandwidth_result *out,
			 struct vgpu_work *work);

	/*
	 * From now on device memory for commands is taken from this account, and
	 * given back to it; called once, before the first command.  May be NULL.
	 */
	void (*account)(struct vgpu_backend *be, const struct vgpu_account *account);
	/* What the device is called and how much memory it has; makes no context.  May be NULL. */
	int (*identity)(struct vgpu_backend *be, char name[128], uint64_t *memory);

	/* For CUDA calls; all three may be NULL. */
	/*
	 * The driver's function of this exported name, NULL: there is none.  It
	 * has the signature that cuda.h gives it, and may be called from any thread.
	 */
	void *(*symbol)(struct vgpu_backend *be, const char *name);
	/*
	 * Enqueues a copy between `op` and the address `device` on a stream of the
	 * driver, in the context that is current.  The operand's memory is used
	 * until the stream has come that far; its list of runs is not.  Returns a
	 * CUresult; adds to *copied the bytes that a CPU of the host moves.
	 */
	int (*copy)(struct vgpu_backend *be, void *stream, uint64_t device,
		    const struct vgpu_operand *op, bool to_device, uint64_t *copied);
	/* A context is about to go: gives up all that it keeps in contexts. */
	void (*release)(struct vgpu_backend *be);
};

/* The symbol that a loadable backend exports. */
typedef const struct vgpu_backend_ops *(*vgpu_backend_get_fn)(void);
#define VGPU_BACKEND_SYMBOL "vgpu_backend_get"

const struct vgpu_backend_ops *vgpu_backend_cpu(void);

#endif /* VGPU_BACKEND_H */
