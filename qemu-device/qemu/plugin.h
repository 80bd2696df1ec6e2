/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the shared object shows to the outside: QEMU's plugin interface, and
 * the entry for the preload shim.  Written out here because QEMU's header for
 * plugins is not installed everywhere.
 */
#ifndef VGPU_STUB_PLUGIN_H
#define VGPU_STUB_PLUGIN_H

#pragma GCC visibility push(default)

#ifndef VGPU_PLUGIN_DECLARED
typedef struct qemu_info_t qemu_info_t;

extern int qemu_plugin_version;
int qemu_plugin_install(uint64_t id, const qemu_info_t *info, int argc,
                        char **argv);
#endif

/* To be called before main(). */
void vgpu_stub_preload(void);

#pragma GCC visibility pop

#endif /* VGPU_STUB_PLUGIN_H */
