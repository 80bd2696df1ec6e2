/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of client.h's implementation know of each other. */
#ifndef VGPU_DAEMON_CLIENT_PRIV_H
#define VGPU_DAEMON_CLIENT_PRIV_H

#include "audit.h"
#include "client.h"

/* client.c */
struct log_about client_about(const struct client *c);

/* May a line about this connection be written?  Who can reach the socket could fill the log. */
bool client_may_log(struct client *c);

/* Writes down that the connection, or a session of it, was refused. */
void client_audit(const struct client *c, enum audit_kind kind, enum audit_cause cause,
		  const char *why);

void client_fill_status(struct vgpu_msg_status *s, int status, const char *reason);

/* Answers the message at hand with a bare status. */
void client_send_status(struct client *c, uint32_t request, int status, const char *reason);

/* client_domain.c: decides whose memory this device may name, if anybody's. */
void client_judge_domain(struct client *c);

/* One for each message; the message is in c->in. */
void client_hello(struct client *c);         /* client_hello.c */
void client_set_mem_table(struct client *c); /* client_memory.c */
void client_add_mem_reg(struct client *c);
void client_rem_mem_reg(struct client *c);
void client_queue_start(struct client *c); /* client_queues.c */
void client_queue_stop(struct client *c);
void client_queue_resume(struct client *c);
void client_reset_device(struct client *c);

/* client_queues.c: ends all sessions of the device. */
void client_kill_sessions(struct client *c, const char *reason);

#endif /* VGPU_DAEMON_CLIENT_PRIV_H */
