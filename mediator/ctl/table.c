/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables for people. */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct table {
	char **titles;
	guint columns;
	GPtrArray *cells;
};

struct table *table_new(const char *titles)
{
	struct table *t = g_new0(struct table, 1);

	t->titles = g_strsplit(titles, "|", -1);
	t->columns = g_strv_length(t->titles);
	t->cells = g_ptr_array_new_with_free_func(g_free);
	return t;
}

void table_add(struct table *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(t->cells, g_strdup_vprintf(format, args));
	va_end(args);
}

static bool is_number(const struct table *t, guint column)
{
	return g_str_has_suffix(t->titles[column], ">");
}

static char *title(const struct table *t, guint column)
{
	size_t n = strlen(t->titles[column]);

	return g_strndup(t->titles[column], n - is_number(t, column));
}

static void print_cell(const struct table *t, guint column, guint width, const char *text)
{
	int pad = (int)width - (int)g_utf8_strlen(text, -1);

	if (is_number(t, column))
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, column + 1 < t->columns ? pad : 0, "");
	fputs(column + 1 < t->columns ? "  " : "\n", stdout);
}

void table_print(struct table *t, bool bold)
{
	guint *width = g_new0(guint, t->columns);

	for (guint c = 0; c < t->columns; c++) {
		char *text = title(t, c);

		width[c] = (guint)g_utf8_strlen(text, -1);
		for (guint i = c; i < t->cells->len; i += t->columns)
			width[c] = MAX(width[c],
				       (guint)g_utf8_strlen(g_ptr_array_index(t->cells, i), -1));
		g_free(text);
	}
	fputs(bold ? "\033[1m" : "", stdout);
	for (guint c = 0; c < t->columns; c++) {
		char *text = title(t, c);

		print_cell(t, c, width[c], text);
		g_free(text);
	}
	fputs(bold ? "\033[0m" : "", stdout);
	for (guint i = 0; i < t->cells->len; i++)
		print_cell(t, i % t->columns, width[i % t->columns],
			   g_ptr_array_index(t->cells, i));
	g_free(width);
	g_strfreev(t->titles);
	g_ptr_array_free(t->cells, TRUE);
	g_free(t);
}

char *text_bytes(uint64_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)n;
	guint u = 0;

	if (n == UINT64_MAX)
		return g_strdup("none");
	for (; value >= 1024 && u + 1 < G_N_ELEMENTS(units); u++)
		value /= 1024;
	return g_strdup_printf(value < 10 && u && value != (double)(int)value ? "%.1f %s"
									      : "%.0f %s",
			       value, units[u]);
}

char *text_age(double seconds)
{
	guint64 s = seconds > 0 ? (guint64)seconds : 0;

	if (s >= 86400)
		return g_strdup_printf("%" G_GUINT64_FORMAT " d %" G_GUINT64_FORMAT " h", s / 86400,
				       s / 3600 % 24);
	if (s >= 3600)
		return g_strdup_printf("%" G_GUINT64_FORMAT " h %" G_GUINT64_FORMAT " min",
				       s / 3600, s / 60 % 60);
	if (s >= 60)
		return g_strdup_printf("%" G_GUINT64_FORMAT " min %" G_GUINT64_FORMAT " s", s / 60,
				       s % 60);
	return g_strdup_printf("%" G_GUINT64_FORMAT " s", s);
}
