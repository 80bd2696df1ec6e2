/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In place of handshake.c where the library is built without it. */
#include "tables.h"

const union export_slot *const export_handshake;
