/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looks at configuration and tenants as a start or a reload would, and changes nothing. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "policy.h"

static void complain(const GError *err)
{
	fprintf(stderr, "gpu_mediator: %s\n", err->message);
}

static void print_memory(const struct policy *p)
{
	if (p->memory_percent)
		printf("memory %u%%", p->memory_percent);
	else if (p->memory == POLICY_NO_LIMIT)
		printf("memory without limit");
	else
		printf("memory %" G_GUINT64_FORMAT " MiB", p->memory >> 20);
}

static void print_tenant(const struct policy *p)
{
	char *classes = policy_classes_text(p->classes);

	printf("tenant %s: level %s, ", p->name, policy_level_name(p->level));
	print_memory(p);
	printf(", weight %u, %u sessions, classes %s", p->weight, p->sessions, classes);
	if (p->socket)
		printf(", socket %s", p->socket);
	for (guint i = 0; i < p->uids->len; i++)
		printf("%s %u", i ? "" : ", users", g_array_index(p->uids, uid_t, i));
	printf("\n");
	g_free(classes);
}

/* What is right in each file and yet does not go with the configuration. */
static guint check_sockets(const struct policy_set *set, const struct config *c)
{
	const struct policy *p = policy_set_by_socket(set, c->socket_path);

	if (p)
		fprintf(stderr,
			"gpu_mediator: %s: [tenant] socket: %s is the one that all share; say "
			"users= to be known there, or give it another path\n",
			p->path, p->socket);
	return p != NULL;
}

static guint check_tenants(const struct config *c)
{
	GPtrArray *wrong;
	struct policy_set *set = policy_set_check(c->tenants_dir, &wrong);
	guint faults = wrong->len;

	for (guint i = 0; i < wrong->len; i++)
		complain(g_ptr_array_index(wrong, i));
	faults += check_sockets(set, c);
	for (guint i = 0; !faults && i < policy_set_count(set); i++)
		print_tenant(policy_set_at(set, i));
	if (!faults)
		printf("%u tenants in %s%s\n", policy_set_count(set), c->tenants_dir,
		       c->tenants_open ? "; OPEN: others are let in without limits" : "");
	g_ptr_array_free(wrong, TRUE);
	policy_set_free(set);
	return faults;
}

int check_config(const char *config_path, GKeyFile *overrides)
{
	GError *err = NULL;
	struct config *c = config_load(config_path, overrides, &err);
	bool ok;

	if (!c) {
		complain(err);
		fprintf(stderr, "gpu_mediator: the tenants were not looked at\n");
		g_clear_error(&err);
		return EXIT_FAILURE;
	}
	ok = !check_tenants(c);
	config_free(c);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
