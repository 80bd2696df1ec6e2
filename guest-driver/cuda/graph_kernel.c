// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernel nodes: made, changed, read, and their attributes. */
