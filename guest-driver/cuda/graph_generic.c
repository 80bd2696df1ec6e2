// SPDX-License-Identifier: GPL-2.0-or-later
/* Nodes by the one structure that stands for all kinds. */
