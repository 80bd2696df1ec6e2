/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the software driver share.
 *
 * Theory of operation.  One lock guards everything but the bytes of the
 * "device" memory.  Objects (contexts, streams, ...) are counted and stand in a
 * registry while the program may name them: a handle is looked up there before
 * anything behind it is read.  Each stream has a thread that does its work in
 * order, without the lock.  Work finds and pins the ranges of memory that it
 * touches when it runs; a range that is freed meanwhile disappears with the
 * last pin.  Device addresses are addresses of this process, and nothing
 * outside the known ranges is ever touched on behalf of one.
 */
#ifndef VGPU_CPU_DRIVER_PRIV_H
#define VGPU_CPU_DRIVER_PRIV_H

#include <cuda.h>
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_MEMORY_TOTAL ((size_t)1 << 30)
#define CPU_HOST_TOTAL ((size_t)1 << 30) /* that the driver itself allocates */
#define CPU_RANGES_MAX 32768u
#define CPU_OBJECTS_MAX 262144u
#define CPU_STREAMS_MAX 512u
#define CPU_WORK_MAX 65536u  /* pieces of work that wait or run, all streams together */
#define CPU_STREAM_MAX 1024u /* ... of one stream; as with a GPU, who submits more waits */
#define CPU_PAGE ((size_t)4096)
#define CPU_GRANULARITY ((size_t)2 << 20) /* of VMM allocations and reservations */
#define CPU_THREADS_MAX 1024u             /* of a block */
#define CPU_SHARED_MAX 49152u             /* bytes a block without opting in */
#define CPU_SHARED_OPTIN 166912u

/* ---- symbols.c ---- */

typedef void (*cpu_fn)(void);

struct cpu_symbol {
	const char *name;
	cpu_fn fn;
	size_t checked; /* that the signature is the one of cuda.h */
};

