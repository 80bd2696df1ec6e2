/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of session.h's implementation know of each other. */
#ifndef VGPU_DAEMON_SESSION_PRIV_H
#define VGPU_DAEMON_SESSION_PRIV_H

#include "session.h"

/* An empty one, known to nobody. */
struct session *session_new(struct daemon *d, uint64_t id);

/* It has a process now: makes it known and waits for its end. */
void session_watch(struct session *s);

/* Maps the session page by a read-only descriptor, which is the session's on success. */
bool session_take_page(struct session *s, int fd);

/* The memory table to the worker, now.  0 or a negative errno. */
int session_send_memory(const struct session *s);

#endif /* VGPU_DAEMON_SESSION_PRIV_H */
