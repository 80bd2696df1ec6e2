/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking the daemon at its control socket; protocol/control.md.
 *
 * Blocks, but never for ever: a daemon that does not answer is an error.  Used
 * by gpu_mediatorctl and the exporter.
 */
#ifndef VGPU_CTL_CLIENT_H
#define VGPU_CTL_CLIENT_H

#include <glib.h>
#include <json-glib/json-glib.h>

#define CLIENT_SOCKET "/run/gpu_mediator/control.sock"

enum client_error {
	CLIENT_NO_DAEMON,     /* nobody listens there, or it does not answer */
	CLIENT_NOT_PERMITTED, /* as the daemon says: */
	CLIENT_NOT_FOUND,
	CLIENT_REFUSED,
};

#define CLIENT_ERROR client_error_quark()
GQuark client_error_quark(void);

struct client;

/* NULL with `err` set. */
struct client *client_connect(const char *path, guint timeout_ms, GError **err);
void client_close(struct client *c);

/*
 * One request, its answer.  Members: names and values, all texts, ended by
 * NULL; a value that begins with ':' is put in as JSON, without the colon.
 * The result, which the caller frees, or NULL with `err` set.
 */
JsonNode *client_ask(struct client *c, GError **err, const char *verb, ...) G_GNUC_NULL_TERMINATED;

/* The same on a connection of its own. */
JsonNode *client_ask_once(const char *path, guint timeout_ms, const char *verb, GError **err);

#endif /* VGPU_CTL_CLIENT_H */
