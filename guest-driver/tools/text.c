// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test with a word that is no command: the host's administrator gets to see
 * it, the caller gets an error.
 */
#include <stdio.h>
#include <string.h>

#include "gpu_test.h"

int run_text(struct context *c, const char *text)
{
	size_t length = strlen(text);

	if (length > VGPU_TEXT_MAX)
		length = VGPU_TEXT_MAX;
	if (length && open_session(c) == EXIT_PASSED &&
	    vgpu_call(c->session, VGPU_CMD_TEXT, NULL, 0, text, length, NULL, 0,
		      c->opt.timeout_ms) < 0)
		complain("telling the host");
	fprintf(stderr, "Error: Invalid command\n");
	report_string(c, "error", "Invalid command");
	return EXIT_USAGE;
}
