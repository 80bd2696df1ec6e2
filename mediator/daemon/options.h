/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's command line. */
#ifndef VGPU_DAEMON_OPTIONS_H
#define VGPU_DAEMON_OPTIONS_H

#include <glib.h>
#include <stdbool.h>

struct options {
	char *config; /* NULL: the default file, if there is one */
	int fd;       /* -1: none */
	gboolean foreground;
	gboolean print_capabilities;
	gboolean check_config;
	gboolean version;
	GKeyFile *overrides; /* what goes before the configuration file */
};

/* False with `err` set.  Free with options_free() in either case. */
bool options_parse(struct options *o, int argc, char **argv, GError **err);
void options_free(struct options *o);

#endif /* VGPU_DAEMON_OPTIONS_H */
