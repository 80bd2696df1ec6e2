/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A library of the toolkit, opened by name; without it the program is skipped. */
#ifndef TESTS_CUDA_LIBRARY_H
#define TESTS_CUDA_LIBRARY_H

#include <dlfcn.h>

#include "check.h"

static void *library;

static inline void open_library(const char *name)
{
	library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
	if (!library)
		SKIP("no %s: %s", name, dlerror());
}

/* The function of this name, with the type that the header gives it. */
#define FUNCTION(name)                                                             \
	__typeof__(&(name)) p_##name = (__typeof__(&(name)))dlsym(library, #name); \
	CHECK(p_##name)

#endif /* TESTS_CUDA_LIBRARY_H */
