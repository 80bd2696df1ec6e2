/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check: what gpu_mediator --check-config does, by the same code. */
#include "check.h"

#include <stdio.h>

#include "ctl.h"

int ctl_check(struct ctl *c)
{
	const char *path = c->config;

	if (!path && g_file_test(VGPU_CONFIG_FILE, G_FILE_TEST_EXISTS))
		path = VGPU_CONFIG_FILE;
	return check_config(path, NULL);
}
