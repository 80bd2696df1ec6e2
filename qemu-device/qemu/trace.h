/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The trace functions: both ways to build make this file of trace-events. */
#include "trace/trace-hw_misc_vgpu_stub.h"
