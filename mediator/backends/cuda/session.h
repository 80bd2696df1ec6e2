/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session of the cuda backend: one process, one device, one stream.
 *
 * Shared by the files of this directory.  Nothing here touches the driver
 * until session_begin() is called for a command, so an idle session costs no
 * device memory.  All calls come from one thread.
 */
#ifndef VGPU_CUDA_SESSION_H
#define VGPU_CUDA_SESSION_H

#define G_LOG_DOMAIN "vgpu-cuda"

#include <cuda_runtime_api.h>

#include "backend.h"
#include "plan.h"
#include "regions.h"
#include "staging.h"

#define VGPU_CUDA_OPERANDS 3

/* Device memory that grows with what commands need. */
struct device_buffer {
	uint8_t *at;
	uint64_t size;
};

struct vgpu_backend {
	unsigned int device;
	int lost;     /* the negative errno that every command gets, or 0 */
	bool started; /* the fields below are set up */
	cudaStream_t stream;
	cudaEvent_t done;
	uint32_t *sum;      /* device */
	uint32_t *sum_host; /* pinned */
	struct regions regions;
	struct staging staging;
	struct device_buffer buffer[VGPU_CUDA_OPERANDS];
	struct vgpu_account account; /* pays for `buffer`; `take` NULL: nobody does */
	struct plan plan[VGPU_CUDA_OPERANDS];
	void *libcuda;      /* the driver's own library, for symbols; stays open */
	GPtrArray *bulk;    /* plans of the copies on streams of others, or NULL */
	void *bulk_context; /* the context that they belong to */
	uint64_t began;     /* when the command in progress did, ns */
};

/*
 * Around each command.  session_begin() makes the context where there is none;
 * session_end() waits for what was enqueued, whatever `rc` is, charges the time
 * to `work` and returns `rc` or what the wait found.
 */
int session_begin(struct vgpu_backend *be);
int session_end(struct vgpu_backend *be, int rc, struct vgpu_work *work);

/* Waits for the stream: looks for a short while, then sleeps. */
int session_wait(struct vgpu_backend *be);

/* Makes buffer `index` hold at least `size` bytes; its content is undefined after. */
int session_reserve(struct vgpu_backend *be, unsigned int index, uint64_t size);

/* Frees everything on the device; the session may begin again. */
void session_release(struct vgpu_backend *be);

/*
 * What `err` means to the caller: 0, -ENOMEM, -ENODEV or -EIO.  After -EIO the
 * context cannot be trusted and the session is lost.  `what` is for the log.
 */
int session_check(struct vgpu_backend *be, cudaError_t err, const char *what);

/* Monotonic, ns. */
uint64_t session_now(void);

/* The commands, as the table of backend.h has them. */
int cuda_probe(unsigned int device, char **description, GError **err);
int cuda_info(struct vgpu_backend *be, struct vgpu_info_result *out);
int cuda_identity(struct vgpu_backend *be, char name[128], uint64_t *memory);
int cuda_vector_add(struct vgpu_backend *be, const struct vgpu_operand *a,
		    const struct vgpu_operand *b, const struct vgpu_operand *out, uint64_t n,
		    struct vgpu_work *work);
int cuda_matmul(struct vgpu_backend *be, const struct vgpu_operand *a, const struct vgpu_operand *b,
		const struct vgpu_operand *out, const struct vgpu_matmul *dims,
		struct vgpu_work *work);
int cuda_bandwidth(struct vgpu_backend *be, const struct vgpu_operand *buf, uint32_t repetitions,
		   struct vgpu_bandwidth_result *out, struct vgpu_work *work);

/* For CUDA calls, likewise. */
void *cuda_symbol(struct vgpu_backend *be, const char *name);
int cuda_copy(struct vgpu_backend *be, void *stream, uint64_t device, const struct vgpu_operand *op,
	      bool to_device, uint64_t *copied);
void cuda_release(struct vgpu_backend *be);

#endif /* VGPU_CUDA_SESSION_H */
