/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Calls of our own beside the driver's: what the driver's functions cannot say
 * on a wire (kernel parameters, images, structures with pointers in them), and
 * what saves a guest from asking (all attributes of a device at once).
 *
 * Only prototypes: the guest calls rpc_vgpu...(), the host writes
 * host_vgpu...().  How each argument travels is in api.toml.  Structures are
 * fixed-width and naturally aligned, reserved fields are zero; a handle in a
 * structure is a number that the host looks up by itself.
 */
#ifndef VGPU_CALLS_H
#define VGPU_CALLS_H

#include <cuda.h>

#include "vgpu_abi.h"

/* Payload that rides in a record beside its fixed parts. */
#define VGPU_CUDA_INLINE_MAX 7680u

/* ------------------------------------------------------------- the session */
struct vgpu_cuda_hello {
	vgpu_le32 version; /* VGPU_CUDA_VERSION of the host */
	vgpu_le32 devices;
	vgpu_le32 driver_version; /* as cuDriverGetVersion */
	vgpu_le32 backend;        /* VGPU_BACKEND_* */
	vgpu_le32 flags;          /* VGPU_CUDA_HELLO_* */
	vgpu_le32 handles;        /* how many the host keeps for a session */
	vgpu_le64 reserved[4];
};

CUresult vgpuHello(unsigned int version, struct vgpu_cuda_hello *hello);

/* A value of an attribute that the driver does not know. */
#define VGPU_CUDA_UNKNOWN INT32_MIN
#define VGPU_CUDA_DEVICE_ATTRIBUTES 192
#define VGPU_CUDA_LIMITS 16

struct vgpu_device_info {
	char name[256]; /* NUL-terminated */
	vgpu_u8 uuid[16];
	vgpu_u8 luid[8];
	vgpu_le32 luid_mask;
	vgpu_le32 has_luid;
	char pci_bus_id[32];
	vgpu_le64 total_memory;
	vgpu_le32 compute_major;
	vgpu_le32 compute_minor;
	vgpu_le32 priority_least; /* as cuCtxGetStreamPriorityRange */
	vgpu_le32 priority_greatest;
	vgpu_le32 context_api_version;
	vgpu_le32 reserved;
	vgpu_le64 granularity_minimum; /* of cuMemCreate, 0: not supported */
	vgpu_le64 granularity_recommended;
	vgpu_le64 limit[VGPU_CUDA_LIMITS]; /* by CUlimit, of a fresh context; ~0: unknown */
	vgpu_le32 attribute[VGPU_CUDA_DEVICE_ATTRIBUTES]; /* by CUdevice_attribute */
};

CUresult vgpuDeviceInfo(CUdevice dev, struct vgpu_device_info *info);

/* ---------------------------------------------------------------- contexts */
/*
 * A context of the guest's process; `flags` as cuCtxCreate.  The primary
 * context is retained while the guest holds a handle of it.
 */
CUresult vgpuCtxCreate(CUcontext *ctx, unsigned int flags, CUdevice dev);
CUresult vgpuCtxRetainPrimary(CUcontext *ctx, unsigned int flags, CUdevice dev);
CUresult vgpuCtxReleasePrimary(CUcontext ctx, CUdevice dev);
CUresult vgpuCtxResetPrimary(CUdevice dev);
CUresult vgpuCtxDestroy(CUcontext ctx);
/* Answered when all work of the caller's context is done. */
CUresult vgpuCtxSynchronize(void);

/* ------------------------------------------------------------------ memory */
/* Data that rides in the record: to the device, quiet; from it, in the answer. */
CUresult vgpuWrite(CUdeviceptr dst, unsigned int bytes, CUstream stream, const void *data);
CUresult vgpuRead(CUdeviceptr src, unsigned int bytes, CUstream stream, void *data);

/*
 * Between a device address and registered guest memory, which the descriptors
 * name in order; their lengths sum up to `bytes`.  Answered when the copy is
 * done and the host has let go of the pages.
 */
#define VGPU_COPY_TO_DEVICE 1u
#define VGPU_COPY_FROM_DEVICE 2u
CUresult vgpuCopy(unsigned int direction, CUdeviceptr address, unsigned long long bytes,
		  CUstream stream);

