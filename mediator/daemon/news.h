/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What workers say: readiness, lines for the log, last words. */
#ifndef VGPU_DAEMON_NEWS_H
#define VGPU_DAEMON_NEWS_H

#include <stdbool.h>

#include "session.h"

/* Reads what the worker has sent.  False when its end is closed. */
bool news_drain(struct session *s);

#endif /* VGPU_DAEMON_NEWS_H */
