/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling the one that watches. */
#include "report.h"

#include <stdio.h>
#include <sys/socket.h>

void report_send(int fd, enum report_kind kind, uint32_t value, const char *text)
{
	struct report r = {.kind = kind, .value = value};

	snprintf(r.text, sizeof(r.text), "%s", text);
	send(fd, &r, sizeof(r), MSG_DONTWAIT | MSG_NOSIGNAL);
}