/*
 * Host memory at one address on both sides.  Reserve: keeps the host's address
 * space free for it (SUCCESS, or CUDA_ERROR_INVALID_VALUE: choose another
 * place).  Map: the descriptors' pages appear there and are registered with
 * the driver (`flags` as cuMemHostRegister).  They stay pinned in the guest
 * until Unmap is answered.
 */
CUresult vgpuHostReserve(unsigned long long address, unsigned long long bytes);
CUresult vgpuHostRelease(unsigned long long address, unsigned long long bytes);
CUresult vgpuHostMap(unsigned long long address, unsigned long long bytes, unsigned int flags);
CUresult vgpuHostUnmap(unsigned long long address, unsigned long long bytes);

/*
 * CUDA_MEMCPY3D without pointers to the guest's own memory: a host side is
 * pinned memory, by its address.
 */
struct vgpu_copy3d_side {
	vgpu_le32 type; /* CU_MEMORYTYPE_* */
	vgpu_le32 reserved;
	vgpu_le64 address; /* host or device */
	vgpu_le64 array;   /* handle */
	vgpu_le64 x;
	vgpu_le64 y;
	vgpu_le64 z;
	vgpu_le64 lod;
	vgpu_le64 pitch;
	vgpu_le64 height;
};

struct vgpu_copy3d {
	struct vgpu_copy3d_side src;
	struct vgpu_copy3d_side dst;
	vgpu_le64 width;
	vgpu_le64 height;
	vgpu_le64 depth;
};

CUresult vgpuCopy3D(const struct vgpu_copy3d *copy, CUstream stream);

/* ----------------------------------------------------------------- modules */
/*
 * An image on its way: the guest picks the number.  Data comes in pieces, in
 * the record or by descriptors; loading takes it, End drops what is left and
 * the logs.
 */
CUresult vgpuBlobBegin(unsigned long long blob, unsigned long long bytes);
CUresult vgpuBlobData(unsigned long long blob, unsigned long long offset, unsigned int bytes,
		      const void *data);
CUresult vgpuBlobCopy(unsigned long long blob, unsigned long long offset, unsigned long long bytes);
CUresult vgpuBlobEnd(unsigned long long blob);

/* An option whose value is a number; log buffers are asked for by `logs`. */
struct vgpu_jit_option {
	vgpu_le32 option; /* CUjit_option or CUlibraryOption */
	vgpu_le32 reserved;
	vgpu_le64 value;
};

#define VGPU_LOG_INFO 1u
#define VGPU_LOG_ERROR 2u
CUresult vgpuModuleLoad(CUmodule *module, unsigned long long blob, unsigned int options,
			const struct vgpu_jit_option *option, unsigned int info_bytes,
			unsigned int error_bytes);
CUresult vgpuLibraryLoad(CUlibrary *library, unsigned long long blob, unsigned int options,
			 const struct vgpu_jit_option *option, unsigned int libraryOptions,
			 const struct vgpu_jit_option *libraryOption, unsigned int info_bytes,
			 unsigned int error_bytes);
/* Part of a log (VGPU_LOG_*) of the blob's load; `total` without the NUL. */
CUresult vgpuBlobLog(unsigned long long blob, unsigned int which, unsigned int offset,
		     unsigned int bytes, char *text, unsigned int *total);

#define VGPU_CUDA_FUNCTION_ATTRIBUTES 32
#define VGPU_CUDA_PARAMS_INFO 512

struct vgpu_param {
	vgpu_le16 offset;
	vgpu_le16 size;
};

/* What a guest needs to know of a function to answer for it and to launch it. */
struct vgpu_function_info {
	vgpu_le32 params; /* of which the first VGPU_CUDA_PARAMS_INFO stand below */
	vgpu_le32 param_bytes;
	vgpu_le32 attributes; /* how many of those below are valid */
	vgpu_le32 reserved;
	vgpu_le32 attribute[VGPU_CUDA_FUNCTION_ATTRIBUTES]; /* by CUfunction_attribute */
	struct vgpu_param param[VGPU_CUDA_PARAMS_INFO];
};

CUresult vgpuModuleGetFunction(CUfunction *f, CUmodule module, const char *name,
			       struct vgpu_function_info *info);
