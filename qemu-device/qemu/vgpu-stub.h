/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the QEMU shell share: the device's state, and one group of
 * functions for each surrounding of the core (socket, interrupts, memory).
 */
#ifndef VGPU_STUB_H
#define VGPU_STUB_H

#include "compat.h"
#include "qemu/bitmap.h"
#include "qemu/queue.h"
#include "vgpu_core.h"

#define TYPE_VGPU_STUB "vgpu-stub"
#define VGPU_STUB(obj) OBJECT_CHECK(VgpuStub, (obj), TYPE_VGPU_STUB)

typedef struct VgpuStub VgpuStub;

/* The eventfds and the lifeline of one queue. */
typedef struct VgpuQueue {
    VgpuStub *s;
    uint32_t id;            /* or VGPU_QUEUE_REGISTERS */
    bool made;              /* kick and call exist */
    bool up;                /* they are connected */
    bool irqfd;             /* call goes to KVM, not to the main loop */
    uint32_t vector;
    uint32_t linger_missed; /* how often in a row the answer came too late */
    uint32_t linger_skip;   /* doorbells not to linger for */
    int lifeline;           /* watched; -1: none */
    EventNotifier kick;
    EventNotifier call;
} VgpuQueue;

/* An MSI-X vector under KVM. */
typedef struct VgpuVector {
    int virq;               /* -1: no route yet */
    bool unmasked;
} VgpuVector;

/* A message that the socket had no room for. */
typedef struct VgpuOut {
    QSIMPLEQ_ENTRY(VgpuOut) next;
    size_t length;
    size_t done;
    size_t nfds;
    int fds[VGPU_MSG_FDS_MAX];      /* duplicates */
    uint8_t data[];
} VgpuOut;

struct VgpuStub {
    PCIDevice parent_obj;

    /* Properties. */
    char *socket_path;
    VgpuChardev chr;
    uint32_t queues;

    struct vgpu_core *core;
    int depth;              /* > 0 while in the core */
    DECLARE_BITMAP(raised, VGPU_CORE_VECTORS_MAX);  /* sent on the way out */
    QEMUTimer *timer;
    MemoryRegion regs;
    MemoryRegion doorbells;
    Error *migration_blocker;

    /* Socket. */
    int fd;                 /* -1: none; unused with a chardev */
    bool chr_open;
    int calls;              /* where the daemon can call us; -1: nowhere */
    char *call_place;
    QSIMPLEQ_HEAD(, VgpuOut) out;
    size_t nout;

    /* Queues, the register session's last; vectors. */
    VgpuQueue *queue;
    VgpuQueue *rung;        /* kicked by the access under way */
    VgpuQueue *owed;        /* rung, but its worker does not know yet */
    QEMUBH *late;           /* ... for whom; NULL: nothing is ever owed */
    bool answer_first;      /* the access under way is better answered first */
    VgpuVector *vector;
    uint32_t nvectors;

    /* Guest RAM: the table being gathered, and the one in use. */
    MemoryListener listener;
    GArray *gather;         /* struct vgpu_core_region */
    GPtrArray *gather_mr;   /* MemoryRegion, referenced */
    GArray *table;
    GPtrArray *table_mr;
    bool no_discards;       /* we forbade them: the daemon has RAM of ours */
    bool realizing;         /* failing is still possible */
    bool discards_needed;   /* by another device: no RAM for the daemon */
    QEMUTimer *changed;     /* to tell of changed pages; RAM by domain only */
    QLIST_ENTRY(VgpuStub) by_domain;
};

/* For messages: what the user calls this device. */
static inline const char *vgpu_id(VgpuStub *s)
{
    return DEVICE(s)->id ? DEVICE(s)->id : "-";
}

/*
 * vgpu-stub.c: every call of the core lies between these two.  On the way out
 * interrupts are sent; what they write to is the guest's choice, and may unplug
 * this very device, so that core and queues may be gone afterwards.
 */
void vgpu_enter(VgpuStub *s);
void vgpu_leave(VgpuStub *s);

/* The same without the core's clock and deadline. */
void vgpu_hold(VgpuStub *s);
void vgpu_release(VgpuStub *s);

/* vgpu-socket.c */
bool vgpu_socket_check(VgpuStub *s, Error **errp);
void vgpu_socket_init(VgpuStub *s);
void vgpu_socket_exit(VgpuStub *s);
/*
 * For who waits outside the main loop: what to poll (-1: nothing, as with a
 * chardev) and whether for writing too, and what to do then.
 */
int vgpu_socket_fd(VgpuStub *s, bool *writes);
void vgpu_socket_serve(VgpuStub *s);
/* A connection that the daemon made; taken, or closed if there is one. */
void vgpu_socket_take(VgpuStub *s, int fd);
int vgpu_socket_connect(void *opaque);
void vgpu_socket_disconnect(void *opaque);
int vgpu_socket_send(void *opaque, const void *data, size_t length,
                     const int *fds, size_t nfds);

/* vgpu-call.c */
void vgpu_call_init(VgpuStub *s);
void vgpu_call_exit(VgpuStub *s);

/* vgpu-queue.c */
void vgpu_queues_init(VgpuStub *s);
void vgpu_queues_exit(VgpuStub *s);
void vgpu_queues_wait(VgpuStub *s, int ms);
int vgpu_queue_make_fds(void *opaque, uint32_t id, int *kick, int *call);
void vgpu_queue_up(void *opaque, uint32_t id, uint32_t vector);
void vgpu_queue_down(void *opaque, uint32_t id);
void vgpu_queue_kick(void *opaque, uint32_t id);
void vgpu_queue_linger(VgpuStub *s);
void vgpu_queue_watch_lifeline(void *opaque, uint32_t id, int fd);
void vgpu_queue_unwatch_lifeline(void *opaque, uint32_t id, int fd);

/* vgpu-memory.c */
bool vgpu_memory_init(VgpuStub *s, Error **errp);
void vgpu_memory_exit(VgpuStub *s);
/*
 * In Xen's device model (graft.sh puts it there): called when the guest has
 * given pages back, so that others may come to be at the same addresses.
 */
extern void (*vgpu_stub_ram_changed)(void) __attribute__((weak));

/* plugin.c or the graft: makes the type known. */
void vgpu_stub_register_type(void);

#endif /* VGPU_STUB_H */
