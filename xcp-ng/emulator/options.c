/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of vgpu-stub-xen. */
#include "options.h"

#include <string.h>
#include <sys/un.h>

#include "confine.h"
#include "vgpu_abi.h"
#include "vgpu_socket.h"

#define SOCKET "/run/gpu_mediator/gpu_mediator.sock"
#define QUEUES 32
#define SLOT 30 /* far from where toolstacks put theirs */
#define UID_BASE 65535

static bool bad(GError **err, const char *text)
{
	g_set_error_literal(err, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
	return false;
}

static bool check_numbers(const struct options *o, GError **err)
{
	if (o->domid < 1 || o->domid >= (int)VGPU_XEN_DOMID_END)
		return bad(err, "--domid must be the number of a domain, and not that of dom0");
	if (o->queues < 1 || o->queues > (int)VGPU_QUEUES_MAX)
		return bad(err, "--queues must be 1 to 256");
	if (o->slot < 1 || o->slot > 31)
		return bad(err, "--slot must be 1 to 31");
	if (o->uid_base < 1 || o->uid < 0 || o->gid < 0)
		return bad(err, "--uid, --gid and --uid-base must be users other than root");
	return true;
}

static bool check_paths(const struct options *o, GError **err)
{
	char *inside = g_path_is_absolute(o->socket) && g_path_is_absolute(o->chroot)
			       ? confine_path(o->chroot, o->socket)
			       : NULL;
	bool fits = inside && strlen(inside) < sizeof(((struct sockaddr_un *)NULL)->sun_path);

	g_free(inside);
	return fits || bad(err, "--socket must be an absolute path beneath --chroot");
}

static void set_defaults(struct options *o)
{
	if (!o->socket)
		o->socket = g_strdup(SOCKET);
	if (!o->chroot)
		o->chroot = g_path_get_dirname(o->socket);
	if (!o->uid)
		o->uid = o->uid_base + o->domid;
	if (!o->gid)
		o->gid = o->uid;
	if (!o->pid_file)
		o->pid_file = g_strdup_printf("/run/vgpu-stub-xen.%d.pid", o->domid);
	if (!o->log_file && o->daemon)
		o->log_file = g_strdup_printf("/var/log/vgpu-stub-xen.%d.log", o->domid);
}

static bool check(struct options *o, int argc, char **argv, GError **err)
{
	if (argc > 1) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
			    "\"%s\" is not an option; --help lists them", argv[1]);
		return false;
	}
	if (o->version)
		return true;
	if (!check_numbers(o, err))
		return false;
	set_defaults(o);
	return check_paths(o, err);
}

bool options_parse(struct options *o, int argc, char **argv, GError **err)
{
	const GOptionEntry entries[] = {
		{"domid", 'd', 0, G_OPTION_ARG_INT, &o->domid, "The domain that gets the device",
		 "DOMID"},
		{"socket", 's', 0, G_OPTION_ARG_FILENAME, &o->socket, "Where gpu_mediator listens",
		 "PATH"},
		{"queues", 'q', 0, G_OPTION_ARG_INT, &o->queues, "Queues of the device", "N"},
		{"slot", 0, 0, G_OPTION_ARG_INT, &o->slot, "Device number on PCI bus 0", "N"},
		{"uid", 0, 0, G_OPTION_ARG_INT, &o->uid, "Become this user", "UID"},
		{"uid-base", 0, 0, G_OPTION_ARG_INT, &o->uid_base,
		 "Become the user of this number plus DOMID", "UID"},
		{"gid", 0, 0, G_OPTION_ARG_INT, &o->gid, "Become this group", "GID"},
		{"socket-group", 0, 0, G_OPTION_ARG_STRING, &o->socket_group,
		 "Be in this group, too, to get at the socket", "NAME"},
		{"chroot", 0, 0, G_OPTION_ARG_FILENAME, &o->chroot,
		 "The only directory to be seen when serving", "DIR"},
		{"log-file", 'l', 0, G_OPTION_ARG_FILENAME, &o->log_file, "Where the log goes",
		 "FILE"},
		{"pid-file", 'p', 0, G_OPTION_ARG_FILENAME, &o->pid_file,
		 "Where the process id is written", "FILE"},
		{"daemon", 0, 0, G_OPTION_ARG_NONE, &o->daemon,
		 "Return once the device is there, and go on in the background", NULL},
		{"verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "Log the guest's mistakes, too",
		 NULL},
		{"version", 'V', 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL},
		{NULL},
	};
	GOptionContext *context = g_option_context_new("- a GPU's share for a domain of Xen");
	bool ok;

	memset(o, 0, sizeof(*o));
	o->queues = QUEUES;
	o->slot = SLOT;
	o->uid_base = UID_BASE;
	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, &argc, &argv, err) && check(o, argc, argv, err);
	g_option_context_free(context);
	return ok;
}

void options_free(struct options *o)
{
	g_free(o->socket);
	g_free(o->socket_group);
	g_free(o->chroot);
	g_free(o->log_file);
	g_free(o->pid_file);
}
