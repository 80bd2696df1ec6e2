/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables for people: columns as wide as what stands in them. */
#ifndef VGPU_CTL_TABLE_H
#define VGPU_CTL_TABLE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct table;

/* Titles in a text, with a bar between them; one that ends in '>' is for numbers. */
struct table *table_new(const char *titles);

/* The next cell; after the last of a line comes the first of the next one. */
void table_add(struct table *t, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* To standard output, and frees it.  `bold`: the titles, on a terminal. */
void table_print(struct table *t, bool bold);

/* "512 MiB", "none" for UINT64_MAX; the caller frees it. */
char *text_bytes(uint64_t n);
/* "3 d 4 h", "12 s"; the caller frees it. */
char *text_age(double seconds);

#endif /* VGPU_CTL_TABLE_H */
