/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Being called by gpu_mediator.
 *
 * A sandbox (-chroot, another user, another network) closes behind the devices
 * once they are made: then the daemon's path leads nowhere, and a daemon that
 * was restarted could not be reached again.  So we wait at a socket of our own,
 * made while there is still a way, in a directory where a daemon that begins
 * looks for such ones.
 */
#include "qemu/osdep.h"
#include "vgpu-stub.h"

#include <sys/socket.h>
#include <sys/un.h>

static void vgpu_called(void *opaque)
{
    VgpuStub *s = opaque;
    int fd = accept4(s->calls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        vgpu_socket_take(s, fd);
    }
}

/* The domain's number is believed: only the daemon's user makes places. */
static char *vgpu_call_place(VgpuStub *s)
{
    static unsigned count;
    int domid = vgpu_compat_domid();
    g_autofree char *who = domid >= 0 ? g_strdup_printf(VGPU_CALL_XEN, domid)
                                      : g_strdup("vm-");

    return g_strdup_printf("%s" VGPU_CALL_DIR "/%s%d-%u", s->socket_path, who,
                           (int)getpid(), count++);
}

static bool vgpu_call_listen(int fd, const char *place)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    if (strlen(place) >= sizeof(addr.sun_path)) {
        return false;
    }
    pstrcpy(addr.sun_path, sizeof(addr.sun_path), place);
    unlink(place);      /* left by a process that had our number */
    return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
           listen(fd, 1) == 0;
}

/* Who may not make it there is no worse off than without. */
void vgpu_call_init(VgpuStub *s)
{
    int fd;

    s->calls = -1;
    if (!s->socket_path) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    s->call_place = vgpu_call_place(s);
    if (!vgpu_call_listen(fd, s->call_place)) {
        close(fd);
        g_free(s->call_place);
        s->call_place = NULL;
        return;
    }
    s->calls = fd;
    qemu_set_fd_handler(fd, vgpu_called, NULL, s);
}

void vgpu_call_exit(VgpuStub *s)
{
    if (s->calls < 0) {
        return;
    }
    qemu_set_fd_handler(s->calls, NULL, NULL, NULL);
    close(s->calls);
    s->calls = -1;
    unlink(s->call_place);  /* in a sandbox that is the daemon's to do */
    g_free(s->call_place);
    s->call_place = NULL;
}
