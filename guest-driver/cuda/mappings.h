/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the program's own memory is mapped. */
#ifndef CUDA_MAPPINGS_H
#define CUDA_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

struct mapping {
	uint64_t end;   /* up to where it is all the same */
	int protection; /* PROT_* */
	bool shared;    /* with whoever else maps it */
};

/* What is at `addr`: 1, or 0 if nothing is; -1 if the system does not tell. */
int mapping_at(uint64_t addr, struct mapping *m);

#endif /* CUDA_MAPPINGS_H */
