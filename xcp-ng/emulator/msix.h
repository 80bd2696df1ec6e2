/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X: the table and the pending bits, which fill a BAR of their own.
 *
 * Pure.  A vector that may not be sent now is remembered as pending and sent
 * once it may, as a message with the address and data that the guest has
 * programmed by then.
 */
#ifndef VGPU_XEN_MSIX_H
#define VGPU_XEN_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#define MSIX_VECTORS_MAX 128u
#define MSIX_BAR_BYTES 4096u
#define MSIX_PBA_OFFSET 2048u

struct msix {
	uint32_t n;
	bool enabled;
	bool held; /* the whole function may not send: masked, or no bus master */
	struct {
		uint32_t word[4]; /* address low, high, data, control */
		bool pending;
	} vector[MSIX_VECTORS_MAX];
	void (*send)(void *opaque, uint64_t address, uint32_t data);
	void *opaque;
};

/* `n` is 1 to MSIX_VECTORS_MAX. */
void msix_init(struct msix *m, uint32_t n,
	       void (*send)(void *opaque, uint64_t address, uint32_t data), void *opaque);

/* What the configuration space says.  Disabled, the function forgets what is pending. */
void msix_set(struct msix *m, bool enabled, bool held);

void msix_raise(struct msix *m, uint32_t vector);

/* Its BAR.  Accesses of 4 or 8 aligned bytes; others read 0 and write nothing. */
uint64_t msix_read(const struct msix *m, uint64_t offset, uint32_t size);
void msix_write(struct msix *m, uint64_t offset, uint64_t value, uint32_t size);

#endif /* VGPU_XEN_MSIX_H */
