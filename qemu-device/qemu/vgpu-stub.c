/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vgpu-stub PCI device in QEMU.
 *
 * This is a shell around the device core: QEMU's events become calls of the
 * core, the core's wishes become calls of QEMU.  Everything runs under the big
 * lock, in the main loop or in a vCPU's exit.
 */
#include "qemu/osdep.h"
#include "vgpu-stub.h"
#include "trace.h"

#include <sys/mman.h>

/* How long a reset or an unplug waits for workers to let go of guest RAM. */
#define WORKERS_WAIT_MS 1000

void vgpu_hold(VgpuStub *s)
{
    s->depth++;
}

/* Still held, so that a message to our own BARs finds the door closed. */
static void vgpu_send_interrupts(VgpuStub *s)
{
    PCIDevice *pci = PCI_DEVICE(s);
    unsigned v;

    while ((v = find_first_bit(s->raised, VGPU_CORE_VECTORS_MAX)) <
           VGPU_CORE_VECTORS_MAX) {
        clear_bit(v, s->raised);
        if (msix_enabled(pci)) {
            msix_notify(pci, v);
        }
    }
}

void vgpu_release(VgpuStub *s)
{
    if (s->depth == 1) {
        vgpu_send_interrupts(s);
    }
    s->depth--;
}

void vgpu_enter(VgpuStub *s)
{
    vgpu_hold(s);
    vgpu_core_time(s->core, qemu_clock_get_ms(QEMU_CLOCK_REALTIME));
}

void vgpu_leave(VgpuStub *s)
{
    int64_t deadline = vgpu_core_deadline(s->core);

    if (deadline == INT64_MAX) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, deadline);
    }
    vgpu_release(s);
}

static void vgpu_timer(void *opaque)
{
    VgpuStub *s = opaque;

    vgpu_enter(s);
    vgpu_core_tick(s->core);
    vgpu_leave(s);
}

/* ------------------------------------------------------------------ BARs */

/*
 * The guest may aim an MSI-X vector at our own BARs, and an access that began
 * before an unplug may arrive after it.
 */
static bool vgpu_may_enter(VgpuStub *s)
{
    if (s->core && s->depth) {
        qemu_log_mask(LOG_GUEST_ERROR, "vgpu-stub %s: the device's own "
                      "interrupt reaches its BARs; ignored\n", vgpu_id(s));
    }
    return s->core && !s->depth;
}

static uint64_t vgpu_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    VgpuStub *s = opaque;
    uint32_t value;

    if (!vgpu_may_enter(s)) {
        return 0;
    }
    vgpu_enter(s);
    value = vgpu_core_read(s->core, addr, size);
    vgpu_leave(s);
    trace_vgpu_stub_read(vgpu_id(s), addr, size, value);
    return value;
}

static void vgpu_regs_write(void *opaque, hwaddr addr, uint64_t value,
                            unsigned size)
{
    VgpuStub *s = opaque;

    trace_vgpu_stub_write(vgpu_id(s), addr, size, value);
    if (!vgpu_may_enter(s)) {
        return;
    }
    s->rung = NULL;
    vgpu_hold(s);
    vgpu_enter(s);
    vgpu_core_write(s->core, addr, value, size);
    vgpu_leave(s);
    vgpu_queue_linger(s);
    vgpu_release(s);
}

static uint64_t vgpu_doorbell_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

/* What no ioeventfd took: all without KVM; with it, other sizes and writers. */
static void vgpu_doorbell_write(void *opaque, hwaddr addr, uint64_t value,
                                unsigned size)
{
    VgpuStub *s = opaque;

    trace_vgpu_stub_doorbell_slow(vgpu_id(s), addr / VGPU_DOORBELL_STRIDE);
    if (!vgpu_may_enter(s)) {
        return;
    }
    s->rung = NULL;
    vgpu_hold(s);   /* no more: the core's clock and deadline are not touched */
    s->answer_first = value != VGPU_DOORBELL_SLEEPS;
    vgpu_core_doorbell(s->core, addr / VGPU_DOORBELL_STRIDE);
    s->answer_first = false;
    if (value == VGPU_DOORBELL_SLEEPS) {
        vgpu_queue_linger(s);
    }
    vgpu_release(s);
}

/* All sizes reach the core, which refuses most: QEMU must not split them. */
static const MemoryRegionOps vgpu_regs_ops = {
    .read = vgpu_regs_read,
    .write = vgpu_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static const MemoryRegionOps vgpu_doorbell_ops = {
    .read = vgpu_doorbell_read,
    .write = vgpu_doorbell_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 8 },
};

/* ------------------------------------------------------- the core's wishes */

static void vgpu_op_raise(void *opaque, uint32_t vector)
{
    VgpuStub *s = opaque;

    trace_vgpu_stub_raise(vgpu_id(s), vector);
    set_bit(vector, s->raised);
}

