/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Splitting a PTX text into words and signs. */
#include "ptx_token.h"

#include <ctype.h>
#include <string.h>

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '$' || c == '%' || c == '_';
}

/* Over white space and comments; false if a comment does not end. */
static bool skip(struct scanner *s)
{
	while (s->at < s->end) {
		char next = s->at + 1 < s->end ? s->at[1] : '\0';

		if (*s->at == '\n')
			s->line++;
		if (isspace((unsigned char)*s->at)) {
			s->at++;
		} else if (*s->at == '/' && next == '/') {
			while (s->at < s->end && *s->at != '\n')
				s->at++;
		} else if (*s->at == '/' && next == '*') {
			const char *close =
				memmem(s->at + 2, (size_t)(s->end - s->at - 2), "*/", 2);

			if (!close)
				return false;
			for (; s->at < close; s->at++)
				s->line += *s->at == '\n';
			s->at += 2;
		} else {
			break;
		}
	}
	return true;
}

static void take_string(struct scanner *s)
{
	const char *p = s->at + 1;

	while (p < s->end && *p != '"' && *p != '\n')
		p += *p == '\\' && p + 1 < s->end ? 2 : 1;
	s->kind = p < s->end && *p == '"' ? TOKEN_STRING : TOKEN_BAD;
	s->token = s->at + 1;
	s->length = (size_t)(p - s->token);
	s->at = p < s->end ? p + 1 : s->end;
}

void scanner_next(struct scanner *s)
{
	s->token = s->at;
	s->length = 0;
	if (!skip(s)) {
		s->kind = TOKEN_BAD;
		return;
	}
	s->token = s->at;
	if (s->at >= s->end) {
		s->kind = TOKEN_END;
	} else if (*s->at == '"') {
		take_string(s);
	} else if (is_word(*s->at)) {
		while (s->at < s->end && is_word(*s->at))
			s->at++;
		s->kind = TOKEN_WORD;
		s->length = (size_t)(s->at - s->token);
	} else {
		s->kind = isprint((unsigned char)*s->at) ? TOKEN_SIGN : TOKEN_BAD;
		s->at++;
		s->length = 1;
	}
}

void scanner_init(struct scanner *s, const char *text, size_t length)
{
	*s = (struct scanner){.at = text, .end = text + length, .line = 1};
	scanner_next(s);
}

bool scanner_is(const struct scanner *s, const char *text)
{
	return (s->kind == TOKEN_WORD || s->kind == TOKEN_SIGN) && strlen(text) == s->length &&
	       !memcmp(s->token, text, s->length);
}

bool scanner_integer(const struct scanner *s, uint64_t *out)
{
	const char *p = s->token, *end = p + s->length;
	unsigned int base = 10;
	uint64_t value = 0;

	if (s->kind != TOKEN_WORD || !isdigit((unsigned char)*p))
		return false;
	if (end[-1] == 'U')
		end--;
	if (end - p > 1 && *p == '0') {
		base = p[1] == 'x' || p[1] == 'X' ? 16 : p[1] == 'b' || p[1] == 'B' ? 2 : 8;
		p += base == 8 ? 1 : 2;
	}
	if (p == end)
		return false;
	for (; p < end; p++) {
		int digit = isdigit((unsigned char)*p)    ? *p - '0'
			    : isxdigit((unsigned char)*p) ? tolower((unsigned char)*p) - 'a' + 10
							  : 99;

		if ((unsigned int)digit >= base || __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	*out = value;
	return true;
}
