# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of the CUDA driver API in a guest of Xen, on the cpu backend's driver."""

# One of each way: calls, memory both ways, kernels, the host's callbacks, memory that the
# program pins, which the worker maps frame by frame.  The cuda suite has all the rest.
CASES = ("memory.plain", "copy.sizes", "launch.vector_add_ptx", "stream.order",
         "callback.in_order", "pinned.copies", "graph.captured", "error.illegal_address")


def check(test, domain):
    if domain.run("test -x /opt/cuda/driver_tests").status != 0:
        test.skipTest("no CUDA program was built: is nvcc installed?")
    out = domain.check(f"VGPU_TEST_SECONDS=600 /opt/cuda/driver_tests {' '.join(CASES)}", 600)
    test.assertIn(f"{len(CASES)} passed, 0 failed, 0 skipped", out)
