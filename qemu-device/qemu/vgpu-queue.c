/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queues in QEMU: doorbells become kicks, calls become MSI-X interrupts.
 *
 * Under KVM a doorbell is an ioeventfd; elsewhere it comes through
 * vgpu_doorbell_write(), and lingers.  Under KVM, with the vector unmasked, a
 * call goes straight to the interrupt controller (irqfd); else the main loop
 * reads it and the core raises the vector.  While a vector is masked the main
 * loop has it too, so that MSI-X remembers it as pending.
 */
#include "qemu/osdep.h"
#include "vgpu-stub.h"
#include "trace.h"

#include <poll.h>
#include <sys/socket.h>

static VgpuQueue *vgpu_queue(VgpuStub *s, uint32_t id)
{
    return &s->queue[id == VGPU_QUEUE_REGISTERS ? s->queues : id];
}

/* -------------------------------------------------------------- interrupts */

static bool vgpu_queue_take_call(VgpuQueue *q)
{
    if (!event_notifier_test_and_clear(&q->call)) {
        return false;
    }
    if (q->id == VGPU_QUEUE_REGISTERS) {
        vgpu_enter(q->s);
        vgpu_core_call(q->s->core, q->id);
        vgpu_leave(q->s);
    } else {
        vgpu_hold(q->s);    /* as for a doorbell */
        vgpu_core_call(q->s->core, q->id);
        vgpu_release(q->s);
    }
    return true;
}

static void vgpu_queue_called(void *opaque)
{
    vgpu_queue_take_call(opaque);
}

#define LINGER_NS 100000        /* far longer than a short command takes */
#define LINGER_SPIN_NS 10000    /* of it, without sleeping */
#define LINGER_SKIP_MAX 1023

/*
 * Where no irqfd carries the answer it would have to wake the main loop and
 * often, by then, the vCPU.  Most commands take less than that, so whoever rang
 * waits a moment for the answer and delivers it itself.  A queue whose commands
 * take longer is soon left alone, and tried again now and then.  Called with
 * the device held: the interrupt goes out when all here is done.
 */
void vgpu_queue_linger(VgpuStub *s)
{
    VgpuQueue *q = s->rung;
    struct timespec limit = { .tv_nsec = LINGER_NS - LINGER_SPIN_NS };
    struct pollfd p;
    int64_t end;
    bool taken;

    s->rung = NULL;
    if (!q || !q->up || q->irqfd) {
        return;
    }
    if (q->linger_skip) {
        q->linger_skip--;
        return;
    }
    end = get_clock() + LINGER_SPIN_NS;
    do {
        taken = vgpu_queue_take_call(q);
    } while (!taken && get_clock() < end);
    p.fd = event_notifier_get_fd(&q->call);
    p.events = POLLIN;
    if (!taken && ppoll(&p, 1, &limit, NULL) > 0) {
        taken = vgpu_queue_take_call(q);
    }
    if (taken) {
        q->linger_missed = 0;
    } else {
        q->linger_missed = MIN(2 * q->linger_missed + 1, LINGER_SKIP_MAX);
        q->linger_skip = q->linger_missed;
    }
}

static void vgpu_call_to_main_loop(VgpuQueue *q, bool on)
{
    qemu_set_fd_handler(event_notifier_get_fd(&q->call),
                        on ? vgpu_queue_called : NULL, NULL, q);
}

static bool vgpu_vector_route(VgpuStub *s, unsigned vector)
{
    VgpuVector *v = &s->vector[vector];

    if (v->virq < 0) {
        v->virq = vgpu_compat_add_msi_route(PCI_DEVICE(s), vector);
    }
    return v->virq >= 0;
}

/* What KVM already has pending on the eventfd it delivers: nothing is lost. */
static void vgpu_irqfd_on(VgpuQueue *q)
{
    VgpuStub *s = q->s;

    if (q->irqfd || !s->vector[q->vector].unmasked ||
        !kvm_msi_via_irqfd_enabled() || !vgpu_vector_route(s, q->vector)) {
        return;
    }
    if (kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &q->call, NULL,
                                           s->vector[q->vector].virq) < 0) {
        return;     /* the main loop goes on with it */
    }
    q->irqfd = true;
    vgpu_call_to_main_loop(q, false);
    trace_vgpu_stub_irqfd(vgpu_id(s), q->id, q->vector, 1);
}

static void vgpu_irqfd_off(VgpuQueue *q)
{
    VgpuStub *s = q->s;

    if (!q->irqfd) {
        return;
    }
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &q->call,
                                          s->vector[q->vector].virq);
    q->irqfd = false;
    vgpu_call_to_main_loop(q, true);
    trace_vgpu_stub_irqfd(vgpu_id(s), q->id, q->vector, 0);
}

