/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pieces of guest RAM another process can map.
 *
 * QEMU rebuilds its view of memory about a hundred times while a guest boots;
 * the core is told only when the shareable part really changed.
 */
#include "qemu/osdep.h"
#include "vgpu-stub.h"
#include "trace.h"

static bool vgpu_ordinary_ram(const MemoryRegionSection *section)
{
    MemoryRegion *mr = section->mr;

    return memory_region_is_ram(mr) && !memory_region_is_rom(mr) &&
           !memory_region_is_ram_device(mr) && !section->readonly &&
           !(section->offset_within_address_space % VGPU_PAGE) &&
           !(int128_get64(section->size) % VGPU_PAGE);
}

/*
 * Under Xen guest RAM has no fd: the worker maps it by domain and frame number,
 * which the guest-physical address is.
 */
static bool vgpu_describe(const MemoryRegionSection *section,
                          struct vgpu_core_region *r)
{
    MemoryRegion *mr = section->mr;
    int domid = vgpu_compat_domid();

    memset(r, 0, sizeof(*r));       /* tables are compared byte by byte */
    if (!vgpu_ordinary_ram(section)) {
        return false;
    }
    r->guest_addr = section->offset_within_address_space;
    r->size = int128_get64(section->size);
    r->fd = -1;
    if (domid >= 0) {
        r->by_domain = true;
        r->domid = domid;
        return true;
    }
    r->offset = section->offset_within_region + vgpu_compat_ram_offset(mr);
    r->fd = memory_region_get_fd(mr);
    /* Private pages behind an fd would be copies in another process. */
    return r->fd >= 0 && qemu_ram_is_shared(mr->ram_block);
}

/* ----------------------------------------------------------- changed pages */

#define CHANGED_MS 100      /* the daemon hears of them at most so often */

static QLIST_HEAD(, VgpuStub) by_domain = QLIST_HEAD_INITIALIZER(by_domain);

static void vgpu_tell_changed(void *opaque)
{
    VgpuStub *s = opaque;

    vgpu_enter(s);
    vgpu_core_memory_changed(s->core);
    vgpu_leave(s);
}

static void vgpu_ram_changed(void)
{
    VgpuStub *s;

    QLIST_FOREACH(s, &by_domain, by_domain) {
        if (!timer_pending(s->changed)) {
            timer_mod(s->changed,
                      qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + CHANGED_MS);
        }
    }
}

static void vgpu_watch_changes(VgpuStub *s)
{
    if (vgpu_compat_domid() < 0 || !&vgpu_stub_ram_changed) {
        return;
    }
    s->changed = timer_new_ms(QEMU_CLOCK_REALTIME, vgpu_tell_changed, s);
    QLIST_INSERT_HEAD(&by_domain, s, by_domain);
    vgpu_stub_ram_changed = vgpu_ram_changed;
}

static void vgpu_unwatch_changes(VgpuStub *s)
{
    if (!s->changed) {
        return;
    }
    QLIST_REMOVE(s, by_domain);
    timer_del(s->changed);
    timer_free(s->changed);
    s->changed = NULL;
}

/* ---------------------------------------------------------------- listener */

static void vgpu_memory_begin(MemoryListener *listener)
{
    VgpuStub *s = container_of(listener, VgpuStub, listener);

    g_array_set_size(s->gather, 0);
    g_ptr_array_set_size(s->gather_mr, 0);
}

static void vgpu_memory_add(MemoryListener *listener,
                            MemoryRegionSection *section)
{
    VgpuStub *s = container_of(listener, VgpuStub, listener);
    struct vgpu_core_region r;

    if (!vgpu_describe(section, &r)) {
        return;
    }
    g_array_append_val(s->gather, r);
    memory_region_ref(section->mr);
    g_ptr_array_add(s->gather_mr, section->mr);
}

/*
 * A balloon or virtio-mem would punch holes into RAM that the daemon and the
 * GPU still use, with the old pages or with none.  So nothing is handed out
 * while others may do that.
 */
static void vgpu_memory_forbid_discards(VgpuStub *s)
{
    if (!s->gather->len || s->no_discards) {
        return;
    }
    if (!vgpu_compat_forbid_discards(true)) {
        s->no_discards = true;
        s->discards_needed = false;
        return;
    }
    if (!s->discards_needed && !s->realizing) {
        warn_report("vgpu-stub: RAM that was plugged in is not shared, because "
                    "another device discards guest RAM; remove virtio-mem");
    }
    s->discards_needed = true;
    g_array_set_size(s->gather, 0);
    g_ptr_array_set_size(s->gather_mr, 0);
}

/* The regions stay referenced, so that their fds live as long as the table. */
static void vgpu_memory_commit(MemoryListener *listener)
{
    VgpuStub *s = container_of(listener, VgpuStub, listener);
    GArray *table = s->table;
    GPtrArray *mrs = s->table_mr;

    vgpu_memory_forbid_discards(s);
    if (s->gather->len == table->len &&
        (!table->len ||
         !memcmp(s->gather->data, table->data,
                 table->len * sizeof(struct vgpu_core_region)))) {
        return;
    }
    s->table = s->gather;
    s->table_mr = s->gather_mr;
    trace_vgpu_stub_memory(vgpu_id(s), s->table->len);
    vgpu_enter(s);
    vgpu_core_set_memory(s->core, (struct vgpu_core_region *)s->table->data,
                         s->table->len);
    vgpu_leave(s);
    s->gather = table;
    s->gather_mr = mrs;
    g_array_set_size(table, 0);
    g_ptr_array_set_size(mrs, 0);
}

static void vgpu_mr_unref(gpointer mr)
{
    memory_region_unref(mr);
}

bool vgpu_memory_init(VgpuStub *s, Error **errp)
{
    s->gather = g_array_new(false, false, sizeof(struct vgpu_core_region));
    s->table = g_array_new(false, false, sizeof(struct vgpu_core_region));
    s->gather_mr = g_ptr_array_new_with_free_func(vgpu_mr_unref);
    s->table_mr = g_ptr_array_new_with_free_func(vgpu_mr_unref);
    s->listener = (MemoryListener) {
        VGPU_LISTENER_NAME
        .begin = vgpu_memory_begin,
        .region_add = vgpu_memory_add,
        .region_nop = vgpu_memory_add,
        .commit = vgpu_memory_commit,
    };
    s->realizing = true;
    memory_listener_register(&s->listener, &address_space_memory);
    s->realizing = false;
    if (s->discards_needed) {
        error_setg(errp, "vgpu-stub: another device discards guest RAM, which "
                   "the GPU would go on using; remove virtio-mem, or start "
                   "QEMU without share=on for RAM (then only commands by "
                   "registers work)");
        vgpu_memory_exit(s);
        return false;
    }
    vgpu_watch_changes(s);
    if (!s->table->len) {
        warn_report("vgpu-stub: guest RAM cannot be shared, so only commands "
                    "by registers will work; for queues start QEMU with "
                    "-object memory-backend-memfd,id=ram,size=SIZE,share=on "
                    "-machine memory-backend=ram");
    }
    return true;
}

void vgpu_memory_exit(VgpuStub *s)
{
    vgpu_unwatch_changes(s);
    memory_listener_unregister(&s->listener);
    g_array_free(s->gather, true);
    g_array_free(s->table, true);
    g_ptr_array_free(s->gather_mr, true);
    g_ptr_array_free(s->table_mr, true);
    if (s->no_discards) {
        vgpu_compat_forbid_discards(false);
        s->no_discards = false;
    }
}
