/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What --print-capabilities prints: fixed text but for numbers, so no JSON library. */
#include "capabilities.h"

#include <stdio.h>

#include "vgpu_abi.h"
#include "vgpu_socket.h"

void capabilities_print(void)
{
	printf("{\n"
	       "  \"type\": \"gpu\",\n"
	       "  \"name\": \"gpu_mediator\",\n"
	       "  \"version\": \"%s\",\n"
	       "  \"protocol-version\": %u,\n"
	       "  \"abi-version\": \"%u.%u\",\n"
	       "  \"features\": [\"queues\", \"polling\", \"buffers\"],\n"
	       "  \"protocol-features\": [\"reply-ack\", \"inflight\", \"mem-slots\", "
	       "\"xen-mmap\"],\n"
	       "  \"commands\": [\"nop\", \"vector-add\", \"query-status\", \"gpu-info\", "
	       "\"matmul\", \"bandwidth\", \"text\"],\n"
	       "  \"backends\": [\"cpu\", \"cuda\"]\n"
	       "}\n",
	       VGPU_VERSION, VGPU_PROTOCOL_VERSION, VGPU_ABI_MAJOR, VGPU_ABI_MINOR);
}
