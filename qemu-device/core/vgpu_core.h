/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device core: everything of the vgpu-stub device but its surroundings.
 *
 * Theory of operation.  The core holds the register file, the state of each
 * queue and the front-end's side of the socket to gpu_mediator.  It does no
 * I/O, knows no clock and starts no thread: a shell (QEMU, a Xen emulator, a
 * test) calls an input function for whatever happens, and the core answers
 * through the callbacks in struct vgpu_core_ops.  The same inputs in the same
 * order, with the same answers of the callbacks, give the same outputs.
 *
 * Rules for a shell:
 *  - one thread at a time; a callback never calls back into the core;
 *  - call vgpu_core_time() before an input, look at vgpu_core_deadline() after
 *    it, and call vgpu_core_tick() once that moment has come;
 *  - read the socket in pieces of at most vgpu_core_want() bytes, so that
 *    descriptors stay with the message they came with.
 */
#ifndef VGPU_CORE_H
#define VGPU_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"
#include "vgpu_socket.h"

struct vgpu_core;

enum vgpu_log_level {
	VGPU_LOG_ERROR,
	VGPU_LOG_WARNING,
	VGPU_LOG_INFO,
	VGPU_LOG_GUEST, /* the guest did something it should not */
};

/*
 * A piece of guest RAM that another process can map: part of a file, whose `fd`
 * stays the shell's, or with `by_domain` memory of a Xen domain (no fd, no offset).
 * All pieces are of one kind.
 */
struct vgpu_core_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t offset; /* in the file */
	int fd;
	bool by_domain;
	uint16_t domid;
};

/*
 * What the core asks of its shell.  `q` is a queue's number or
 * VGPU_QUEUE_REGISTERS.  Functions that return int give 0 or a negative errno.
 */
struct vgpu_core_ops {
	/* Opens the connection.  0: it stands.  -EINPROGRESS: vgpu_core_connected() or
	 * vgpu_core_disconnected() will tell.  Else: it failed; the core tries later. */
	int (*connect)(void *opaque);
	/* Closes the connection; no vgpu_core_disconnected() for it. */
	void (*disconnect)(void *opaque);
	/* Sends or stores all of one message, never blocking; `fds` stay the core's. */
	int (*send)(void *opaque, const void *data, size_t length, const int *fds, size_t nfds);

	/* Makes the queue's two eventfds, or finds those it has.  They stay the shell's. */
	int (*make_queue_fds)(void *opaque, uint32_t q, int *kick, int *call);
	/* The queue runs: connect its doorbell to kick, and call to MSI-X `vector`; for the
	 * register session: call vgpu_core_call() when call is readable. */
	void (*queue_up)(void *opaque, uint32_t q, uint32_t vector);
	/* Undo both of the above (either may not have happened). */
	void (*queue_down)(void *opaque, uint32_t q);
	/* Signals the queue's kick eventfd. */
	void (*kick)(void *opaque, uint32_t q);
	/* Raises an MSI-X vector. */
	void (*raise)(void *opaque, uint32_t vector);

	/* Calls vgpu_core_lifeline_hup() once the peer of `fd` is gone. */
	void (*watch_lifeline)(void *opaque, uint32_t q, int fd);
	/* Ends the watch; the core closes the fd afterwards. */
	void (*unwatch_lifeline)(void *opaque, uint32_t q, int fd);
	/* Ends writing (SHUT_WR), so that the peer reads the end of the stream; goes on
	 * watching for the peer's own end. */
	void (*shutdown_lifeline)(void *opaque, int fd);

	/* Maps a file shared and writable; NULL unless it is at least `length` bytes long
	 * and sealed against shrinking (else its other holder could make us fault). */
	void *(*map)(void *opaque, int fd, size_t length);
	void (*unmap)(void *opaque, void *mem, size_t length);
	void (*close_fd)(void *opaque, int fd);
	void (*log)(void *opaque, enum vgpu_log_level level, const char *text);
};

struct vgpu_core_config {
	uint32_t queues;  /* 1 to VGPU_QUEUES_MAX */
	uint8_t uuid[16]; /* random, of this device instance */
	const char *name; /* of the VM, for logs; copied */
	bool by_domain;   /* its RAM will be given by domain */
};

/* MSI-X vectors of a device with so many queues: one of its own and one each, up to a limit. */
#define VGPU_CORE_VECTORS_MAX 65u
uint32_t vgpu_core_vectors(uint32_t queues);

/* NULL if out of memory or the configuration is out of range.  `ops` must outlive the core. */
struct vgpu_core *vgpu_core_new(const struct vgpu_core_config *config,
				const struct vgpu_core_ops *ops, void *opaque);
/* Tells the daemon, drops every queue and closes everything.  NULL is fine. */
void vgpu_core_free(struct vgpu_core *c);

/* Milliseconds of a clock that never goes back (a smaller value is ignored). */
void vgpu_core_time(struct vgpu_core *c, int64_t now_ms);
/* When vgpu_core_tick() is wanted next; INT64_MAX: not at all. */
int64_t vgpu_core_deadline(const struct vgpu_core *c);
void vgpu_core_tick(struct vgpu_core *c);

/* Starts to connect; call once the first memory table is set. */
void vgpu_core_start(struct vgpu_core *c);

/* BAR 0.  Anything but an aligned 4-byte access reads 0 and writes nothing. */
uint32_t vgpu_core_read(struct vgpu_core *c, uint64_t offset, unsigned int size);
void vgpu_core_write(struct vgpu_core *c, uint64_t offset, uint32_t value, unsigned int size);
/* A doorbell that no eventfd took. */
void vgpu_core_doorbell(struct vgpu_core *c, uint32_t q);

/* The socket.  vgpu_core_receive() takes ownership of the fds. */
void vgpu_core_connected(struct vgpu_core *c);
void vgpu_core_disconnected(struct vgpu_core *c);
size_t vgpu_core_want(const struct vgpu_core *c);
void vgpu_core_receive(struct vgpu_core *c, const void *data, size_t length, const int *fds,
		       size_t nfds);

/* A call eventfd became readable and was read. */
void vgpu_core_call(struct vgpu_core *c, uint32_t q);
/* The far end of a queue's lifeline is gone. */
void vgpu_core_lifeline_hup(struct vgpu_core *c, uint32_t q);

/*
 * The guest's RAM as it is now; copied, only differences are sent.  n = 0: it
 * cannot be shared, the device offers registers only.  At most
 * VGPU_MEM_REGIONS_MAX regions are used.
 */
void vgpu_core_set_memory(struct vgpu_core *c, const struct vgpu_core_region *region, size_t n);

/* Other pages are behind RAM by domain now (a balloon): what is mapped of it is void. */
void vgpu_core_memory_changed(struct vgpu_core *c);

/* A reset of the device from outside (bus, machine): as CONTROL.RESET, and more at once. */
void vgpu_core_reset(struct vgpu_core *c);
/* Workers that may still touch guest memory. */
uint32_t vgpu_core_workers(const struct vgpu_core *c);

/* For traces and tests. */
bool vgpu_core_link_up(const struct vgpu_core *c);
uint32_t vgpu_core_queue_state(const struct vgpu_core *c, uint32_t q);

#endif /* VGPU_CORE_H */
