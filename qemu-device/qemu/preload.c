/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For LD_PRELOAD: loads the device into a process, if that process is a QEMU.
 *
 * It uses no symbol of QEMU, so that any other program which inherits the
 * variable starts as if it were not there.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE "vgpu-stub.so"

/* A system emulator exports these to its modules; nothing else has them. */
static int is_qemu(void)
{
    return dlsym(RTLD_DEFAULT, "object_type_get_instance_size") &&
           dlsym(RTLD_DEFAULT, "register_module_init");
}

/* The device lies beside this shim. */
static int device_path(char *path, size_t size)
{
    Dl_info info;
    char *slash;

    if (!dladdr((void *)device_path, &info) || !info.dli_fname ||
        strlen(info.dli_fname) + sizeof(DEVICE) > size) {
        return 0;
    }
    strcpy(path, info.dli_fname);
    slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, DEVICE);
    return 1;
}

static void __attribute__((constructor)) load_device(void)
{
    char path[4096];
    void (*bring_in)(void);
    void *handle;

    if (!is_qemu() || !device_path(path, sizeof(path))) {
        return;
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "vgpu-stub: %s\n", dlerror());
        exit(1);
    }
    *(void **)&bring_in = dlsym(handle, "vgpu_stub_preload");
    if (!bring_in) {
        fprintf(stderr, "vgpu-stub: %s is not the device\n", path);
        exit(1);
    }
    bring_in();
}
