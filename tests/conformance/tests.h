/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the suite; each adds its tests to GLib's.
 */
#ifndef VGPU_CONFORMANCE_TESTS_H
#define VGPU_CONFORMANCE_TESTS_H

void add_session_tests(void);
void add_vector_add_tests(void);
void add_matmul_tests(void);
void add_bandwidth_tests(void);
void add_region_tests(void);

#endif /* VGPU_CONFORMANCE_TESTS_H */
