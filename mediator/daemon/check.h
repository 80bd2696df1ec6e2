/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --check-config. */
#ifndef VGPU_DAEMON_CHECK_H
#define VGPU_DAEMON_CHECK_H

#include <glib.h>

/*
 * Says on standard error all that is wrong with configuration and tenants, or
 * on standard output what would be in force.  The exit status.
 */
int check_config(const char *config_path, GKeyFile *overrides);

#endif /* VGPU_DAEMON_CHECK_H */
