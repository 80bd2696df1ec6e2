// SPDX-License-Identifier: GPL-2.0-or-later
/* What lives as long as graphs do: nodes' parameters, user objects. */
