/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * CUDA driver calls as requests of a queue: what is common to all of them.
 *
 * The request structures of the single functions are generated from the table
 * in protocol/cuda; protocol/cuda.md describes the encoding.
 */
#ifndef VGPU_CUDA_H
#define VGPU_CUDA_H

#include "vgpu_abi.h"

/* Of the encoding below and of the meaning of the functions' numbers. */
#define VGPU_CUDA_VERSION 1u

/*
 * The body of a VGPU_CMD_CUDA request: this header, the fixed structure of the
 * function, then its variable parts in the order of its arguments, each
 * beginning at a multiple of 8.
 */
struct vgpu_cuda_call {
	vgpu_le32 function; /* its number in the table */
	vgpu_le32 reserved;
	vgpu_le64 context; /* handle of the context current to the caller, 0: none */
};

/*
 * The body of the response: this header, then fixed and variable results,
 * which are there only if `result` is 0.
 *
 * A call made with VGPU_REQUEST_QUIET has no response.  If it fails, the first
 * such result is kept and given back as `deferred` by the next wait, query or
 * read that succeeds; a call that makes something never has it.
 */
struct vgpu_cuda_result {
	vgpu_le32 result;   /* CUresult */
	vgpu_le32 deferred; /* CUresult of an earlier quiet call, 0: none */
};

/*
 * A response nobody asked for has this id; its body is a struct vgpu_cuda_note
 * and what follows it.
 */
#define VGPU_CUDA_NOTE_ID UINT64_MAX
#define VGPU_CUDA_NOTE_STDOUT 1u   /* text that a kernel printed */
#define VGPU_CUDA_NOTE_STDERR 2u   /* text of the driver, such as a failed assertion */
#define VGPU_CUDA_NOTE_CALLBACK 3u /* `value`: which host function is to run now */
struct vgpu_cuda_note {
	vgpu_le32 kind;
	vgpu_le32 length; /* bytes that follow */
	vgpu_le64 value;
};

/*
 * A handle names an object of this session: its type, its place in the
 * session's table and how often that place was used before.  The guest picks
 * it (so that creating needs no answer); 0 is never one, nor are the values
 * that CUDA gives a meaning (1 and 2 as streams).
 */
#define VGPU_CUDA_HANDLE_INDEX_SHIFT 4
#define VGPU_CUDA_HANDLE_INDEX_BITS 20
#define VGPU_CUDA_HANDLE_GENERATION_SHIFT 24
#define VGPU_CUDA_HANDLE_GENERATION_BITS 24
#define VGPU_CUDA_HANDLE_TYPE_SHIFT 48
#define VGPU_CUDA_HANDLE_TYPE_BITS 8

static inline uint64_t vgpu_cuda_handle(uint32_t type, uint32_t generation, uint32_t index)
{
	return (uint64_t)type << VGPU_CUDA_HANDLE_TYPE_SHIFT |
	       (uint64_t)generation << VGPU_CUDA_HANDLE_GENERATION_SHIFT |
	       (uint64_t)index << VGPU_CUDA_HANDLE_INDEX_SHIFT;
}

static inline uint32_t vgpu_cuda_handle_type(uint64_t h)
{
	return (uint32_t)(h >> VGPU_CUDA_HANDLE_TYPE_SHIFT);
}

static inline uint32_t vgpu_cuda_handle_index(uint64_t h)
{
	return h >> VGPU_CUDA_HANDLE_INDEX_SHIFT & ((1u << VGPU_CUDA_HANDLE_INDEX_BITS) - 1);
}

static inline uint32_t vgpu_cuda_handle_generation(uint64_t h)
{
	return h >> VGPU_CUDA_HANDLE_GENERATION_SHIFT &
	       ((1u << VGPU_CUDA_HANDLE_GENERATION_BITS) - 1);
}

enum vgpu_cuda_type {
	VGPU_CUDA_CONTEXT = 1,
	VGPU_CUDA_MODULE,
	VGPU_CUDA_LIBRARY,
	VGPU_CUDA_FUNCTION,
	VGPU_CUDA_KERNEL,
	VGPU_CUDA_STREAM,
	VGPU_CUDA_EVENT,
	VGPU_CUDA_ARRAY,
	VGPU_CUDA_MIPMAP,
	VGPU_CUDA_MEMPOOL,
	VGPU_CUDA_ALLOCATION, /* CUmemGenericAllocationHandle */
	VGPU_CUDA_GRAPH,
	VGPU_CUDA_NODE,
	VGPU_CUDA_GRAPHEXEC,
	VGPU_CUDA_LINK,
	VGPU_CUDA_USEROBJECT,
	VGPU_CUDA_TYPES
};

VGPU_ASSERT(sizeof(struct vgpu_cuda_call) == 16);
VGPU_ASSERT(sizeof(struct vgpu_cuda_result) == 8);
VGPU_ASSERT(sizeof(struct vgpu_cuda_note) == 16);

#endif /* VGPU_CUDA_H */