CUresult vgpuLibraryGetKernel(CUkernel *k, CUlibrary library, const char *name,
			      struct vgpu_function_info *info);
CUresult vgpuKernelGetFunction(CUfunction *f, CUkernel kernel, struct vgpu_function_info *info);
CUresult vgpuLibraryGetModule(CUmodule *module, CUlibrary library);
/* `function`: a handle of a function or of a kernel. */
CUresult vgpuParamInfo(unsigned long long function, unsigned int first, unsigned int count,
		       struct vgpu_param *param);
/* Names of all functions, each with its NUL, from the `first` on; `count` how many fit. */
CUresult vgpuModuleNames(CUmodule module, unsigned int first, unsigned int bytes, char *names,
			 unsigned int *count, unsigned int *total);
CUresult vgpuLibraryNames(CUlibrary library, unsigned int first, unsigned int bytes, char *names,
			  unsigned int *count, unsigned int *total);

/* ---------------------------------------------------------------- launches */
struct vgpu_launch_attribute {
	vgpu_le32 id; /* CUlaunchAttributeID */
	vgpu_le32 reserved;
	vgpu_u8 value[64]; /* CUlaunchAttributeValue; an event in it is a handle */
};

#define VGPU_LAUNCH_COOPERATIVE 1u
#define VGPU_LAUNCH_BLOB 2u /* the parameters are the blob of number `blob` */

/*
 * `function`: a handle of a function or of a kernel.  `params`: packed by the
 * layout of its vgpu_function_info.
 */
CUresult vgpuLaunch(unsigned long long function, unsigned int gx, unsigned int gy, unsigned int gz,
		    unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
		    CUstream stream, unsigned int flags, unsigned long long blob,
		    unsigned int attributes, const struct vgpu_launch_attribute *attribute,
		    unsigned int bytes, const void *params);

/* As cuOccupancyMaxActiveClusters or cuOccupancyMaxPotentialClusterSize. */
#define VGPU_CLUSTERS_ACTIVE 0u
#define VGPU_CLUSTERS_POTENTIAL 1u
CUresult vgpuClusters(unsigned int which, unsigned long long function, unsigned int gx,
		      unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by,
		      unsigned int bz, unsigned int shared, unsigned int attributes,
		      const struct vgpu_launch_attribute *attribute, int *answer);

/* --------------------------------------------------------------- callbacks */
/* A host function in a stream: VGPU_CUDA_NOTE_CALLBACK comes with this number, Done says it ran. */
CUresult vgpuCallback(CUstream stream, unsigned long long id);
CUresult vgpuCallbackDone(unsigned long long id);

/* --------------------------------------------- streams' attributes, capture */
/*
 * Ends a capture.  `graph`: a new handle, or the one that CaptureInfo gave the
 * same graph.
 */
CUresult vgpuStreamEndCapture(CUstream stream, unsigned long long graph);

struct vgpu_capture_info {
	vgpu_le32 status;       /* CUstreamCaptureStatus */
	vgpu_le32 dependencies; /* how many there are */
	vgpu_le64 id;
	vgpu_le64 graph; /* its handle: `graph` of the call, or that of an earlier one */
	vgpu_le32 used;  /* how many of `fresh` were taken */
	vgpu_le32 reserved;
};

/*
 * `graph`: a new handle to use if the graph has none (0: do not tell).
 * `fresh`: new handles for nodes that have none, taken in order; at most `room`
 * nodes and edges are told.
 */
CUresult vgpuStreamCaptureInfo(CUstream stream, unsigned long long graph, unsigned int room,
			       const uint64_t *fresh, struct vgpu_capture_info *info,
			       uint64_t *nodes, CUgraphEdgeData *edges);

/* ------------------------------------------------------------------ graphs */
/*
 * Nodes whose parameters have pointers in them.  `exec`: 0 to change the node
 * itself, else the node within that executable graph.
 */
struct vgpu_kernel_node {
	vgpu_le64 function; /* handle of a function or of a kernel */
	vgpu_le32 grid[3];
	vgpu_le32 block[3];
	vgpu_le32 shared;
	vgpu_le32 bytes; /* of parameters, packed as for vgpuLaunch */
};

