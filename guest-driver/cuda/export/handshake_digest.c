/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The digest that is the handshake's answer.  What public implementations
 * (ZLUDA's dark_api, Lupine, smolvm) spell out byte by byte is HMAC-MD2 with
 * a fixed key.
 */
#include "handshake.h"

#include "md2.h"

_Static_assert(sizeof(struct handshake_process) == 48, "digested as it lies in memory");
_Static_assert(sizeof(struct handshake_device) == 28, "digested as it lies in memory");

static const uint8_t key[MD2_SIZE] = {0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52,
				      0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f};

void handshake_digest(const struct handshake_process *process,
		      const struct handshake_device *devices, int ndevices, uint8_t digest[16])
{
	struct md2 m;

	hmac_md2_start(&m, key);
	md2_add(&m, process, sizeof(*process));
	for (int i = 0; i < ndevices; i++)
		md2_add(&m, &devices[i], sizeof(devices[i]));
	hmac_md2_finish(&m, key, digest);
}
