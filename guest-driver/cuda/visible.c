// SPDX-License-Identifier: GPL-2.0-or-later
#include "visible.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number, with nothing but blanks around it. */
static bool is_number(const char *entry, size_t length, unsigned int number)
{
	unsigned int value = 0;
	size_t i = 0;

	for (; i < length && isdigit((unsigned char)entry[i]) && value < 1000; i++)
		value = 10 * value + (unsigned int)(entry[i] - '0');
	return i == length && i > 0 && value == number;
}

static bool is_uuid(const char *entry, size_t length, const vgpu_u8 uuid[16])
{
	char text[48] = "GPU-";
	char *end = text + strlen(text);

	for (int i = 0; i < 16; i++)
		end += sprintf(end, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			       uuid[i]);
	return length > strlen("GPU-") && length <= (size_t)(end - text) &&
	       !strncasecmp(text, entry, length);
}

unsigned int visible_devices(const struct vgpu_device_info *devices, unsigned int n)
{
	const char *entry = getenv("CUDA_VISIBLE_DEVICES");
	unsigned int seen = 0;

	if (!entry)
		return n;
	while (seen < n) {
		size_t length, blanks;

		entry += strspn(entry, " \t");
		length = strcspn(entry, ",");
		for (blanks = length; blanks && isspace((unsigned char)entry[blanks - 1]);)
			blanks--;
		if (!is_number(entry, blanks, seen) && !is_uuid(entry, blanks, devices[seen].uuid))
			break;
		seen++;
		if (!entry[length])
			break;
		entry += length + 1;
	}
	return seen;
}
