/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exporter gives up what it does not need: it parses what strangers send. */
#ifndef VGPU_EXPORTER_CONFINE_H
#define VGPU_EXPORTER_CONFINE_H

#include <glib.h>
#include <stdbool.h>

/* Becomes this user (NULL: stays), for good.  False with `err` set. */
bool confine_user(const char *user, GError **err);

/*
 * No new privileges, few files, and of system calls those that serving takes,
 * in all threads: files can no longer be opened, programs not started.  False
 * with `err` set.
 */
bool confine(GError **err);

#endif /* VGPU_EXPORTER_CONFINE_H */
