/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket's verbs do. */
#ifndef VGPU_CONTROL_VERBS_H
#define VGPU_CONTROL_VERBS_H

#include <json-glib/json-glib.h>

#include "control_peer.h"
#include "control_request.h"

/* Why a request was not served; the words for programs stand in protocol/control.md. */
enum control_error {
	CONTROL_OK,
	CONTROL_BAD_REQUEST,
	CONTROL_NOT_PERMITTED,
	CONTROL_NOT_FOUND,
	CONTROL_BAD_VALUE,
	CONTROL_FAILED,
};

/* A line with its newline; the caller frees it. */
char *control_answer_error(const char *id, enum control_error error, const char *message);
/* Takes `result`. */
char *control_answer(const char *id, JsonNode *result);

/* Serves one request of a peer that may; what it changes is written down.  The answer. */
char *control_serve(struct daemon *d, const struct control_peer *p,
		    const struct control_request *r);

/* control_views.c: what can be seen by this peer, as JSON. */
JsonNode *control_view_status(struct daemon *d, const struct control_peer *p);
JsonNode *control_view_tenants(struct daemon *d, const struct control_peer *p, const char *tenant);
JsonNode *control_view_sessions(struct daemon *d, const struct control_peer *p, const char *tenant);
JsonNode *control_view_audit(struct daemon *d, const struct control_peer *p,
			     const struct control_request *r);

#endif /* VGPU_CONTROL_VERBS_H */