/* MSI-X insists on success; where irqfd fails the main loop serves. */
static int vgpu_vector_unmask(PCIDevice *pci, unsigned vector, MSIMessage msg)
{
    VgpuStub *s = VGPU_STUB(pci);
    VgpuVector *v = &s->vector[vector];
    uint32_t i;

    v->unmasked = true;
    if (v->virq >= 0) {
        kvm_irqchip_update_msi_route(kvm_state, v->virq, msg, pci);
        kvm_irqchip_commit_routes(kvm_state);
    }
    for (i = 0; i < s->queues; i++) {
        if (s->queue[i].up && s->queue[i].vector == vector) {
            vgpu_irqfd_on(&s->queue[i]);
        }
    }
    return 0;
}

static void vgpu_vector_mask(PCIDevice *pci, unsigned vector)
{
    VgpuStub *s = VGPU_STUB(pci);
    uint32_t i;

    s->vector[vector].unmasked = false;
    for (i = 0; i < s->queues; i++) {
        if (s->queue[i].up && s->queue[i].vector == vector) {
            vgpu_irqfd_off(&s->queue[i]);
        }
    }
}

/* The guest reads the pending bits: what waits for the main loop counts. */
static void vgpu_vector_poll(PCIDevice *pci, unsigned start, unsigned end)
{
    VgpuStub *s = VGPU_STUB(pci);
    uint32_t i;

    for (i = 0; i < s->queues; i++) {
        VgpuQueue *q = &s->queue[i];

        if (q->up && q->vector >= start && q->vector < end &&
            msix_is_masked(pci, q->vector) &&
            event_notifier_test_and_clear(&q->call)) {
            msix_set_pending(pci, q->vector);
        }
    }
}

/* ------------------------------------------------------------------ queues */

int vgpu_queue_make_fds(void *opaque, uint32_t id, int *kick, int *call)
{
    VgpuQueue *q = vgpu_queue(opaque, id);
    int err;

    if (!q->made) {
        err = event_notifier_init(&q->kick, 0);
        if (err < 0) {
            return err;
        }
        err = event_notifier_init(&q->call, 0);
        if (err < 0) {
            event_notifier_cleanup(&q->kick);
            return err;
        }
        q->made = true;
    }
    *kick = event_notifier_get_fd(&q->kick);
    *call = event_notifier_get_fd(&q->call);
    return 0;
}

void vgpu_queue_up(void *opaque, uint32_t id, uint32_t vector)
{
    VgpuStub *s = opaque;
    VgpuQueue *q = vgpu_queue(s, id);

    trace_vgpu_stub_queue_up(vgpu_id(s), id, vector);
    q->up = true;
    q->vector = vector;
    vgpu_call_to_main_loop(q, true);
    if (id == VGPU_QUEUE_REGISTERS) {
        return;
    }
    if (kvm_enabled()) {
        memory_region_add_eventfd(&s->doorbells,
                                  (hwaddr)id * VGPU_DOORBELL_STRIDE, 4, false,
                                  0, &q->kick);
    }
    vgpu_irqfd_on(q);
}

void vgpu_queue_down(void *opaque, uint32_t id)
{
    VgpuStub *s = opaque;
    VgpuQueue *q = vgpu_queue(s, id);

    trace_vgpu_stub_queue_down(vgpu_id(s), id);
    if (q->up) {
        vgpu_irqfd_off(q);
        vgpu_call_to_main_loop(q, false);
        if (id != VGPU_QUEUE_REGISTERS && kvm_enabled()) {
            memory_region_del_eventfd(&s->doorbells,
                                      (hwaddr)id * VGPU_DOORBELL_STRIDE, 4,
                                      false, 0, &q->kick);
        }
        q->up = false;
    }
    if (s->rung == q) {
        s->rung = NULL;
    }
    if (s->owed == q) {
        s->owed = NULL;
    }
    if (q->made) {
        event_notifier_cleanup(&q->kick);
        event_notifier_cleanup(&q->call);
        q->made = false;
    }
}

static void vgpu_queue_pay(void *opaque)
{
    VgpuStub *s = opaque;
    VgpuQueue *q = s->owed;

    s->owed = NULL;
    if (q) {
        event_notifier_set(&q->kick);
    }
}

/*
 * On Xen the main loop serves the vCPUs.  A worker that is woken there may take
 * the very processor on which the guest is about to be let go on, so a doorbell
 * that nobody sleeps for reaches it after that, by the bottom half.
 */
void vgpu_queue_kick(void *opaque, uint32_t id)
{
    VgpuStub *s = opaque;
    VgpuQueue *q = vgpu_queue(s, id);

    s->rung = q;
    if (!s->late || !s->answer_first) {
        event_notifier_set(&q->kick);
        return;
    }
    if (s->owed != q) {
        vgpu_queue_pay(s);
    }
    s->owed = q;
    qemu_bh_schedule(s->late);
}

/* --------------------------------------------------------------- lifelines */

