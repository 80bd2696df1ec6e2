/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the declarations of a PTX text.  Bodies are only searched for shared
 * memory and matching braces; instructions are nobody's business here.
 */
#include "ptx.h"

#include <stdlib.h>
#include <string.h>

#include "ptx_token.h"

struct parser {
	struct scanner s;
	struct ptx_module *m;
	size_t shared;   /* declared outside of bodies */
	const char *why; /* the first thing that is wrong */
};

static bool fail(struct parser *p, const char *why)
{
	if (!p->why)
		p->why = why;
	return false;
}

static bool accept(struct parser *p, const char *text)
{
	if (!scanner_is(&p->s, text))
		return false;
	scanner_next(&p->s);
	return true;
}

static bool expect(struct parser *p, const char *text)
{
	return accept(p, text) || fail(p, "something is missing or too much");
}

static bool integer(struct parser *p, uint64_t *out)
{
	if (!scanner_integer(&p->s, out))
		return fail(p, "a number should be here");
	scanner_next(&p->s);
	return true;
}

/* A name: ends up in *out if that is not NULL (g_free). */
static bool name(struct parser *p, char **out)
{
	char first = p->s.length ? *p->s.token : '\0';

	if (p->s.kind != TOKEN_WORD || first == '.' || (first >= '0' && first <= '9'))
		return fail(p, "a name should be here");
	if (out)
		*out = g_strndup(p->s.token, p->s.length);
	scanner_next(&p->s);
	return true;
}

/* Over everything up to and with the brace that closes the one that was just taken. */
static bool skip_block(struct parser *p)
{
	for (unsigned int depth = 1; depth;) {
		if (p->s.kind == TOKEN_END || p->s.kind == TOKEN_BAD)
			return fail(p, "a block does not end");
		if (scanner_is(&p->s, "{"))
			depth++;
		else if (scanner_is(&p->s, "}"))
			depth--;
		scanner_next(&p->s);
	}
	return true;
}

static bool skip_statement(struct parser *p)
{
	while (!scanner_is(&p->s, ";")) {
		if (p->s.kind == TOKEN_END || p->s.kind == TOKEN_BAD)
			return fail(p, "a statement does not end");
		if (accept(p, "{")) {
			if (!skip_block(p))
				return false;
			continue;
		}
		scanner_next(&p->s);
	}
	scanner_next(&p->s);
	return true;
}

struct type {
	const char *name;
	size_t size;
};
static const struct type types[] = {
	{".b8", 1},      {".u8", 1},  {".s8", 1},    {".b16", 2},    {".u16", 2},
	{".s16", 2},     {".f16", 2}, {".bf16", 2},  {".b32", 4},    {".u32", 4},
	{".s32", 4},     {".f32", 4}, {".f16x2", 4}, {".b64", 8},    {".u64", 8},
	{".s64", 8},     {".f64", 8}, {".b128", 16}, {".texref", 8}, {".samplerref", 8},
	{".surfref", 8},
};

struct declaration {
	char *name;
	size_t align;   /* 0: not said */
	size_t element; /* bytes of one, vectors whole */
	size_t scalar;  /* bytes of a vector's component */
	size_t size;
	bool array, unsized;
};

