/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PTX text as a sequence of words and signs. */
#ifndef VGPU_CPU_PTX_TOKEN_H
#define VGPU_CPU_PTX_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
	TOKEN_END,
	TOKEN_WORD, /* names, directives, numbers: letters, digits and . $ % _ @ */
	TOKEN_STRING,
	TOKEN_SIGN, /* any other character */
	TOKEN_BAD,  /* a comment or string that does not end, or a strange character */
};

struct scanner {
	const char *at, *end;
	unsigned int line;
	enum token_kind kind;
	const char *token; /* not terminated */
	size_t length;
};

void scanner_init(struct scanner *s, const char *text, size_t length);
/* Goes to the next token. */
void scanner_next(struct scanner *s);
bool scanner_is(const struct scanner *s, const char *text);
/* An integer as PTX writes them; false if the token is none. */
bool scanner_integer(const struct scanner *s, uint64_t *out);

#endif /* VGPU_CPU_PTX_TOKEN_H */
