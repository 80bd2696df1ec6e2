/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * args: what to add to the VM of a tenant.  Standard output has that and
 * nothing else; what one must know with it goes to standard error.
 */
#include "args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "ctl.h"
#include "policy.h"

static const char *const targets[] = {"qemu", "libvirt", "xl", "xe", NULL};
static const char *const modes[] = {"mediated", "passthrough", "none", NULL};

static void note(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void note(const char *format, ...)
{
	va_list args;

	fputs("# ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static int find(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

static int wrong(GError *err)
{
	fprintf(stderr, "gpu_mediatorctl: %s\n", err->message);
	g_error_free(err);
	return CTL_FAILED;
}

/* Things that the text alone does not say, for the way this tenant comes in. */
static void notes_for(enum args_target target, const struct policy *p, const struct config *c)
{
	if (target == ARGS_QEMU)
		note("the memory's size is that of -m; a -machine that is there gets "
		     "memory-backend=vgpu-ram as one more property");
	if (target == ARGS_LIBVIRT)
		note("merge this into the domain's XML (virsh edit)");
	if (target == ARGS_XL)
		note("run this between xl create -p and xl unpause");
	if ((target == ARGS_XL || target == ARGS_XE) && strcmp(c->xen_domains, "none") == 0)
		note("the daemon maps no domain's memory: set [xen] domains=user in its "
		     "configuration");
	if (!p->socket)
		note("the tenant is known by its user at %s: the VM's monitor must run as one of "
		     "the users of its file",
		     c->socket_path);
}

/* xcp-ng/host/qemu-wrapper */
#define XE_SOCKET "/run/gpu_mediator/%s.sock"

static bool is_where_xe_looks(const struct policy *p)
{
	char *path = g_strdup_printf(XE_SOCKET, p->name);
	bool same = strcmp(path, p->socket) == 0;

	g_free(path);
	return same;
}

static int mediated(const struct ctl *ctl, enum args_target target, const struct policy *p,
		    const struct config *c)
{
	const struct args_vm vm = {.name = ctl->vm ? ctl->vm : p->name,
				   .socket = p->socket ? p->socket : c->socket_path,
				   .memory = ctl->memory,
				   .plugin = VGPU_PLUGIN,
				   .tenant = p->socket ? p->name : NULL};
	char *text;

	if (target == ARGS_XE && p->socket && !is_where_xe_looks(p)) {
		fprintf(stderr,
			"gpu_mediatorctl: XCP-ng's wrapper looks for the tenant's socket "
			"at " XE_SOCKET "; its file says %s\n",
			p->name, p->socket);
		return CTL_FAILED;
	}
	text = args_mediated(target, &vm);
	notes_for(target, p, c);
	puts(text);
	g_free(text);
	return CTL_DONE;
}

/* The one that was named, or the only one that there is. */
static const struct gpu *choose(GPtrArray *gpus, const char *address)
{
	for (guint i = 0; i < gpus->len; i++) {
		const struct gpu *g = g_ptr_array_index(gpus, i);

		/* The domain is nearly always 0000, and may be left out. */
		if (address ? strcmp(g->address, address) == 0 ||
				      strcmp(g->address + strlen("0000:"), address) == 0
			    : gpus->len == 1)
			return g;
	}
	fprintf(stderr,
		address     ? "gpu_mediatorctl: there is no GPU %s; \"gpus\" lists them\n"
		: gpus->len ? "gpu_mediatorctl: there are several GPUs; name one with --gpu\n"
			    : "gpu_mediatorctl: this host has no GPU\n",
		address);
	return NULL;
}

static int passthrough(const struct ctl *ctl, enum args_target target)
{
	GPtrArray *gpus = gpus_find(ctl->sysfs), *why, *functions;
	const struct gpu *g = choose(gpus, ctl->gpu);
	bool possible = g && passthrough_possible(g, &why);
	char *text;

	for (guint i = 0; g && i < why->len; i++)
		note("%s: %s", g->address, (const char *)g_ptr_array_index(why, i));
	if (g)
		g_ptr_array_unref(why);
	if (possible) {
		functions = args_functions(g);
		text = args_passthrough(target, ctl->vm ? ctl->vm : ctl->args[0], functions);
		puts(text);
		g_free(text);
		g_ptr_array_unref(functions);
	} else if (g) {
		fprintf(stderr, "gpu_mediatorctl: %s cannot be passed through\n", g->address);
	}
	g_ptr_array_unref(gpus);
	return possible ? CTL_DONE : g ? CTL_FAILED : CTL_NOT_FOUND;
}

static int with_policy(struct ctl *ctl, enum args_target target)
{
	const char *path = ctl->config;
	struct config *c;
	struct policy *p = NULL;
	GError *err = NULL;
	char *file;
	int status;

	if (!path && g_file_test(VGPU_CONFIG_FILE, G_FILE_TEST_EXISTS))
		path = VGPU_CONFIG_FILE;
	c = config_load(path, NULL, &err);
	if (!c)
		return wrong(err);
	file = g_strdup_printf("%s/%s.conf", c->tenants_dir, ctl->args[0]);
	if (strchr(ctl->args[0], '/') || !g_file_test(file, G_FILE_TEST_EXISTS)) {
		fprintf(stderr, "gpu_mediatorctl: there is no tenant \"%s\": %s is missing\n",
			ctl->args[0], file);
		status = CTL_NOT_FOUND;
	} else {
		p = policy_load(file, &err);
		status = p ? mediated(ctl, target, p, c) : wrong(err);
	}
	policy_free(p);
	g_free(file);
	config_free(c);
	return status;
}

int ctl_args(struct ctl *c)
{
	int target = c->target ? find(targets, c->target) : -1;
	int mode = c->mode ? find(modes, c->mode) : 0;

	if (target < 0 || mode < 0) {
		fputs("gpu_mediatorctl: args needs --for=qemu, libvirt, xl or xe; --mode is "
		      "mediated, passthrough or none\n",
		      stderr);
		return CTL_USAGE;
	}
	if (mode == 2) {
		note("nothing is to be added");
		return CTL_DONE;
	}
	return mode == 1 ? passthrough(c, (enum args_target)target)
			 : with_policy(c, (enum args_target)target);
}
