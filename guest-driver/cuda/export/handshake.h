/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the handshake is computed from; apart, so that a test can give it. */
#ifndef CUDA_EXPORT_HANDSHAKE_H
#define CUDA_EXPORT_HANDSHAKE_H

#include <stdint.h>

/* Addresses and numbers of the process; digested as they lie in memory. */
struct handshake_process {
	uint32_t driver_version; /* cuDriverGetVersion() */
	uint32_t version;        /* the caller's number for this handshake */
	uint32_t process;        /* getpid() */
	uint32_t thread;         /* low half of pthread_self() */
	uint64_t cudart_table;   /* addresses of the tables ... */
	uint64_t handshake_table;
	uint64_t function; /* ... and of the handshake's function */
	uint64_t seconds;  /* the caller's clock */
};

/* One for each device. */
struct handshake_device {
	uint8_t uuid[16];
	int32_t pci_domain, pci_bus, pci_device;
};

/* The answer to a handshake with version % 10 >= 2. */
void handshake_digest(const struct handshake_process *process,
		      const struct handshake_device *devices, int ndevices, uint8_t digest[16]);

#endif /* CUDA_EXPORT_HANDSHAKE_H */