struct vgpu_memset_node {
	vgpu_le64 dst;
	vgpu_le64 pitch;
	vgpu_le64 width;
	vgpu_le64 height;
	vgpu_le32 value;
	vgpu_le32 element; /* bytes */
};

CUresult vgpuGraphAddKernel(CUgraphNode *node, CUgraph graph, unsigned int n,
			    const CUgraphNode *dependencies, const struct vgpu_kernel_node *kernel,
			    unsigned int bytes, const void *params);
CUresult vgpuGraphAddCopy(CUgraphNode *node, CUgraph graph, unsigned int n,
			  const CUgraphNode *dependencies, const struct vgpu_copy3d *copy);
CUresult vgpuGraphAddMemset(CUgraphNode *node, CUgraph graph, unsigned int n,
			    const CUgraphNode *dependencies, const struct vgpu_memset_node *set);
/* `id` as for vgpuCallback; the function may run any number of times. */
CUresult vgpuGraphAddHost(CUgraphNode *node, CUgraph graph, unsigned int n,
			  const CUgraphNode *dependencies, unsigned long long id);
CUresult vgpuGraphAddAlloc(CUgraphNode *node, CUgraph graph, unsigned int n,
			   const CUgraphNode *dependencies, const CUmemPoolProps *props,
			   unsigned long long bytes, CUdeviceptr *address);
CUresult vgpuGraphSetKernel(CUgraphExec exec, CUgraphNode node,
			    const struct vgpu_kernel_node *kernel, unsigned int bytes,
			    const void *params);
CUresult vgpuGraphSetCopy(CUgraphExec exec, CUgraphNode node, const struct vgpu_copy3d *copy);
CUresult vgpuGraphSetMemset(CUgraphExec exec, CUgraphNode node, const struct vgpu_memset_node *set);
CUresult vgpuGraphSetHost(CUgraphExec exec, CUgraphNode node, unsigned long long id);
/* What a node of a captured graph holds; `params` as packed. */
CUresult vgpuGraphGetKernel(CUgraphNode node, struct vgpu_kernel_node *kernel, unsigned int bytes,
			    void *params);
CUresult vgpuGraphGetCopy(CUgraphNode node, struct vgpu_copy3d *copy);
CUresult vgpuGraphGetMemset(CUgraphNode node, struct vgpu_memset_node *set);
/* `value`: a CUlaunchAttributeValue; an event in it is a handle. */
CUresult vgpuGraphSetAttribute(CUgraphNode node, unsigned int id,
			       const struct vgpu_launch_attribute *attribute);
CUresult vgpuGraphGetAttribute(CUgraphNode node, unsigned int id,
			       struct vgpu_launch_attribute *attribute);

/*
 * The nodes of a graph from the `first` on, at most `room`; `total` of them are
 * there.  `fresh`: new handles for nodes that have none yet, taken in order,
 * `used` of them.
 */
#define VGPU_GRAPH_ALL 0u
#define VGPU_GRAPH_ROOTS 1u
CUresult vgpuGraphNodes(CUgraph graph, unsigned int which, unsigned int first, unsigned int room,
			const uint64_t *fresh, uint64_t *nodes, unsigned int *total,
			unsigned int *used);
/* Nodes without a handle come back as 0: ask vgpuGraphNodes first. */
CUresult vgpuGraphEdges(CUgraph graph, unsigned int first, unsigned int room, uint64_t *from,
			uint64_t *to, CUgraphEdgeData *data, unsigned int *total);
/* A node's dependencies (0) or those that depend on it (1). */
CUresult vgpuGraphNeighbours(CUgraphNode node, unsigned int dependents, unsigned int first,
			     unsigned int room, uint64_t *nodes, CUgraphEdgeData *data,
			     unsigned int *total);

/* The handle of the graph inside a node: one that it has, or `fresh` from now on. */
CUresult vgpuGraphChild(CUgraphNode node, unsigned long long fresh, unsigned long long *graph);

/* Answered with success even if the driver refused: `result` says so, and at which node. */
struct vgpu_graph_result {
	vgpu_le32 result; /* CUresult */
	vgpu_le32 detail; /* CUgraphInstantiateResult or CUgraphExecUpdateResult */
	vgpu_le64 node;   /* handles, 0: none or not known */
	vgpu_le64 from;
};

