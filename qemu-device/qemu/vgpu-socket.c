/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to gpu_mediator: a Unix socket of our own, or a chardev.
 *
 * Nothing here waits.  What the socket has no room for is kept, up to a limit;
 * the core gives up a daemon that does not answer.
 */
#include "qemu/osdep.h"
#include "vgpu-stub.h"
#include "trace.h"

#include <sys/socket.h>
#include <sys/un.h>

#define OUT_MAX 1024        /* messages kept: then it does not read at all */
#define READS_AT_ONCE 64    /* of a daemon that never stops sending */

/*
 * More than a message may have (the core refuses them), and no more than a
 * chardev hands out.
 */
#define FDS_ROOM 16

typedef union {
    struct cmsghdr align;
    char room[CMSG_SPACE(FDS_ROOM * sizeof(int))];
} FdsControl;

static bool vgpu_has_chardev(VgpuStub *s)
{
    return qemu_chr_fe_backend_connected(&s->chr);
}

bool vgpu_socket_check(VgpuStub *s, Error **errp)
{
    if (s->socket_path && vgpu_has_chardev(s)) {
        error_setg(errp, "vgpu-stub: give socket= or chardev=, not both");
    } else if (!s->socket_path && !vgpu_has_chardev(s)) {
        error_setg(errp, "vgpu-stub: the way to gpu_mediator is missing; give "
                   "socket=PATH (its socket-path) or chardev=ID (a Unix "
                   "socket chardev)");
    } else if (s->socket_path && (!*s->socket_path ||
               strlen(s->socket_path) >=
               sizeof(((struct sockaddr_un *)0)->sun_path))) {
        error_setg(errp, "vgpu-stub: socket=%s is empty or too long for a Unix "
                   "socket; use a shorter path", s->socket_path);
    } else {
        return true;
    }
    return false;
}

/* ----------------------------------------------------------- our own socket */

static void vgpu_free_out(VgpuOut *m)
{
    size_t i;

    for (i = 0; i < m->nfds; i++) {
        close(m->fds[i]);
    }
    g_free(m);
}

static void vgpu_drop_out(VgpuStub *s)
{
    while (!QSIMPLEQ_EMPTY(&s->out)) {
        VgpuOut *m = QSIMPLEQ_FIRST(&s->out);

        QSIMPLEQ_REMOVE_HEAD(&s->out, next);
        vgpu_free_out(m);
    }
    s->nout = 0;
}

/* Bytes sent, or a negative errno; the descriptors go with the first byte. */
static ssize_t vgpu_sendmsg(int fd, const void *data, size_t length,
                            const int *fds, size_t nfds)
{
    FdsControl control = { };
    struct iovec iov = { (void *)data, length };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;
    ssize_t n;

    if (nfds) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
    }
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void vgpu_socket_readable(void *opaque);
static void vgpu_socket_writable(void *opaque);

static void vgpu_socket_watch(VgpuStub *s)
{
    qemu_set_fd_handler(s->fd, vgpu_socket_readable,
                        s->nout ? vgpu_socket_writable : NULL, s);
}

static int vgpu_keep(VgpuStub *s, const uint8_t *data, size_t length,
                     size_t done, const int *fds, size_t nfds)
{
    VgpuOut *m;
    size_t i;

    if (s->nout >= OUT_MAX || nfds > VGPU_MSG_FDS_MAX) {
        return -ENOBUFS;
    }
    m = g_malloc0(sizeof(*m) + length);
    memcpy(m->data, data, length);
    m->length = length;
    m->done = done;
    for (i = 0; !done && i < nfds; i++) {
        m->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (m->fds[i] < 0) {
            int err = -errno;

            vgpu_free_out(m);
            return err;
        }
        m->nfds++;
    }
    QSIMPLEQ_INSERT_TAIL(&s->out, m, next);
    s->nout++;
    vgpu_socket_watch(s);
    return 0;
}

