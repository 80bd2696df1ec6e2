/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of vgpu-stub-xen. */
#ifndef VGPU_XEN_OPTIONS_H
#define VGPU_XEN_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct options {
	int domid;
	char *socket;
	int queues;
	int slot;
	int uid; /* 0: by the domain's number */
	int uid_base;
	int gid;
	char *socket_group;
	char *chroot;
	char *log_file;
	char *pid_file;
	gboolean daemon;
	gboolean verbose;
	gboolean version;
};

/* Parses and checks; what was not given has its default.  False with `err` set. */
bool options_parse(struct options *o, int argc, char **argv, GError **err);
void options_free(struct options *o);

#endif /* VGPU_XEN_OPTIONS_H */