/*
 * Writing is ended, reading is not: the worker sees the end of the stream, and
 * we still see when it is gone.
 */
static void vgpu_op_shutdown_lifeline(void *opaque, int fd)
{
    shutdown(fd, SHUT_WR);
}

static void *vgpu_op_map(void *opaque, int fd, size_t length)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    void *mem;

    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) ||
        st.st_size < 0 || (uint64_t)st.st_size < length) {
        return NULL;
    }
    mem = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return mem == MAP_FAILED ? NULL : mem;
}

static void vgpu_op_unmap(void *opaque, void *mem, size_t length)
{
    munmap(mem, length);
}

static void vgpu_op_close_fd(void *opaque, int fd)
{
    close(fd);
}

static void vgpu_op_log(void *opaque, enum vgpu_log_level level,
                        const char *text)
{
    DeviceState *dev = DEVICE(opaque);
    const char *space = dev->id ? " " : "";
    const char *id = dev->id ? dev->id : "";

    switch (level) {
    case VGPU_LOG_GUEST:
        qemu_log_mask(LOG_GUEST_ERROR, "vgpu-stub%s%s: %s\n", space, id, text);
        break;
    case VGPU_LOG_ERROR:
        error_report("vgpu-stub%s%s: %s", space, id, text);
        break;
    case VGPU_LOG_WARNING:
        warn_report("vgpu-stub%s%s: %s", space, id, text);
        break;
    case VGPU_LOG_INFO:
        info_report("vgpu-stub%s%s: %s", space, id, text);
        break;
    }
}

static const struct vgpu_core_ops vgpu_ops = {
    .connect = vgpu_socket_connect,
    .disconnect = vgpu_socket_disconnect,
    .send = vgpu_socket_send,
    .make_queue_fds = vgpu_queue_make_fds,
    .queue_up = vgpu_queue_up,
    .queue_down = vgpu_queue_down,
    .kick = vgpu_queue_kick,
    .raise = vgpu_op_raise,
    .watch_lifeline = vgpu_queue_watch_lifeline,
    .unwatch_lifeline = vgpu_queue_unwatch_lifeline,
    .shutdown_lifeline = vgpu_op_shutdown_lifeline,
    .map = vgpu_op_map,
    .unmap = vgpu_op_unmap,
    .close_fd = vgpu_op_close_fd,
    .log = vgpu_op_log,
};

/* ------------------------------------------------------------- life cycle */

static bool vgpu_make_core(VgpuStub *s, Error **errp)
{
    struct vgpu_core_config config = {
        .queues = s->queues, .by_domain = vgpu_compat_domid() >= 0,
    };
    const char *name = qemu_get_vm_name();
    g_autofree char *fallback = g_strdup_printf("qemu-%d", (int)getpid());
    QemuUUID uuid;

    qemu_uuid_generate(&uuid);
    memcpy(config.uuid, uuid.data, sizeof(config.uuid));
    config.name = name ? name : fallback;
    s->core = vgpu_core_new(&config, &vgpu_ops, s);
    if (!s->core) {
        error_setg(errp, "vgpu-stub: out of memory");
    }
    return s->core != NULL;
}

static bool vgpu_check_properties(VgpuStub *s, Error **errp)
{
    if (s->queues < 1 || s->queues > VGPU_QUEUES_MAX) {
        error_setg(errp, "vgpu-stub: queues=%u is out of range; use 1 to %u",
                   s->queues, VGPU_QUEUES_MAX);
        return false;
    }
    return vgpu_socket_check(s, errp);
}

static bool vgpu_init_pci(VgpuStub *s, Error **errp)
{
    PCIDevice *pci = PCI_DEVICE(s);
    uint64_t size = pow2ceil((uint64_t)s->queues * VGPU_DOORBELL_STRIDE);

    s->nvectors = vgpu_core_vectors(s->queues);
    memory_region_init_io(&s->regs, OBJECT(s), &vgpu_regs_ops, s,
                          "vgpu-stub-registers", VGPU_BAR_REGS_SIZE);
    memory_region_init_io(&s->doorbells, OBJECT(s), &vgpu_doorbell_ops, s,
                          "vgpu-stub-doorbells", size);
    pci_register_bar(pci, VGPU_BAR_REGS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->regs);
    pci_register_bar(pci, VGPU_BAR_DOORBELLS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->doorbells);
    return msix_init_exclusive_bar(pci, s->nvectors, VGPU_BAR_MSIX, errp) == 0;
}

static bool vgpu_block_migration(VgpuStub *s, Error **errp)
{
    error_setg(&s->migration_blocker,
               "vgpu-stub: sessions on the host's GPU cannot be saved or "
               "migrated yet; unplug the device first");
    if (vgpu_compat_block_migration(&s->migration_blocker, errp) < 0) {
        error_free(s->migration_blocker);
        s->migration_blocker = NULL;
        return false;
    }
    return true;
}

