/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers with units, as people write them. */
#include <string.h>

#include "policy_priv.h"

/* More than anything has, and so little that sums and products of them fit. */
#define SIZE_MAX_BYTES (1ull << 50)
#define TIME_MAX_NS (365ull * 24 * 3600 * 1000000000)

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits, perhaps a space, a unit of the list; nothing else, and nothing that does not fit. */
static bool parse(const char *text, const struct unit *units, size_t n, uint64_t most,
		  uint64_t *value)
{
	size_t digits = strspn(text, "0123456789");
	char *number = g_strndup(text, digits);
	const char *unit = text + digits;
	bool ok = g_ascii_string_to_unsigned(number, 10, 0, G_MAXUINT64, value, NULL);

	g_free(number);
	while (*unit == ' ')
		unit++;
	for (size_t i = 0; ok && i < n; i++) {
		if (strcmp(units[i].name, unit) == 0)
			return !__builtin_mul_overflow(*value, units[i].factor, value) &&
			       *value <= most;
	}
	return false;
}

bool policy_size_parse(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {{"", 1},
					    {"K", 1ull << 10},
					    {"M", 1ull << 20},
					    {"G", 1ull << 30},
					    {"T", 1ull << 40}};

	return parse(text, units, G_N_ELEMENTS(units), SIZE_MAX_BYTES, bytes);
}

/* A time has a unit: a bare number would be taken for seconds here and milliseconds there. */
bool policy_time_parse(const char *text, uint64_t *ns)
{
	static const struct unit units[] = {{"ns", 1},
					    {"us", 1000},
					    {"ms", 1000000},
					    {"s", 1000000000},
					    {"m", 60 * 1000000000ull},
					    {"h", 3600 * 1000000000ull}};

	return parse(text, units, G_N_ELEMENTS(units), TIME_MAX_NS, ns);
}

bool policy_percent_parse(const char *text, guint *percent)
{
	static const struct unit units[] = {{"%", 1}};
	uint64_t value;

	if (!parse(text, units, G_N_ELEMENTS(units), 100, &value) || !value)
		return false;
	*percent = (guint)value;
	return true;
}