/* An entry for the function `name` of cuda.h, done by cpu_`name` of the same type. */
#define CPU_FN(symbol)                                                                        \
	{                                                                                     \
		.name = #symbol, .fn = (cpu_fn)cpu_##symbol,                                  \
		.checked = sizeof(char[__builtin_types_compatible_p(__typeof__(symbol),       \
								    __typeof__(cpu_##symbol)) \
					       ? 1                                            \
					       : -1])                                         \
	}

struct cpu_symbols {
	const struct cpu_symbol *symbol;
	size_t n;
};
#define CPU_SYMBOLS(table, ...)                                        \
	static const struct cpu_symbol table##_list[] = {__VA_ARGS__}; \
	const struct cpu_symbols table = {table##_list, G_N_ELEMENTS(table##_list)}

extern const struct cpu_symbols cpu_device_symbols, cpu_context_symbols, cpu_memory_symbols,
	cpu_copy_symbols, cpu_memset_symbols, cpu_host_symbols, cpu_stream_symbols,
	cpu_event_symbols, cpu_value_symbols, cpu_module_symbols, cpu_library_symbols,
	cpu_function_symbols, cpu_launch_symbols, cpu_pool_symbols, cpu_vmm_symbols,
	cpu_array_symbols, cpu_graph_symbols, cpu_graph_memory_symbols, cpu_edge_symbols,
	cpu_node_symbols, cpu_exec_symbols, cpu_capture_symbols, cpu_texture_symbols,
	cpu_link_symbols;

/* ---- objects.c: the lock, the registry, entering and leaving ---- */

enum object_type {
	OBJECT_CONTEXT = 1,
	OBJECT_STREAM,
	OBJECT_EVENT,
	OBJECT_MODULE,
	OBJECT_FUNCTION,
	OBJECT_LIBRARY,
	OBJECT_KERNEL,
	OBJECT_POOL,
	OBJECT_PHYSICAL,
	OBJECT_ARRAY,
	OBJECT_GRAPH,
	OBJECT_NODE,
	OBJECT_EXEC,
	OBJECT_TEXTURE,
	OBJECT_SURFACE,
	OBJECT_LINK,
};

/* The first member of everything that a handle names. */
struct object {
	enum object_type type;
	unsigned int refs;
	void (*finish)(void *object); /* frees what it holds; with the lock held */
};

struct cpu_driver {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* work done, pins gone, an error */
	bool initialised;
	CUresult sticky; /* every later call returns it */
	GHashTable *objects;
	unsigned int streams;
	size_t queued; /* as work_weight() counts */
	size_t staged; /* bytes of private copies that wait */
	CUcontext primary;
	unsigned int primary_flags;
	size_t memory_used;
	size_t host_used;
};
extern struct cpu_driver drv;

struct guard {
	bool held;
};
struct guard guard_enter(CUresult *err);
void guard_leave(struct guard *g);

/* Takes the lock until the function returns; returns at once if not initialised or broken. */
#define ENTER()                                                             \
	CUresult enter_error;                                               \
	__attribute__((cleanup(guard_leave), unused)) struct guard guard_ = \
		guard_enter(&enter_error);                                  \
	if (enter_error)                                                    \
	return enter_error

/* The same, with the calling thread's current context. */
#define ENTER_CONTEXT(ctx)                   \
	ENTER();                             \
	CUcontext ctx;                       \
	enter_error = context_current(&ctx); \
	if (enter_error)                     \
	return enter_error

/* Zeroed memory for an object, entered into the registry, or NULL; sizes over-large: no. */
void *object_new(enum object_type type, size_t size, void (*finish)(void *object));
/* `handle` as an object of the type, NULL if it is none (no reference taken). */
void *object_find(const void *handle, enum object_type type);
void *object_ref(void *object);
void object_unref(void *object);
/* The program can no longer name it; drops the registry's reference. */
void object_retire(void *object);
/* The program can name it (again). */
void object_publish(void *object);
/* The objects of one type for which `match` says yes; the caller frees the array only. */
GPtrArray *object_list(enum object_type type, bool (*match)(void *object, const void *arg),
		       const void *arg);
/* The first error of the kind that stays; wakes everybody up. */
void driver_fail(CUresult err);
uint64_t now_ns(void);

/* ---- context.c ---- */

struct CUctx_st {
	struct object obj;
	unsigned int flags;
	unsigned int retained; /* primary context only */
	bool primary;
	uint64_t id;
	CUstream legacy;     /* the default stream; made on first use */
	CUstream per_thread; /* what CU_STREAM_PER_THREAD means here */
	GPtrArray *streams;  /* all of its streams that still have a thread or a handle */
	size_t limit[CU_LIMIT_MAX];
	CUfunc_cache cache;
};
CUresult context_current(CUcontext *ctx);
bool device_is_valid(CUdevice dev);

/* ---- ranges.c ---- */

enum range_kind {
	RANGE_DEVICE,     /* cuMemAlloc */
	RANGE_POOL,       /* cuMemAllocAsync */
	RANGE_GLOBAL,     /* of a module */
	RANGE_HOST,       /* cuMemHostAlloc */
	RANGE_REGISTERED, /* cuMemHostRegister */
	RANGE_MAPPED,     /* part of a VMM reservation */
	RANGE_GRAPH,      /* of a graph's nodes: graph_memory.c */
};

struct range {
	uintptr_t base;
	size_t size;   /* as asked for */
	size_t mapped; /* whole pages, 0: not the driver's to unmap */
	enum range_kind kind;
	unsigned int flags; /* of the call that made it */
	bool readable, writable;
	bool gone;
	bool leaving;       /* a stream is going to free it */
	bool allocated;     /* RANGE_GRAPH: by a launch, and not freed since */
	unsigned int users; /* ... and the pieces of work that name it */
	unsigned int pins;
	uint64_t id;
	CUcontext ctx;     /* that it goes away with, or NULL; compared only */
	CUmemoryPool pool; /* referenced, or NULL */
	void *owner;       /* the physical allocation of RANGE_MAPPED, referenced */
	uint64_t offset;   /* in it */
};

/* Fresh zeroed memory at a new address; CUDA_ERROR_OUT_OF_MEMORY beyond the limits. */
CUresult range_new(enum range_kind kind, size_t size, CUcontext ctx, struct range **out);
/* A range over memory that is somebody else's.  ALREADY_REGISTERED if it meets another one. */
CUresult range_adopt(enum range_kind kind, uintptr_t base, size_t size, struct range **out);
struct range *range_find(uintptr_t address);
/* Takes it out of the list; its memory goes with the last pin. */
void range_remove(struct range *r);
/* Also waits (the lock is given up meanwhile) until nobody has it pinned. */
void range_remove_unpinned(struct range *r);
void ranges_remove_of(CUcontext ctx);
bool range_overlaps(uintptr_t base, size_t size);

#define ACCESS_READ 1u
#define ACCESS_WRITE 2u
#define ACCESS_LATER 4u /* when a graph runs, which may make the memory first */
/* Whether [address, address+size) lies in ranges, one after the other, that allow this. */
bool span_is_valid(uintptr_t address, size_t size, unsigned int access);

/* Ranges that a piece of work uses. */
struct pins {
	GPtrArray *range;
};
#define PINS_INIT    \
	{            \
		NULL \
	}
bool pins_add(struct pins *p, uintptr_t address, size_t size, unsigned int access);
void pins_drop(struct pins *p);

/* Pages of the driver's own making; NULL if there are none. */
void *pages_map(size_t size, bool shared);

/* ---- work.c: what can be queued in a stream or stand in a graph ---- */

struct launch {
	unsigned int grid[3], block[3];
	unsigned int shared;
	bool cooperative;
};

struct kernel_work {
	CUfunction fn; /* referenced */
	struct launch launch;
	uint8_t *param; /* laid out as the PTX says */
	size_t size;
};

struct copy_work {
	CUDA_MEMCPY3D d;
	bool src_pinned, dst_pinned;  /* the host side was in a range when the work was made */
	void *staged;                 /* private copy of a pageable source */
	CUarray src_array, dst_array; /* referenced, or NULL */
};

struct host_work {
	CUhostFn fn;
	void *data;
	CUstreamCallback callback; /* instead of fn */
	CUstream stream;
};

struct event_work {
	CUevent event;   /* referenced, or NULL */
	struct op *wait; /* referenced; wait for this one */
};

struct value_work {
	unsigned int n;
	CUstreamBatchMemOpParams *op;
};

struct free_work {
	uintptr_t address;
	uint64_t id; /* of the range, so that no later one is meant */
};

struct vgpu_run;

struct runs_work {
	uintptr_t device;
	bool to_device;
	uint32_t n;
	size_t length;
	struct vgpu_run *run; /* a copy of the list */
};

struct exec_work {
	GPtrArray *work; /* owned; in an order that the graph allows */
	size_t total;    /* pieces, with those of graphs within */
};

enum work_kind {
	WORK_EMPTY,
	WORK_KERNEL,
	WORK_COPY,
	WORK_MEMSET,
	WORK_HOST,
	WORK_RECORD,
	WORK_WAIT,
	WORK_VALUE,
	WORK_ALLOC, /* memory of a graph */
	WORK_FREE,
	WORK_RUNS,
	WORK_EXEC,
};

struct work {
	enum work_kind kind;
	union {
		struct kernel_work kernel;
		struct copy_work copy;
		CUDA_MEMSET_NODE_PARAMS set;
		struct host_work host;
		struct event_work event;
		struct value_work value;
		struct free_work free;
		struct runs_work runs;
		struct exec_work exec;
	};
};

struct work *work_new(enum work_kind kind);
/* How many pieces it is made of: what it costs to have it in a queue or a graph. */
size_t work_weight(const struct work *w);
struct work *work_clone(const struct work *w);
/* With the lock held. */
void work_free(struct work *w);
/* Without the lock.  An error of it is sticky. */
CUresult work_run(struct work *w);

CUresult copy_run(struct copy_work *c);
CUresult runs_run(const struct runs_work *r);
CUresult memset_run(const CUDA_MEMSET_NODE_PARAMS *set);
CUresult kernel_run(const struct kernel_work *k);
CUresult value_run(const struct value_work *v);
/* Checks made when work is made; the lock is held.  `later`: 0 or ACCESS_LATER. */
CUresult copy_check(struct copy_work *c, unsigned int later);
CUresult memset_check(const CUDA_MEMSET_NODE_PARAMS *set, unsigned int later);
CUresult copy_make(const CUDA_MEMCPY3D *d, unsigned int later, struct work **out);
CUresult memset_make(const CUDA_MEMSET_NODE_PARAMS *set, unsigned int later, struct work **out);

/* ---- queue.c: streams as queues ---- */

/* One piece of queued work; others wait for it, events remember it. */
struct op {
	unsigned int refs;
	size_t weight;
	bool done;
	uint64_t end; /* monotonic time in ns, once done */
	struct work *work;
	GPtrArray *after; /* operations of other streams that come first */
};

struct capture;

struct CUstream_st {
	struct object obj;
	CUcontext ctx; /* alive as long as the stream is in the registry */
	unsigned int flags;
	int priority;
	uint64_t id;
	bool legacy;
	bool retired;
	bool has_thread;
	GQueue queue; /* of struct op */
	unsigned int queued;
	struct op *last; /* the newest one, referenced, or NULL */
	pthread_cond_t more;
	struct capture *capture; /* counted, or NULL */
	GPtrArray *tips;         /* the newest nodes that it captured */
};

/* A handle as a stream of the current context or of its own; default streams are made. */
CUresult stream_find(CUcontext ctx, CUstream handle, CUstream *out);
CUresult stream_new(CUcontext ctx, unsigned int flags, int priority, CUstream *out);
/* Drops a stream that its owner no longer names; its work is still done. */
void stream_retire(CUstream s);
/* Takes over `w`, also on failure.  `op`, if not NULL, gets a reference. */
CUresult stream_submit(CUstream s, struct work *w, struct op **op);
/* The same in a stream that captures: a node of its graph instead. */
CUresult stream_submit_or_capture(CUstream s, struct work *w);
/* Waits for what is queued now.  The lock is given up meanwhile; result: a sticky error. */
CUresult stream_wait(CUstream s);
CUresult context_wait(CUcontext ctx); /* NULL: all */
bool stream_is_idle(CUstream s);
/* The caller holds a reference. */
CUresult op_wait(struct op *op);
struct op *op_ref(struct op *op);
void op_unref(struct op *op);

/* ---- event.c ---- */

struct CUevent_st {
	struct object obj;
	CUcontext ctx;
	unsigned int flags;
	struct op *op;           /* of the newest recording, referenced, or NULL */
	struct capture *capture; /* it was recorded in, counted, or NULL */
	GPtrArray *tips;         /* the nodes of that capture that it stands for */
};

/* ---- pool.c ---- */

struct CUmemPoolHandle_st {
	struct object obj;
	bool is_default;
	cuuint64_t threshold;
	cuuint64_t used, used_high;
	int reuse[3];
	unsigned int access;
};
void pool_account(CUmemoryPool pool, size_t size, bool more);

/* ---- graph_memory.c ---- */

/* Memory of a graph that no launch has made yet: the work that makes it. */
CUresult graph_memory_new(size_t size, struct work **out);
/* For a copy of such work and for work that frees, and for the end of it. */
void graph_memory_ref(const struct free_work *f);
void graph_memory_unref(const struct free_work *f);
/* What a launch of the list will have done; INVALID_VALUE: it may not be launched. */
CUresult graph_memory_launch(const GPtrArray *list, bool auto_free);
/* A stream has come to it. */
void graph_memory_here(const struct free_work *f);
/* Freed outside of a graph; INVALID_VALUE: it is not allocated. */
CUresult graph_memory_free(struct range *r);
/* ... and the stream has come that far. */
void graph_memory_gone(struct range *r);

/* ---- array.c ---- */

struct CUarray_st {
	struct object obj;
	CUDA_ARRAY3D_DESCRIPTOR d;
	size_t pitch, height, depth; /* rows of `pitch` bytes, rows of a slice, slices */
	uint8_t *data;
	size_t bytes;
	CUcontext ctx;
};

/* ---- module.c ---- */

struct ptx_module;
struct ptx_entry;
struct builtin;

struct CUmod_st {
	struct object obj;
	CUcontext ctx; /* NULL: of a library */
	struct ptx_module *ptx;
	GPtrArray *function; /* of CUfunction, in the PTX's order */
	GPtrArray *global;   /* of struct range, in the PTX's order; NULL where there is none */
};

/* What a program can set. */
struct function_limits {
	int dynamic_shared;
	int carveout;
};

struct CUfunc_st {
	struct object obj;
	CUmodule module;        /* alive while the function is; not counted */
	struct ptx_module *ptx; /* counted */
	const struct ptx_entry *entry;
	const struct builtin *builtin; /* NULL: cannot be launched */
	GPtrArray *global;             /* of the module, counted */
	struct function_limits limit;
	bool own; /* they were set for it, not for its kernel */
};

struct CUkern_st {
	struct object obj;
	CUlibrary library;
	CUfunction fn;
	struct function_limits limit;
};

struct CUlib_st {
	struct object obj;
	CUmodule module;
	GPtrArray *kernel; /* of CUkernel */
};

CUresult module_load(const void *image, CUcontext ctx, CUmodule *out);
void module_unload(CUmodule m);
CUresult module_global(CUmodule m, const char *name, CUdeviceptr *dptr, size_t *bytes);
CUfunction module_function(CUmodule m, const char *name);
/* A CUfunction, or a CUkernel that was cast to one. */
CUfunction function_find(CUfunction handle);

/* ---- launch.c ---- */

CUresult launch_make(CUfunction fn, const struct launch *l, void **params, void **extra,
		     struct work **out);

/* Applies an attribute that matters here; NOT_SUPPORTED if it would change what happens. */
CUresult launch_attribute(const CUlaunchAttribute *a, struct launch *l);

/* ---- kernels.c ---- */

struct kernel_call {
	const struct launch *launch;
	const uint8_t *param;
	const struct ptx_entry *entry;
	GPtrArray *global;
	struct ptx_module *ptx;
};

struct builtin {
	const char *name;
	uint8_t nparams;
	uint8_t size[8]; /* of the parameters */
	CUresult (*run)(const struct kernel_call *call);
};
/* For an entry of the PTX, whose name may be a C++ one; NULL: none, or other parameters. */
const struct builtin *builtin_find(const struct ptx_entry *entry);

/* ---- capture.c ---- */

/* Takes over `w`: a node behind what the stream captured before. */
CUresult capture_add(CUstream s, struct work *w);
CUresult capture_record(CUstream s, CUevent e);
/* The stream joins the capture that the event was recorded in. */
CUresult capture_wait(CUstream s, CUevent e);
/* The stream goes, and what it captures cannot be finished. */
void capture_abandon(CUstream s);
void capture_forget_event(CUevent e);
void capture_invalidate(struct capture *c);
/* Whether the event belongs to a capture that goes on. */
bool capture_has(CUevent e);

#endif /* VGPU_CPU_DRIVER_PRIV_H */
