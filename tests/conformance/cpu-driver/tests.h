/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tests of each topic. */
#ifndef TESTS_H
#define TESTS_H

void add_memory_tests(void);
void add_module_tests(void);
void add_stream_tests(void);
void add_graph_tests(void);
void add_virtual_tests(void);
void add_error_tests(void);

#endif /* TESTS_H */