/* Nothing is ever said on a lifeline; only its end matters. */
static bool vgpu_lifeline_ended(int fd)
{
    char dummy[64];
    ssize_t n = recv(fd, dummy, sizeof(dummy), MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void vgpu_lifeline_readable(void *opaque)
{
    VgpuQueue *q = opaque;
    VgpuStub *s = q->s;

    if (!vgpu_lifeline_ended(q->lifeline)) {
        return;
    }
    trace_vgpu_stub_lifeline_hup(vgpu_id(s), q->id);
    vgpu_enter(s);
    vgpu_core_lifeline_hup(s->core, q->id);
    vgpu_leave(s);
}

void vgpu_queue_watch_lifeline(void *opaque, uint32_t id, int fd)
{
    VgpuQueue *q = vgpu_queue(opaque, id);

    q->lifeline = fd;
    qemu_set_fd_handler(fd, vgpu_lifeline_readable, NULL, q);
}

void vgpu_queue_unwatch_lifeline(void *opaque, uint32_t id, int fd)
{
    qemu_set_fd_handler(fd, NULL, NULL, NULL);
    vgpu_queue(opaque, id)->lifeline = -1;
}

/*
 * What there is to poll: the workers' lifelines, and the socket, as a queue
 * that is only starting gets its lifeline, if any, by the daemon's answer.
 */
static uint32_t vgpu_gather_fds(VgpuStub *s, struct pollfd *p, VgpuQueue **who)
{
    uint32_t i, n = 0;
    bool writes;
    int fd = vgpu_socket_fd(s, &writes);

    if (fd >= 0) {
        who[n] = NULL;
        p[n++] = (struct pollfd) {
            .fd = fd, .events = POLLIN | (writes ? POLLOUT : 0),
        };
    }
    for (i = 0; i <= s->queues; i++) {
        if (s->queue[i].lifeline >= 0) {
            who[n] = &s->queue[i];
            p[n++] = (struct pollfd) {
                .fd = s->queue[i].lifeline, .events = POLLIN,
            };
        }
    }
    return n;
}

/* Any of them may end others; one that is not polled any more is skipped. */
static void vgpu_serve_fds(VgpuStub *s, const struct pollfd *p,
                           VgpuQueue **who, uint32_t n)
{
    uint32_t i;

    for (i = n; i-- > 0;) {     /* the socket last */
        if (!p[i].revents) {
            continue;
        }
        if (!who[i]) {
            vgpu_socket_serve(s);
        } else if (who[i]->lifeline == p[i].fd) {
            vgpu_lifeline_readable(who[i]);
        }
    }
}

/* Gives the workers a bounded time to end; says so if one does not. */
void vgpu_queues_wait(VgpuStub *s, int ms)
{
    int64_t end = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms;
    g_autofree struct pollfd *p = g_new0(struct pollfd, s->queues + 2);
    g_autofree VgpuQueue **who = g_new0(VgpuQueue *, s->queues + 2);
    int64_t left;
    uint32_t n;

    while (vgpu_core_workers(s->core) &&
           (left = end - qemu_clock_get_ms(QEMU_CLOCK_REALTIME)) > 0) {
        n = vgpu_gather_fds(s, p, who);
        if (!n) {
            break;      /* nothing that could tell of their end */
        }
        if (poll(p, n, left) > 0) {
            vgpu_serve_fds(s, p, who, n);
        }
    }
    if (vgpu_core_workers(s->core)) {
        warn_report("vgpu-stub: %u workers are not known to have ended after "
                    "a wait of up to %d ms and may still use guest RAM",
                    vgpu_core_workers(s->core), ms);
    }
}

void vgpu_queues_init(VgpuStub *s)
{
    uint32_t i;

    if (vgpu_compat_domid() >= 0) {
        s->late = qemu_bh_new(vgpu_queue_pay, s);
    }
    s->queue = g_new0(VgpuQueue, s->queues + 1);
    for (i = 0; i <= s->queues; i++) {
        s->queue[i].s = s;
        s->queue[i].id = i < s->queues ? i : VGPU_QUEUE_REGISTERS;
        s->queue[i].lifeline = -1;
    }
    s->vector = g_new0(VgpuVector, s->nvectors);
    for (i = 0; i < s->nvectors; i++) {
        s->vector[i].virq = -1;
        msix_vector_use(PCI_DEVICE(s), i);
    }
    msix_set_vector_notifiers(PCI_DEVICE(s), vgpu_vector_unmask,
                              vgpu_vector_mask, vgpu_vector_poll);
}

void vgpu_queues_exit(VgpuStub *s)
{
    uint32_t i;

    msix_unset_vector_notifiers(PCI_DEVICE(s));
    for (i = 0; i < s->nvectors; i++) {
        if (s->vector[i].virq >= 0) {
            kvm_irqchip_release_virq(kvm_state, s->vector[i].virq);
        }
        msix_vector_unuse(PCI_DEVICE(s), i);
    }
    if (s->late) {
        qemu_bh_delete(s->late);
    }
    g_free(s->vector);
    g_free(s->queue);
    s->late = NULL;
    s->rung = NULL;
    s->owed = NULL;
    s->vector = NULL;
    s->queue = NULL;
}