static bool is_power(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* One word of the front of a declaration; false if it is none. */
static bool qualifier(struct parser *p, struct declaration *d, unsigned int *vector)
{
	uint64_t n = 0;

	if (accept(p, ".align")) {
		if (!integer(p, &n) || !is_power(n) || n > 4096)
			return fail(p, "a bad alignment");
		d->align = n;
		return true;
	}
	if (scanner_is(&p->s, ".v2") || scanner_is(&p->s, ".v4") || scanner_is(&p->s, ".v8")) {
		*vector = (unsigned int)(p->s.token[2] - '0');
		scanner_next(&p->s);
		return true;
	}
	/* Of pointers: what they point to. */
	return accept(p, ".ptr") || accept(p, ".global") || accept(p, ".const") ||
	       accept(p, ".shared") || accept(p, ".local") || accept(p, ".managed") ||
	       accept(p, ".unified");
}

static bool attribute(struct parser *p)
{
	if (!accept(p, ".attribute"))
		return false;
	if (!expect(p, "("))
		return false;
	while (!accept(p, ")")) {
		if (p->s.kind != TOKEN_WORD && !scanner_is(&p->s, ","))
			return fail(p, "a bad attribute");
		scanner_next(&p->s);
	}
	return true;
}

static bool type(struct parser *p, struct declaration *d)
{
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		if (accept(p, types[i].name)) {
			d->scalar = types[i].size;
			return true;
		}
	}
	return false;
}

static bool dimensions(struct parser *p, struct declaration *d)
{
	d->size = d->element;
	while (accept(p, "[")) {
		uint64_t n = 0;

		d->array = true;
		if (accept(p, "]")) {
			d->unsized = true;
			continue;
		}
		if (!integer(p, &n) || __builtin_mul_overflow(d->size, n, &d->size))
			return fail(p, "a bad size");
		if (!expect(p, "]"))
			return false;
	}
	return true;
}

/* [.align N] [.vN] .type [.ptr ...] NAME [dimensions]; words may stand in any order. */
static bool declaration(struct parser *p, struct declaration *d)
{
	unsigned int vector = 1;

	*d = (struct declaration){0};
	while (!p->why)
		if (!qualifier(p, d, &vector) && !attribute(p) && (d->scalar || !type(p, d)))
			break;
	if (p->why || !d->scalar)
		return fail(p, "a type should be here");
	d->element = d->scalar * vector;
	return name(p, &d->name) && dimensions(p, d);
}

static size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static bool parameters(struct parser *p, struct ptx_entry *e)
{
	if (!accept(p, "("))
		return true; /* an entry may have none at all */
	if (accept(p, ")"))
		return true;
	do {
		struct declaration d = {0};
		struct ptx_param q;
		bool ok = expect(p, ".param") && declaration(p, &d);

		g_free(d.name);
		if (!ok)
			return false;
		if (d.unsized || !d.size || d.size > PTX_PARAM_BYTES_MAX)
			return fail(p, "a parameter of a bad size");
		/* .align behind .ptr is that of the memory pointed to, which does no harm here. */
		q.offset = align_up(e->param_bytes,
				    d.array && d.align > d.element ? d.align : d.element);
		q.size = d.size;
		e->param_bytes = q.offset + q.size;
		if (e->param_bytes > PTX_PARAM_BYTES_MAX)
			return fail(p, "too many parameters");
		g_array_append_val(e->param, q);
	} while (accept(p, ","));
	return expect(p, ")");
}

/* A declaration of shared memory, after ".shared". */
static bool shared(struct parser *p, size_t *sum)
{
	struct declaration d;

	do {
		if (!declaration(p, &d)) {
			g_free(d.name);
			return false;
		}
		g_free(d.name);
		if (!d.unsized) {
			size_t align = MAX(d.align, d.element);

			if (d.size > G_MAXUINT32 || *sum > G_MAXUINT32)
				return fail(p, "too much shared memory");
			*sum = (*sum + align - 1) / align * align + d.size;
		}
	} while (accept(p, ","));
	return expect(p, ";");
}

static bool body(struct parser *p, struct ptx_entry *e)
{
	for (unsigned int depth = 1; depth;) {
		if (p->s.kind == TOKEN_END || p->s.kind == TOKEN_BAD)
			return fail(p, "a body does not end");
		if (accept(p, ".shared")) {
			if (!shared(p, &e->shared))
				return false;
			continue;
		}
		if (scanner_is(&p->s, "{"))
			depth++;
		else if (scanner_is(&p->s, "}"))
			depth--;
		scanner_next(&p->s);
	}
	return true;
}