static void vgpu_socket_writable(void *opaque)
{
    VgpuStub *s = opaque;

    while (s->nout) {
        VgpuOut *m = QSIMPLEQ_FIRST(&s->out);
        ssize_t n = vgpu_sendmsg(s->fd, m->data + m->done, m->length - m->done,
                                 m->fds, m->done ? 0 : m->nfds);

        if (n < 0) {
            break;      /* a dead socket shows on the reading side */
        }
        m->done += n;
        if (m->done < m->length) {
            break;
        }
        QSIMPLEQ_REMOVE_HEAD(&s->out, next);
        s->nout--;
        vgpu_free_out(m);
    }
    vgpu_socket_watch(s);
}

static int vgpu_socket_send_own(VgpuStub *s, const void *data, size_t length,
                                const int *fds, size_t nfds)
{
    ssize_t n;

    if (s->nout) {
        return vgpu_keep(s, data, length, 0, fds, nfds);
    }
    n = vgpu_sendmsg(s->fd, data, length, fds, nfds);
    if (n == (ssize_t)length) {
        return 0;
    }
    if (n < 0 && n != -EAGAIN) {
        return n;
    }
    return vgpu_keep(s, data, length, MAX(n, 0), fds, nfds);
}

static size_t vgpu_take_fds(struct msghdr *msg, int *fds)
{
    struct cmsghdr *cmsg;
    size_t n = 0;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
            n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(cmsg), n * sizeof(int));
        }
    }
    return n;
}

/* One read of what the core wants next; false: nothing more for now. */
static bool vgpu_socket_read(VgpuStub *s)
{
    uint8_t buf[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX];
    FdsControl control;
    int fds[FDS_ROOM];
    struct iovec iov = { buf, MIN(vgpu_core_want(s->core), sizeof(buf)) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    size_t nfds;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        vgpu_core_disconnected(s->core);
        return false;
    }
    nfds = vgpu_take_fds(&msg, fds);
    trace_vgpu_stub_receive(vgpu_id(s), n, nfds);
    vgpu_core_receive(s->core, buf, n, fds, nfds);
    return true;
}

static void vgpu_socket_readable(void *opaque)
{
    VgpuStub *s = opaque;
    int i;

    vgpu_enter(s);
    for (i = 0; i < READS_AT_ONCE && s->fd >= 0 && vgpu_socket_read(s); i++) {
        /* the core may close the socket at any message */
    }
    vgpu_leave(s);
}

int vgpu_socket_fd(VgpuStub *s, bool *writes)
{
    *writes = s->nout;
    return s->socket_path ? s->fd : -1;
}

void vgpu_socket_serve(VgpuStub *s)
{
    if (s->nout) {
        vgpu_socket_writable(s);
    }
    vgpu_socket_readable(s);
}

static int vgpu_socket_connect_own(VgpuStub *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0) {
        return -errno;
    }
    pstrcpy(addr.sun_path, sizeof(addr.sun_path), s->socket_path);
    /* A Unix socket connects at once or not at all. */
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        err = errno == EINPROGRESS ? -EAGAIN : -errno;
        close(fd);
        return err;
    }
    s->fd = fd;
    vgpu_socket_watch(s);
    return 0;
}

void vgpu_socket_take(VgpuStub *s, int fd)
{
    if (s->fd >= 0) {
        close(fd);
        return;
    }
    s->fd = fd;
    vgpu_socket_watch(s);
    vgpu_enter(s);
    vgpu_core_connected(s->core);
    vgpu_leave(s);
}

/* ------------------------------------------------------------------ chardev */

static int vgpu_chr_can_read(void *opaque)
{
    VgpuStub *s = opaque;

    return vgpu_core_want(s->core);
}

