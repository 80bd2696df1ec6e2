/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the cpu backend's software driver, called as a program calls libcuda. */
#include "tests.h"

#include <glib.h>

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_memory_tests();
	add_module_tests();
	add_stream_tests();
	add_graph_tests();
	add_virtual_tests();
	add_error_tests();
	return g_test_run();
}