/* Up to three numbers; their product. */
static bool tuple(struct parser *p, unsigned int *product)
{
	uint64_t n, all = 1;

	do {
		if (!integer(p, &n) || n > G_MAXUINT16)
			return fail(p, "a bad number of threads");
		all *= n;
		if (all > G_MAXUINT32)
			return fail(p, "a bad number of threads");
	} while (accept(p, ","));
	*product = (unsigned int)all;
	return true;
}

/* Between the parameters and the body. */
static bool directives(struct parser *p, struct ptx_entry *e)
{
	unsigned int ignored;

	for (;;) {
		if (accept(p, ".maxntid") || accept(p, ".reqntid")) {
			if (!tuple(p, &e->max_threads))
				return false;
		} else if (accept(p, ".minnctapersm") || accept(p, ".maxnreg") ||
			   accept(p, ".maxnctapersm") || accept(p, ".reqnctapercluster") ||
			   accept(p, ".maxclusterrank")) {
			if (!tuple(p, &ignored))
				return false;
		} else if (accept(p, ".pragma")) {
			if (!skip_statement(p))
				return false;
		} else if (!accept(p, ".explicitcluster") && !accept(p, ".noreturn") &&
			   !accept(p, ".blocksareclusters")) {
			return true;
		}
	}
}

static void entry_free(void *data)
{
	struct ptx_entry *e = data;

	g_free(e->name);
	g_array_free(e->param, TRUE);
	g_free(e);
}

static bool entry(struct parser *p)
{
	struct ptx_entry *e = g_new0(struct ptx_entry, 1);
	bool ok;

	e->param = g_array_new(FALSE, FALSE, sizeof(struct ptx_param));
	ok = name(p, &e->name) && parameters(p, e) && directives(p, e);
	if (ok && accept(p, ";")) { /* declared here, made elsewhere */
		entry_free(e);
		return true;
	}
	ok = ok && expect(p, "{") && body(p, e);
	if (ok && p->m->entry->len >= PTX_NAMES_MAX)
		ok = fail(p, "too many entries");
	if (ok)
		g_ptr_array_add(p->m->entry, e);
	else
		entry_free(e);
	return ok;
}

static bool function(struct parser *p)
{
	while (!scanner_is(&p->s, "{") && !scanner_is(&p->s, ";")) {
		if (p->s.kind == TOKEN_END || p->s.kind == TOKEN_BAD)
			return fail(p, "a function does not end");
		scanner_next(&p->s);
	}
	return accept(p, ";") || (expect(p, "{") && skip_block(p));
}

static void variable_free(void *data)
{
	struct ptx_variable *v = data;

	g_free(v->name);
	g_byte_array_free(v->init, TRUE);
	g_free(v);
}

/* 0fXXXXXXXX, 0dXXXXXXXXXXXXXXXX or a decimal one. */
static bool real(const struct scanner *s, size_t size, uint64_t *bits)
{
	char text[64];
	double d;
	float f;

	if (s->length < 2 || s->length >= sizeof(text))
		return false;
	memcpy(text, s->token, s->length);
	text[s->length] = '\0';
	if (text[0] == '0' && strchr("fFdD", text[1])) {
		char *end;

		*bits = g_ascii_strtoull(text + 2, &end, 16);
		return !*end;
	}
	if (!strchr(text, '.'))
		return false;
	d = g_ascii_strtod(text, NULL);
	f = (float)d;
	if (size == 4)
		*bits = 0, memcpy(bits, &f, 4);
	else
		memcpy(bits, &d, 8);
	return true;
}