static void vgpu_chr_read(void *opaque, const uint8_t *buf, int size)
{
    VgpuStub *s = opaque;
    int fds[FDS_ROOM];
    int nfds = qemu_chr_fe_get_msgfds(&s->chr, fds, FDS_ROOM);

    nfds = MAX(nfds, 0);
    trace_vgpu_stub_receive(vgpu_id(s), size, nfds);
    vgpu_enter(s);
    vgpu_core_receive(s->core, buf, size, fds, nfds);
    vgpu_leave(s);
}

static void vgpu_chr_event(void *opaque, VgpuChrEvent event)
{
    VgpuStub *s = opaque;

    if (event == CHR_EVENT_OPENED) {
        s->chr_open = true;
    } else if (event == CHR_EVENT_CLOSED) {
        s->chr_open = false;
    } else {
        return;
    }
    if (s->depth) {
        return;     /* our own doing: the core knows */
    }
    vgpu_enter(s);
    if (s->chr_open) {
        vgpu_core_connected(s->core);
    } else {
        vgpu_core_disconnected(s->core);
    }
    vgpu_leave(s);
}

/*
 * To write all would wait for a daemon that does not read, and the VM with it.
 * A full socket breaks the link instead: it is far larger than what is sent to
 * a daemon that does read.
 */
static int vgpu_chr_send(VgpuStub *s, const void *data, size_t length,
                         const int *fds, size_t nfds)
{
    int n;

    if (nfds && qemu_chr_fe_set_msgfds(&s->chr, (int *)fds, nfds) < 0) {
        return -EOPNOTSUPP;
    }
    errno = 0;
    n = qemu_chr_fe_write(&s->chr, data, length);
    if (n == (int)length) {
        return 0;
    }
    if (nfds) {
        qemu_chr_fe_set_msgfds(&s->chr, NULL, 0);   /* not with a later one */
    }
    return n >= 0 || errno == EAGAIN ? -ENOBUFS : -EPIPE;
}

/* ------------------------------------------------------------- for the core */

int vgpu_socket_connect(void *opaque)
{
    VgpuStub *s = opaque;
    int ret;

    if (!s->socket_path) {
        ret = s->chr_open ? 0 : -EINPROGRESS;
    } else {
        ret = vgpu_socket_connect_own(s);
    }
    trace_vgpu_stub_connect(vgpu_id(s), ret);
    return ret;
}

void vgpu_socket_disconnect(void *opaque)
{
    VgpuStub *s = opaque;

    trace_vgpu_stub_disconnect(vgpu_id(s));
    if (!s->socket_path) {
        if (s->chr_open) {
            qemu_chr_fe_disconnect(&s->chr);
        }
        return;
    }
    if (s->fd >= 0) {
        qemu_set_fd_handler(s->fd, NULL, NULL, NULL);
        close(s->fd);
        s->fd = -1;
    }
    vgpu_drop_out(s);
}

int vgpu_socket_send(void *opaque, const void *data, size_t length,
                     const int *fds, size_t nfds)
{
    VgpuStub *s = opaque;

    trace_vgpu_stub_send(vgpu_id(s), ldl_le_p(data), length, nfds);
    if (!s->socket_path) {
        return vgpu_chr_send(s, data, length, fds, nfds);
    }
    return s->fd < 0 ? -ENOTCONN :
                       vgpu_socket_send_own(s, data, length, fds, nfds);
}

void vgpu_socket_init(VgpuStub *s)
{
    QSIMPLEQ_INIT(&s->out);
    s->fd = -1;
    if (!s->socket_path) {
        s->depth++;     /* an open chardev says so at once: the core asks */
        qemu_chr_fe_set_handlers(&s->chr, vgpu_chr_can_read, vgpu_chr_read,
                                 vgpu_chr_event, NULL, s, NULL, true);
        s->depth--;
    }
}

void vgpu_socket_exit(VgpuStub *s)
{
    if (!s->socket_path) {
        s->depth++;
        qemu_chr_fe_deinit(&s->chr, false);
        s->depth--;
    }
}
