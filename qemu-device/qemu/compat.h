/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between QEMU 4.2 and 11, and nowhere else.
 *
 * The sources of the shell are written for QEMU 7.2; each piece below says for
 * which releases it stands in.  Include after "qemu/osdep.h", before the rest.
 */
#ifndef VGPU_STUB_COMPAT_H
#define VGPU_STUB_COMPAT_H

#define VGPU_QEMU_AT_LEAST(major, minor)                                     \
    (QEMU_VERSION_MAJOR > (major) ||                                         \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/uuid.h"
#include "chardev/char-fe.h"
#include "migration/blocker.h"
#include "migration/vmstate.h"

/* 8.0 split the header of PCI devices off. */
#if VGPU_QEMU_AT_LEAST(8, 0)
#include "hw/pci/pci_device.h"
#else
#include "hw/pci/pci.h"
#endif
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"

/* 6.0 moved the properties of the system emulator, 11 moved qdev. */
#if VGPU_QEMU_AT_LEAST(11, 0)
#include "hw/core/qdev-properties.h"
#include "hw/core/qdev-properties-system.h"
#else
#include "hw/qdev-properties.h"
#if VGPU_QEMU_AT_LEAST(6, 0)
#include "hw/qdev-properties-system.h"
#endif
#endif

/* 10.0 renamed sysemu/, 10.1 moved exec/memory.h there. */
#if VGPU_QEMU_AT_LEAST(10, 0)
#include "system/kvm.h"
#include "system/system.h"
#else
#include "sysemu/kvm.h"
#include "sysemu/sysemu.h"
#endif
#if VGPU_QEMU_AT_LEAST(10, 1)
#include "system/address-spaces.h"
#include "system/memory.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#if VGPU_QEMU_AT_LEAST(8, 1)
#include "exec/ramblock.h"
#endif
#endif

/* 7.1 has no qemu-common.h; before, the name of the VM is there. */
#if !VGPU_QEMU_AT_LEAST(7, 1)
#include "qemu-common.h"
#endif

/* 5.0: query-version has a file of its own. */
#if VGPU_QEMU_AT_LEAST(5, 0)
#include "qapi/qapi-commands-control.h"
#include "qapi/qapi-types-control.h"
#else
#include "qapi/qapi-commands-misc.h"
#include "qapi/qapi-types-misc.h"
#endif

/* 5.2: QAPI types clean up after themselves. */
#if !VGPU_QEMU_AT_LEAST(5, 2)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VersionInfo, qapi_free_VersionInfo)
#endif

/* 5.0: a stage after all built-in types exist; before, options come then. */
#if VGPU_QEMU_AT_LEAST(5, 0)
#define VGPU_MODULE_INIT_LATE MODULE_INIT_MIGRATION
#else
#define VGPU_MODULE_INIT_LATE MODULE_INIT_OPTS
#endif

/* Before 6.0 the plugin interface is in sight anyhow, with an untagged type. */
#if !VGPU_QEMU_AT_LEAST(6, 0)
#include "qemu/qemu-plugin.h"
#define VGPU_PLUGIN_DECLARED
#endif

/* 5.0 gave chardev events a type, 10.1 renamed the front end. */
#if VGPU_QEMU_AT_LEAST(5, 0)
typedef QEMUChrEvent VgpuChrEvent;
#else
typedef int VgpuChrEvent;
#endif
#if VGPU_QEMU_AT_LEAST(10, 1)
typedef CharFrontend VgpuChardev;
#else
typedef CharBackend VgpuChardev;
#endif

/* 9.0 gave RAM blocks an offset of their own in the file (8.1 had it first). */
static inline uint64_t vgpu_compat_ram_offset(MemoryRegion *mr)
{
#if VGPU_QEMU_AT_LEAST(8, 1)
    return mr->ram_block->fd_offset;
#else
    return 0;
#endif
}

/* 6.2 gave listeners a name. */
#if VGPU_QEMU_AT_LEAST(6, 2)
#define VGPU_LISTENER_NAME .name = "vgpu-stub",
#else
#define VGPU_LISTENER_NAME
#endif

/* 5.0: device_class_set_props(); 9.2: device_class_set_legacy_reset(). */
#if !VGPU_QEMU_AT_LEAST(5, 0)
#define device_class_set_props(dc, props_) ((dc)->props = (props_))
#endif
#if !VGPU_QEMU_AT_LEAST(9, 2)
#define device_class_set_legacy_reset(dc, fn) ((dc)->reset = (fn))
#endif

/* 10.0: properties are const and need no end; 10.1: class data is const too. */
#if VGPU_QEMU_AT_LEAST(10, 0)
#define VGPU_PROPERTIES(name, ...) \
    static const Property name[] = { __VA_ARGS__ }
#else
#define VGPU_PROPERTIES(name, ...) \
    static Property name[] = { __VA_ARGS__, DEFINE_PROP_END_OF_LIST() }
#endif
#if VGPU_QEMU_AT_LEAST(10, 1)
#define VGPU_CLASS_DATA const void
#else
#define VGPU_CLASS_DATA void
#endif
#if VGPU_QEMU_AT_LEAST(10, 1)
#define VGPU_INTERFACES const InterfaceInfo
#else
#define VGPU_INTERFACES InterfaceInfo
#endif

/* 8.2: the blocker is handed over by reference. */
static inline int vgpu_compat_block_migration(Error **reason, Error **errp)
{
#if VGPU_QEMU_AT_LEAST(8, 2)
    return migrate_add_blocker(reason, errp);
#else
    return migrate_add_blocker(*reason, errp);
#endif
}

static inline void vgpu_compat_unblock_migration(Error **reason)
{
#if VGPU_QEMU_AT_LEAST(8, 2)
    migrate_del_blocker(reason);
#else
    migrate_del_blocker(*reason);
    error_free(*reason);
    *reason = NULL;
#endif
}

/* 7.0: routes change in batches; 11: the batch belongs to the accelerator. */
static inline int vgpu_compat_add_msi_route(PCIDevice *dev, unsigned vector)
{
#if VGPU_QEMU_AT_LEAST(11, 0)
    AccelRouteChange c = kvm_irqchip_begin_route_changes(kvm_state);
#elif VGPU_QEMU_AT_LEAST(7, 0)
    KVMRouteChange c = kvm_irqchip_begin_route_changes(kvm_state);
#endif
    int virq;

#if VGPU_QEMU_AT_LEAST(7, 0)
    virq = kvm_irqchip_add_msi_route(&c, vector, dev);
    if (virq >= 0) {
        kvm_irqchip_commit_route_changes(&c);
    }
#else
    virq = kvm_irqchip_add_msi_route(kvm_state, vector, dev);
#endif
    return virq;
}

/* 6.1 has one iterator for each way to choose. */
#if !VGPU_QEMU_AT_LEAST(6, 1)
#define trace_event_iter_init_pattern(iter, pattern) \
    trace_event_iter_init(iter, pattern)
#endif

/*
 * 10.0 has lost object_type_get_instance_size().  What a type starts with has
 * stayed; should it change, the name is not where we look for it, and the size
 * is given as 0, which fits nothing.
 */
static inline size_t vgpu_compat_instance_size(const char *typename)
{
#if VGPU_QEMU_AT_LEAST(9, 0)
    const struct {
        const char *name;
        size_t class_size;
        size_t instance_size;
    } *type;
    ObjectClass *oc = object_class_by_name(typename);

    if (!oc) {
        return 0;
    }
    type = (const void *)oc->type;
    if (type->name == object_class_get_name(oc) &&
        !strcmp(type->name, typename)) {
        return type->instance_size;
    }
    return 0;
#else
    return object_type_get_instance_size(typename);
#endif
}

/* 7.1: qemu_set_log() reports errors. */
static inline void vgpu_compat_log_traces(void)
{
#if VGPU_QEMU_AT_LEAST(7, 1)
    qemu_set_log(qemu_loglevel | LOG_TRACE, NULL);
#else
    qemu_set_log(qemu_loglevel | LOG_TRACE);
#endif
}

/* 5.1: any device may forbid discards, and is told when another needs them. */
#if !VGPU_QEMU_AT_LEAST(5, 1)
#include "sysemu/balloon.h"
#endif
static inline int vgpu_compat_forbid_discards(bool forbid)
{
#if VGPU_QEMU_AT_LEAST(5, 1)
    return ram_block_discard_disable(forbid);
#else
    qemu_balloon_inhibit(forbid);
    return 0;
#endif
}

/*
 * The Xen domain whose memory QEMU emulates, or -1.  The device models for Xen
 * load no plugins.  5.2 and 10.0 moved the header.
 */
#ifndef VGPU_STUB_PLUGIN
#include "hw/xen/xen.h"
#if VGPU_QEMU_AT_LEAST(10, 0)
#include "system/xen.h"
#elif VGPU_QEMU_AT_LEAST(5, 2)
#include "sysemu/xen.h"
#endif
#endif
static inline int vgpu_compat_domid(void)
{
#ifndef VGPU_STUB_PLUGIN
    if (xen_enabled()) {
        return xen_domid;
    }
#endif
    return -1;
}

#endif /* VGPU_STUB_COMPAT_H */