/* One value; names of other things (their addresses) count as 0. */
static bool value(struct parser *p, const struct declaration *d, struct ptx_variable *v)
{
	bool negative = accept(p, "-");
	uint64_t bits = 0;

	if (p->s.kind != TOKEN_WORD)
		return fail(p, "a value should be here");
	if (!scanner_integer(&p->s, &bits) && !real(&p->s, d->scalar, &bits))
		bits = 0;
	scanner_next(&p->s);
	if (accept(p, "(")) /* generic(name), mask(name) */
		while (!accept(p, ")")) {
			if (p->s.kind == TOKEN_END || p->s.kind == TOKEN_BAD)
				return fail(p, "a value does not end");
			scanner_next(&p->s);
		}
	if (accept(p, "+"))
		scanner_next(&p->s);
	if (negative)
		bits = 0 - bits;
	if (!d->unsized && v->init->len + d->scalar > d->size)
		return fail(p, "too many values");
	if (v->init->len > (1u << 26))
		return fail(p, "too many values");
	g_byte_array_append(v->init, (const guint8 *)&bits, (guint)MIN(d->scalar, sizeof(bits)));
	if (d->scalar > sizeof(bits)) {
		static const guint8 zero[8];

		g_byte_array_append(v->init, zero, sizeof(zero));
	}
	return true;
}

static bool values(struct parser *p, const struct declaration *d, struct ptx_variable *v)
{
	unsigned int depth = 0;

	do {
		while (accept(p, "{"))
			depth++;
		if (depth && scanner_is(&p->s, "}"))
			; /* an empty list */
		else if (!value(p, d, v))
			return false;
		while (depth && accept(p, "}"))
			depth--;
	} while (depth && expect(p, ","));
	return !p->why;
}

static bool add_variable(struct parser *p, struct declaration *d, bool constant, bool external)
{
	struct ptx_variable *v = g_new0(struct ptx_variable, 1);
	bool ok = true;

	v->name = d->name;
	v->constant = constant;
	v->align = MAX(d->align, d->element);
	v->init = g_byte_array_new();
	if (accept(p, "="))
		ok = values(p, d, v);
	v->size = d->unsized ? v->init->len : d->size;
	if (ok && p->m->variable->len >= PTX_NAMES_MAX)
		ok = fail(p, "too many variables");
	if (ok && !external && v->size)
		g_ptr_array_add(p->m->variable, v);
	else
		variable_free(v);
	return ok;
}

static bool variables(struct parser *p, bool constant, bool external)
{
	struct declaration d;

	do {
		if (!declaration(p, &d)) {
			g_free(d.name);
			return false;
		}
		if (!add_variable(p, &d, constant, external))
			return false;
	} while (accept(p, ","));
	return expect(p, ";");
}

/* .file N "name" [, number, number]: the one statement that nothing ends. */
static bool file(struct parser *p)
{
	uint64_t n;

	if (!integer(p, &n))
		return false;
	if (p->s.kind != TOKEN_STRING)
		return fail(p, "a file's name should be here");
	scanner_next(&p->s);
	while (accept(p, ","))
		if (!integer(p, &n))
			return false;
	return true;
}

static bool section(struct parser *p)
{
	while (p->s.kind == TOKEN_WORD)
		scanner_next(&p->s);
	return expect(p, "{") && skip_block(p);
}

static bool directive(struct parser *p)
{
	bool external = false;

	while (scanner_is(&p->s, ".visible") || scanner_is(&p->s, ".extern") ||
	       scanner_is(&p->s, ".weak") || scanner_is(&p->s, ".common")) {
		external = scanner_is(&p->s, ".extern");
		scanner_next(&p->s);
	}
	if (accept(p, ".entry"))
		return entry(p);
	if (accept(p, ".func"))
		return function(p);
	if (accept(p, ".global"))
		return variables(p, false, external);
	if (accept(p, ".const"))
		return variables(p, true, external);
	if (accept(p, ".shared"))
		return shared(p, &p->shared);
	if (accept(p, ".file"))
		return file(p);
	if (accept(p, ".section"))
		return section(p);
	if (accept(p, ".pragma") || accept(p, ".alias") || accept(p, ".callprototype") ||
	    accept(p, ".tex"))
		return skip_statement(p);
	if (accept(p, ".loc")) {
		uint64_t n;

		return integer(p, &n) && integer(p, &n) && integer(p, &n);
	}
	return fail(p, "an unknown directive");
}

