/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For a program without a C library: the error numbers that vgpu_ring.h needs. */
#ifndef BARE_ERRNO_H
#define BARE_ERRNO_H

#define EAGAIN 11
#define EPROTO 71
#define EMSGSIZE 90

#endif
