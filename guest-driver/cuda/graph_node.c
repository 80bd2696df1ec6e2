// SPDX-License-Identifier: GPL-2.0-or-later
/* Nodes of graphs that are no kernels: copies, fills, host functions, memory. */