/* The exec's handle is taken only if `result` in the answer is 0. */
CUresult vgpuGraphInstantiate(unsigned long long exec, CUgraph graph, unsigned long long flags,
			      CUstream upload, struct vgpu_graph_result *answer);
CUresult vgpuGraphExecUpdate(CUgraphExec exec, CUgraph graph, struct vgpu_graph_result *answer);

/* ------------------------------------------------------------------- pools */
#define VGPU_POOL_DEFAULT 0u
#define VGPU_POOL_CURRENT 1u
/* A handle of a device's pool, which stays the driver's own. */
CUresult vgpuDevicePool(CUmemoryPool *pool, CUdevice dev, unsigned int which);
CUresult vgpuPoolSet(CUmemoryPool pool, unsigned int attribute, unsigned long long value);
CUresult vgpuPoolGet(CUmemoryPool pool, unsigned int attribute, unsigned long long *value);
CUresult vgpuGraphMemSet(CUdevice dev, unsigned int attribute, unsigned long long value);
CUresult vgpuGraphMemGet(CUdevice dev, unsigned int attribute, unsigned long long *value);
/* cuGraphLaunch(), answered: a graph with memory may be refused. */
CUresult vgpuGraphLaunch(CUgraphExec exec, CUstream stream);
/* Memory of a graph: frees it, in a stream's order or at once; is it there? */
CUresult vgpuGraphFree(CUdeviceptr address, CUstream stream, unsigned int in_order);
CUresult vgpuGraphMemory(CUdeviceptr address);

/* ---------------------------------------------------------- texture objects */
/* CUDA_RESOURCE_DESC without pointers. */
struct vgpu_resource {
	vgpu_le32 type;   /* CUresourcetype */
	vgpu_le32 format; /* CUarray_format */
	vgpu_le32 channels;
	vgpu_le32 flags;
	vgpu_le64 object; /* handle of an array or mipmapped array, or a device address */
	vgpu_le64 width;  /* bytes of a linear one */
	vgpu_le64 height;
	vgpu_le64 pitch;
};

CUresult vgpuTexCreate(const struct vgpu_resource *resource, const CUDA_TEXTURE_DESC *texture,
		       const CUDA_RESOURCE_VIEW_DESC *view, CUtexObject *object);
CUresult vgpuSurfCreate(const struct vgpu_resource *resource, CUsurfObject *object);

/* ------------------------------------------------------------------ linking */
CUresult vgpuLinkCreate(CUlinkState *link, unsigned int options,
			const struct vgpu_jit_option *option, unsigned int info_bytes,
			unsigned int error_bytes);
CUresult vgpuLinkAdd(CUlinkState link, unsigned int type, unsigned long long blob, const char *name,
		     unsigned int options, const struct vgpu_jit_option *option);
/* The image stays with the link, to be read in parts. */
CUresult vgpuLinkComplete(CUlinkState link, unsigned long long *bytes);
CUresult vgpuLinkData(CUlinkState link, unsigned long long offset, unsigned int bytes, void *data);
CUresult vgpuLinkLog(CUlinkState link, unsigned int which, unsigned int offset, unsigned int bytes,
		     char *text, unsigned int *total);

VGPU_ASSERT(sizeof(struct vgpu_cuda_hello) == 56);
VGPU_ASSERT(sizeof(struct vgpu_capture_info) == 32);
VGPU_ASSERT(sizeof(struct vgpu_kernel_node) == 40);
VGPU_ASSERT(sizeof(struct vgpu_memset_node) == 40);
VGPU_ASSERT(sizeof(struct vgpu_graph_result) == 24);
VGPU_ASSERT(sizeof(struct vgpu_resource) == 48);
VGPU_ASSERT(sizeof(struct vgpu_device_info) == 1264);
VGPU_ASSERT(sizeof(struct vgpu_copy3d_side) == 72);
VGPU_ASSERT(sizeof(struct vgpu_copy3d) == 168);
VGPU_ASSERT(sizeof(struct vgpu_jit_option) == 16);
VGPU_ASSERT(sizeof(struct vgpu_function_info) == 2192);
VGPU_ASSERT(sizeof(struct vgpu_launch_attribute) == 72);

#endif /* VGPU_CALLS_H */