static bool number_pair(const struct scanner *s, unsigned int *a, unsigned int *b)
{
	char text[16];
	char *end;

	if (s->kind != TOKEN_WORD || s->length >= sizeof(text))
		return false;
	memcpy(text, s->token, s->length);
	text[s->length] = '\0';
	*a = (unsigned int)g_ascii_strtoull(text, &end, 10);
	if (end == text || *end != '.')
		return false;
	*b = (unsigned int)g_ascii_strtoull(end + 1, &end, 10);
	return !*end;
}

/* .version N.N, .target sm_NN [, ...], and mostly .address_size 64. */
static bool head(struct parser *p)
{
	uint64_t bits = 64;

	if (!expect(p, ".version") || !number_pair(&p->s, &p->m->major, &p->m->minor))
		return fail(p, "a version should be here");
	scanner_next(&p->s);
	if (!p->m->major || p->m->major > 99)
		return fail(p, "an unknown version");
	if (!expect(p, ".target"))
		return false;
	if (p->s.kind != TOKEN_WORD || p->s.length < 4 || memcmp(p->s.token, "sm_", 3) != 0)
		return fail(p, "a target should be here");
	for (size_t i = 3; i < p->s.length && g_ascii_isdigit(p->s.token[i]) && i < 8; i++)
		p->m->sm = p->m->sm * 10 + (unsigned int)(p->s.token[i] - '0');
	scanner_next(&p->s);
	while (accept(p, ","))
		if (!name(p, NULL))
			return false;
	if (accept(p, ".address_size") && (!integer(p, &bits) || bits != 64))
		return fail(p, "only 64-bit addresses are known");
	return true;
}

static void module_free(struct ptx_module *m)
{
	g_ptr_array_free(m->entry, TRUE);
	g_ptr_array_free(m->variable, TRUE);
	g_free(m);
}

static bool has_twins(const struct ptx_module *m)
{
	GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
	bool twins = false;

	for (unsigned int i = 0; i < m->entry->len; i++)
		twins |= !g_hash_table_add(seen, ((struct ptx_entry *)m->entry->pdata[i])->name);
	for (unsigned int i = 0; i < m->variable->len; i++)
		twins |= !g_hash_table_add(seen,
					   ((struct ptx_variable *)m->variable->pdata[i])->name);
	g_hash_table_destroy(seen);
	return twins;
}

struct ptx_module *ptx_parse(const char *text, size_t length, char **error)
{
	struct parser p = {0};
	bool ok;

	if (length && !text[length - 1])
		length = strnlen(text, length);
	p.m = g_new0(struct ptx_module, 1);
	p.m->refs = 1;
	p.m->entry = g_ptr_array_new_with_free_func(entry_free);
	p.m->variable = g_ptr_array_new_with_free_func(variable_free);
	scanner_init(&p.s, text, length);
	ok = head(&p);
	while (ok && p.s.kind != TOKEN_END)
		ok = directive(&p);
	if (ok && has_twins(p.m))
		ok = fail(&p, "a name is there twice");
	if (ok) {
		for (unsigned int i = 0; i < p.m->entry->len; i++)
			((struct ptx_entry *)p.m->entry->pdata[i])->shared += p.shared;
		return p.m;
	}
	if (error)
		*error = g_strdup_printf("line %u: %s", p.s.line, p.why);
	module_free(p.m);
	return NULL;
}

struct ptx_module *ptx_ref(struct ptx_module *m)
{
	m->refs++;
	return m;
}

void ptx_unref(struct ptx_module *m)
{
	if (m && !--m->refs)
		module_free(m);
}
