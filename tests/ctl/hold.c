/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions that are there as long as standard input is open.
 *
 * usage: hold WHERE [N [NOPS]]    N sessions, in each of which NOPS requests are made
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgpu.h"

#define REQUEST_MS 120000
#define SESSIONS_MAX 64

int main(int argc, char **argv)
{
	struct vgpu_session *sessions[SESSIONS_MAX];
	int n = argc > 2 ? atoi(argv[2]) : 1, nops = argc > 3 ? atoi(argv[3]) : 1;
	char byte;

	if (n > SESSIONS_MAX)
		return 2;

	for (int i = 0; i < n; i++) {
		struct vgpu_session *s = argc > 1 ? vgpu_session_open(argv[1]) : NULL;

		if (!s) {
			printf("refused: %s\n", strerror(errno));
			return 1;
		}
		sessions[i] = s;
		for (int k = 0; k < nops; k++) {
			if (vgpu_call(s, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0, REQUEST_MS)) {
				printf("a request failed\n");
				return 1;
			}
		}
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (int i = 0; i < n; i++)
		vgpu_session_close(sessions[i]);
	return 0;
}
