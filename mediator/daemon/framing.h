/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a device: from bytes and descriptors to something checked.
 *
 * No I/O: the owner reads into framing_room() and reports what came, so this
 * can be tested and fuzzed as it is.  Never asks for more than the message at
 * hand, so that descriptors cannot be taken for another's.
 */
#ifndef VGPU_DAEMON_FRAMING_H
#define VGPU_DAEMON_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_socket.h"

struct framing {
	union {
		uint8_t bytes[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX];
		struct vgpu_msg_header header;
	} in;
	size_t have;
	int fds[2 * VGPU_MSG_FDS_MAX]; /* -1 where taken or none; room for those too many */
	size_t nfds;
	bool hello_seen;
};

void framing_init(struct framing *f);

/* Where to put the next bytes, and how many at most. */
void *framing_room(struct framing *f, size_t *n);

/*
 * `n` bytes have been put there; `fds` came with them and are the framing's
 * from now on, whatever is returned.  1: a message is complete and its form is
 * right; 0: more is needed; -EPROTO: the peer broke the protocol, *why says
 * how in words.
 */
int framing_added(struct framing *f, size_t n, const int *fds, size_t nfds, const char **why);

/* The message: valid between a 1 and framing_next(). */
uint32_t framing_request(const struct framing *f);
bool framing_wants_reply(const struct framing *f);

/* Copies the payload; `size` is what framing checked for this request. */
void framing_payload(const struct framing *f, void *to, size_t size);

/* Takes descriptor `i` out; the caller owns it.  -1 if there is none. */
int framing_take_fd(struct framing *f, size_t i);

/* On to the next message.  Descriptors not taken are dropped by `close_fd`. */
void framing_next(struct framing *f, void (*close_fd)(int fd));

/* A message's name, for logs. */
const char *framing_name(uint32_t request);

#endif /* VGPU_DAEMON_FRAMING_H */