/* What both a failed start and the end of the device take back. */
static void vgpu_undo(VgpuStub *s)
{
    vgpu_queues_exit(s);
    timer_del(s->timer);    /* before 6.0 freeing does not do it */
    timer_free(s->timer);
    s->timer = NULL;
    msix_uninit_exclusive_bar(PCI_DEVICE(s));
    vgpu_compat_unblock_migration(&s->migration_blocker);
}

static void vgpu_realize(PCIDevice *pci, Error **errp)
{
    VgpuStub *s = VGPU_STUB(pci);

    if (!vgpu_check_properties(s, errp) || !vgpu_block_migration(s, errp)) {
        return;
    }
    if (!vgpu_init_pci(s, errp)) {
        vgpu_compat_unblock_migration(&s->migration_blocker);
        return;
    }
    if (!vgpu_make_core(s, errp)) {
        msix_uninit_exclusive_bar(pci);
        vgpu_compat_unblock_migration(&s->migration_blocker);
        return;
    }
    s->timer = timer_new_ms(QEMU_CLOCK_REALTIME, vgpu_timer, s);
    vgpu_queues_init(s);
    if (!vgpu_memory_init(s, errp)) {
        vgpu_core_free(s->core);
        s->core = NULL;
        vgpu_undo(s);
        return;
    }
    vgpu_socket_init(s);
    vgpu_call_init(s);
    vgpu_enter(s);
    vgpu_core_start(s->core);
    vgpu_leave(s);
}

/* The guest's RAM is about to have other users: wait for the workers. */
static void vgpu_stop_all(VgpuStub *s)
{
    vgpu_hold(s);
    vgpu_enter(s);
    vgpu_core_reset(s->core);
    vgpu_leave(s);
    vgpu_queues_wait(s, WORKERS_WAIT_MS);
    vgpu_release(s);
}

static void vgpu_exit(PCIDevice *pci)
{
    VgpuStub *s = VGPU_STUB(pci);

    s->depth++;                 /* and no release: no more interrupts */
    vgpu_stop_all(s);
    vgpu_memory_exit(s);        /* tells the core once more: nothing is left */
    vgpu_core_free(s->core);
    s->core = NULL;
    vgpu_call_exit(s);
    vgpu_socket_exit(s);
    vgpu_undo(s);
    bitmap_zero(s->raised, VGPU_CORE_VECTORS_MAX);
    s->depth--;
}

static void vgpu_reset(DeviceState *dev)
{
    VgpuStub *s = VGPU_STUB(dev);

    trace_vgpu_stub_reset(vgpu_id(s));
    vgpu_stop_all(s);
}

/* Xen's way to save a guest asks no migration blocker; this it does ask. */
static int vgpu_refuse_save(void *opaque)
{
    VgpuStub *s = opaque;

    error_report("%s", error_get_pretty(s->migration_blocker));
    return -EBUSY;
}

static const VMStateDescription vgpu_vmstate = {
    .name = TYPE_VGPU_STUB,
    .pre_save = vgpu_refuse_save,
    .fields = (VMStateField[]) { VMSTATE_END_OF_LIST() },
};

VGPU_PROPERTIES(vgpu_properties,
    DEFINE_PROP_STRING("socket", VgpuStub, socket_path),
    DEFINE_PROP_CHR("chardev", VgpuStub, chr),
    DEFINE_PROP_UINT32("queues", VgpuStub, queues, 32));

static void vgpu_class_init(ObjectClass *klass, VGPU_CLASS_DATA *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = vgpu_realize;
    k->exit = vgpu_exit;
    k->vendor_id = VGPU_PCI_VENDOR_ID;
    k->device_id = VGPU_PCI_DEVICE_ID;
    k->revision = VGPU_PCI_REVISION;
    k->class_id = VGPU_PCI_CLASS;
    dc->vmsd = &vgpu_vmstate;
    dc->desc = "A share of a GPU of the host, through gpu_mediator";
    device_class_set_legacy_reset(dc, vgpu_reset);
    device_class_set_props(dc, vgpu_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void vgpu_instance_init(Object *obj)
{
    VGPU_STUB(obj)->fd = -1;
}

static VGPU_INTERFACES vgpu_interfaces[] = {
    { INTERFACE_CONVENTIONAL_PCI_DEVICE },
    { }
};

static const TypeInfo vgpu_type = {
    .name = TYPE_VGPU_STUB,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(VgpuStub),
    .instance_init = vgpu_instance_init,
    .class_init = vgpu_class_init,
    .interfaces = vgpu_interfaces,
};

void vgpu_stub_register_type(void)
{
    type_register_static(&vgpu_type);
}

#ifndef VGPU_STUB_PLUGIN
type_init(vgpu_stub_register_type)
#endif
