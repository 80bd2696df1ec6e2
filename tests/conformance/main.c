/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend-conformance: the promises of mediator/backend.h, checked on one
 * backend.
 *
 * Exit status: 0 passed, 1 failed (or aborted by a failed check), 2 usage, 77
 * the backend cannot work here (with --require that is a failure).
 */
#include <stdio.h>
#include <stdlib.h>

#include "subject.h"
#include "tests.h"

#define EXIT_USAGE 2
#define EXIT_SKIPPED 77

static char *backend_name;
static int device_number;
static gboolean required;

static const GOptionEntry entries[] = {
	{"backend", 'b', 0, G_OPTION_ARG_STRING, &backend_name, "cpu, or the path of a module",
	 "BACKEND"},
	{"device", 'd', 0, G_OPTION_ARG_INT, &device_number, "which device (0)", "N"},
	{"require", 0, 0, G_OPTION_ARG_NONE, &required, "fail where the backend cannot work here",
	 NULL},
	{NULL},
};

/* Options of g_test_init() (-p, --seed, ...) are left for it. */
static bool read_options(int *argc, char ***argv, GError **err)
{
	GOptionContext *context =
		g_option_context_new("- test a backend; also takes GTest options");
	bool ok;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_ignore_unknown_options(context, TRUE);
	ok = g_option_context_parse(context, argc, argv, err);
	g_option_context_free(context);
	return ok;
}

int main(int argc, char **argv)
{
	GError *err = NULL;
	char *text;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!read_options(&argc, &argv, &err)) {
		fprintf(stderr, "%s\n", err->message);
		return EXIT_USAGE;
	}
	if (!backend_name || device_number < 0) {
		fprintf(stderr, "which backend? --backend=cpu, or --backend=PATH of a module\n");
		return EXIT_USAGE;
	}
	/* A backend's warnings are for the reader, not the end of the test. */
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);

	subject.device = (unsigned int)device_number;
	if (!subject_load(backend_name, &err)) {
		fprintf(stderr, "%s\n", err->message);
		return EXIT_FAILURE;
	}
	if (!subject_probe(&text)) {
		printf("# backend %s cannot work here: %s\n", subject.ops->name, text);
		g_free(text);
		return required ? EXIT_FAILURE : EXIT_SKIPPED;
	}
	printf("# backend %s: %s\n", subject.ops->name, text ? text : "(says nothing of itself)");
	g_free(text);

	add_session_tests();
	add_vector_add_tests();
	add_matmul_tests();
	add_bandwidth_tests();
	add_region_tests();
	return g_test_run();
}
