/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Brings the device into a QEMU that was built without it: by -plugin, or by
 * the preload shim.
 *
 * QEMU promises nothing about its inner structures, and changes them even
 * within a stable series, so the very version must match, and as a second look
 * the sizes of the types that the device builds on.
 */
#include "qemu/osdep.h"
#include "vgpu-stub.h"
#include "plugin.h"
#include "trace/control.h"

/* Generated from trace-events; its registration function is static. */
#include "vgpu-trace.c"

int qemu_plugin_version = VGPU_PLUGIN_API;

#ifndef VGPU_BUILT_FOR_MICRO    /* a test builds for another one */
#define VGPU_BUILT_FOR_MICRO QEMU_VERSION_MICRO
#endif

/* The shim comes so early that QEMU's own reporting is not set up yet. */
static void G_GNUC_PRINTF(1, 2) vgpu_complain(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "vgpu-stub: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static bool vgpu_version_fits(void)
{
    g_autoptr(VersionInfo) v = qmp_query_version(NULL);

    if (v->qemu->major == QEMU_VERSION_MAJOR &&
        v->qemu->minor == QEMU_VERSION_MINOR &&
        v->qemu->micro == VGPU_BUILT_FOR_MICRO) {
        return true;
    }
    vgpu_complain("built for QEMU %d.%d.%d, but this is %" PRId64 ".%" PRId64
                  ".%" PRId64 "; build it again for this version",
                  QEMU_VERSION_MAJOR, QEMU_VERSION_MINOR, VGPU_BUILT_FOR_MICRO,
                  v->qemu->major, v->qemu->minor, v->qemu->micro);
    return false;
}

static bool vgpu_sizes_fit(void)
{
    static const struct {
        const char *type;
        size_t size;
    } types[] = {
        { TYPE_OBJECT, sizeof(Object) },
        { TYPE_DEVICE, sizeof(DeviceState) },
        { TYPE_PCI_DEVICE, sizeof(PCIDevice) },
        { TYPE_MEMORY_REGION, sizeof(MemoryRegion) },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(types); i++) {
        size_t size = vgpu_compat_instance_size(types[i].type);

        if (size != types[i].size) {
            vgpu_complain("built for another layout of this QEMU (%s has %zu "
                          "bytes, not %zu); build it again from the source of "
                          "this very package", types[i].type, size,
                          types[i].size);
            return false;
        }
    }
    return true;
}

static bool vgpu_bring_in(void)
{
    if (!vgpu_version_fits() || !vgpu_sizes_fit()) {
        return false;
    }
    vgpu_stub_register_type();
    return true;
}

/* -plugin file=vgpu-stub.so[,trace=on] */
int qemu_plugin_install(uint64_t id, const qemu_info_t *info, int argc,
                        char **argv)
{
    TraceEventIter iter;
    TraceEvent *ev;
    int i;

    if (!vgpu_bring_in()) {
        return -1;      /* QEMU ends with a message of its own */
    }
    trace_hw_misc_vgpu_stub_register_events();
    for (i = 0; i < argc; i++) {
        if (strcmp(argv[i], "trace=on")) {
            vgpu_complain("unknown plugin option %s; there is only trace=on",
                          argv[i]);
            return -1;
        }
        trace_event_iter_init_pattern(&iter, "vgpu_stub_*");
        while ((ev = trace_event_iter_next(&iter))) {
            trace_event_set_state_dynamic(ev, true);
        }
        vgpu_compat_log_traces();
    }
    return 0;
}

static void vgpu_bring_in_or_exit(void)
{
    if (!vgpu_bring_in()) {
        exit(1);
    }
}

/* Called by the shim before main(): the types we build on come first. */
void vgpu_stub_preload(void)
{
    register_module_init(vgpu_bring_in_or_exit, VGPU_MODULE_INIT_LATE);
}
