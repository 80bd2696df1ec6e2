/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is to be added to a virtual machine. */
#include <string.h>

#include "args.h"

/* For a shell: in quotes, unless it needs none. */
static char *shell(const char *text)
{
	if (*text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_./:=,+-") == strlen(text))
		return g_strdup(text);
	return g_shell_quote(text);
}

/* In an option of QEMU a comma would begin the next one. */
static char *commas(const char *text)
{
	char **parts = g_strsplit(text, ",", -1);
	char *doubled = g_strjoinv(",,", parts);

	g_strfreev(parts);
	return doubled;
}

static char *mediated_qemu(const struct args_vm *vm)
{
	char *device = commas(vm->socket), *plugin = commas(vm->plugin);
	char *argument = g_strdup_printf("vgpu-stub,socket=%s", device);
	char *quoted = shell(argument), *file = shell(plugin);
	char *text = g_strdup_printf("-object memory-backend-memfd,id=vgpu-ram,size=%s,share=on\n"
				     "-machine memory-backend=vgpu-ram\n"
				     "-plugin file=%s\n"
				     "-device %s",
				     vm->memory ? vm->memory : "MEMORY", file, quoted);

	g_free(device);
	g_free(plugin);
	g_free(argument);
	g_free(quoted);
	g_free(file);
	return text;
}

static char *mediated_libvirt(const struct args_vm *vm)
{
	char *device = commas(vm->socket), *plugin = commas(vm->plugin);
	char *text = g_markup_printf_escaped(
		"<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
		"  <memoryBacking>\n"
		"    <source type='memfd'/>\n"
		"    <access mode='shared'/>\n"
		"  </memoryBacking>\n"
		"  <qemu:commandline>\n"
		"    <qemu:arg value='-plugin'/>\n"
		"    <qemu:arg value='file=%s'/>\n"
		"    <qemu:arg value='-device'/>\n"
		"    <qemu:arg value='vgpu-stub,socket=%s'/>\n"
		"  </qemu:commandline>\n"
		"</domain>",
		plugin, device);

	g_free(device);
	g_free(plugin);
	return text;
}

static char *mediated_xl(const struct args_vm *vm)
{
	char *name = shell(vm->name), *socket = shell(vm->socket);
	char *text = g_strdup_printf("vgpu-stub-xen --daemon --domid=$(xl domid %s) --socket=%s",
				     name, socket);

	g_free(name);
	g_free(socket);
	return text;
}

static char *mediated_xe(const struct args_vm *vm)
{
	char *name = shell(vm->name);
	char *text =
		g_strdup_printf("xe vm-param-set uuid=$(xe vm-list name-label=%s --minimal) "
				"platform:vgpu-stub=on%s%s",
				name, vm->tenant ? ",tenant=" : "", vm->tenant ? vm->tenant : "");

	g_free(name);
	return text;
}

char *args_mediated(enum args_target target, const struct args_vm *vm)
{
	switch (target) {
	case ARGS_QEMU:
		return mediated_qemu(vm);
	case ARGS_LIBVIRT:
		return mediated_libvirt(vm);
	case ARGS_XL:
		return mediated_xl(vm);
	case ARGS_XE:
		break;
	}
	return mediated_xe(vm);
}

GPtrArray *args_functions(const struct gpu *g)
{
	GPtrArray *functions = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(functions, g_strdup(g->address));
	for (guint i = 0; i < g->neighbours->len; i++) {
		const struct neighbour *n = g_ptr_array_index(g->neighbours, i);

		if (n->same_device && !n->is_bridge)
			g_ptr_array_add(functions, g_strdup(n->address));
	}
	return functions;
}

/* DDDD:BB:SS.F, as libpci wrote it. */
static char *hostdev(const char *address)
{
	return g_strdup_printf("<hostdev mode='subsystem' type='pci' managed='yes'>\n"
			       "  <source>\n"
			       "    <address domain='0x%.4s' bus='0x%.2s' slot='0x%.2s' "
			       "function='0x%s'/>\n"
			       "  </source>\n"
			       "</hostdev>",
			       address, address + 5, address + 8, address + 11);
}

static void add_line(GString *s, const char *text)
{
	g_string_append_printf(s, "%s%s", s->len ? "\n" : "", text);
}

char *args_passthrough(enum args_target target, const char *vm, GPtrArray *functions)
{
	GString *s = g_string_new(NULL);
	char *name = shell(vm);

	if (target == ARGS_XL)
		g_string_append(s, "pci = [ ");
	else if (target == ARGS_XE)
		g_string_append_printf(s,
				       "xe vm-param-set uuid=$(xe vm-list name-label=%s --minimal) "
				       "other-config:pci=",
				       name);
	for (guint i = 0; i < functions->len; i++) {
		const char *address = g_ptr_array_index(functions, i);
		char *text = target == ARGS_QEMU
				     ? g_strdup_printf("-device vfio-pci,host=%s", address)
				     : hostdev(address);

		if (target == ARGS_XL)
			g_string_append_printf(s, "%s'%s'", i ? ", " : "", address);
		else if (target == ARGS_XE)
			g_string_append_printf(s, "%s0/%s", i ? "," : "", address);
		else
			add_line(s, text);
		g_free(text);
	}
	if (target == ARGS_XL)
		g_string_append(s, " ]");
	g_free(name);
	return g_string_free(s, FALSE);
}
