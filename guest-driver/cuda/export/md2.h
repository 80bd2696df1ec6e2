/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The message digest MD2 (RFC 1319) and HMAC (RFC 2104) over it.
 *
 * Long broken as cryptography and used for none: the runtime's handshake is
 * made of it.  No library that we link has it.
 */
#ifndef CUDA_EXPORT_MD2_H
#define CUDA_EXPORT_MD2_H

#include <stddef.h>
#include <stdint.h>

#define MD2_SIZE 16 /* bytes in a digest, and in a block */

struct md2 {
	uint8_t state[MD2_SIZE];
	uint8_t checksum[MD2_SIZE];
	uint8_t block[MD2_SIZE];
	size_t used; /* bytes of `block` that are filled, < MD2_SIZE */
};

void md2_start(struct md2 *m);
void md2_add(struct md2 *m, const void *data, size_t length);
void md2_finish(struct md2 *m, uint8_t digest[MD2_SIZE]);

/* HMAC with a key of exactly one block: hmac_md2_start(), md2_add()..., then the end. */
void hmac_md2_start(struct md2 *m, const uint8_t key[MD2_SIZE]);
void hmac_md2_finish(struct md2 *m, const uint8_t key[MD2_SIZE], uint8_t digest[MD2_SIZE]);

#endif /* CUDA_EXPORT_MD2_H */
