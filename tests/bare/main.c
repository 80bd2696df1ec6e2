/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without an operating system.  The command line is a number: how many
 * requests of each kind to time; and "registers" for part one alone.
 */
#include "bare.h"

void bare_main(const char *line);

static bool has_word(const char *line, const char *word)
{
	for (; *line; line++) {
		size_t i = 0;

		while (word[i] && line[i] == word[i])
			i++;
		if (!word[i])
			return true;
	}
	return false;
}

/* The last number of the line: the loader puts the program's path in front. */
static uint32_t last_number(const char *line)
{
	uint32_t n = 0;

	for (; *line; line++) {
		if (*line == ' ')
			n = 0;
		else if (*line >= '0' && *line <= '9')
			n = n * 10 + (uint32_t)(*line - '0');
	}
	return n;
}

void bare_main(const char *line)
{
	struct device d;
	uint32_t count = line ? last_number(line) : 0;

	find_device(&d);
	wait_for_link(&d);
	run_registers(&d, count < 1000 ? count : 1000);
	if (!line || !has_word(line, "registers"))
		run_queue(&d, count ? count : 1);
	print("all done\n");
	finish(true);
}
