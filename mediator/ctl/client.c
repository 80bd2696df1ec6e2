/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking the daemon at its control socket. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "unix_address.h"

/* Of an answer: as much as the daemon could ever have to say, and more. */
#define ANSWER_MAX (64u * 1024 * 1024)

G_DEFINE_QUARK(vgpu - client - error, client_error)

struct client {
	int fd;
	char *path;
	guint timeout_ms;
	GString *in;
};

static void set_errno(GError **err, const char *what, const char *path, int code)
{
	g_set_error(err, CLIENT_ERROR,
		    code == EACCES || code == EPERM ? CLIENT_NOT_PERMITTED : CLIENT_NO_DAEMON,
		    "%s %s: %s%s", what, path, g_strerror(code),
		    code == ENOENT || code == ECONNREFUSED ? "; is gpu_mediator running?" : "");
}

struct client *client_connect(const char *path, guint timeout_ms, GError **err)
{
	struct sockaddr_un addr;
	struct client *c;
	/* Also to connect, where many wait before a daemon that does not move. */
	const struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	int fd;

	if (!unix_address(&addr, path)) {
		set_errno(err, "cannot connect to", path, errno);
		return NULL;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		set_errno(err, "cannot connect to", path, errno);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	c = g_new0(struct client, 1);
	c->fd = fd;
	c->path = g_strdup(path);
	c->timeout_ms = timeout_ms;
	c->in = g_string_new(NULL);
	return c;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	close(c->fd);
	g_free(c->path);
	g_string_free(c->in, TRUE);
	g_free(c);
}

/* A whole line of the answer is in c->in.  False with `err` set. */
static bool receive(struct client *c, GError **err)
{
	gint64 end = g_get_monotonic_time() + (gint64)c->timeout_ms * 1000;

	while (!memchr(c->in->str, '\n', c->in->len)) {
		gint64 left = (end - g_get_monotonic_time()) / 1000;
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		char part[65536];
		ssize_t n;

		if (left <= 0 || c->in->len > ANSWER_MAX) {
			set_errno(err, "no answer from", c->path, ETIMEDOUT);
			return false;
		}
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(c->fd, part, sizeof(part), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			set_errno(err, "no answer from", c->path, n < 0 ? errno : ECONNRESET);
			return false;
		}
		g_string_append_len(c->in, part, n);
	}
	return true;
}

/* Members and values, as client_ask() describes them. */
static char *make_request(const char *verb, va_list args)
{
	JsonObject *o = json_object_new();
	JsonNode *node = json_node_alloc();
	const char *name, *value;
	char *text, *line;

	json_object_set_string_member(o, "verb", verb);
	while ((name = va_arg(args, const char *))) {
		value = va_arg(args, const char *);
		if (value && *value == ':')
			json_object_set_member(o, name, json_from_string(value + 1, NULL));
		else if (value)
			json_object_set_string_member(o, name, value);
	}
	json_node_init_object(node, o);
	json_object_unref(o);
	text = json_to_string(node, FALSE);
	json_node_unref(node);
	line = g_strconcat(text, "\n", NULL);
	g_free(text);
	return line;
}

static void set_refusal(JsonObject *o, GError **err)
{
	const char *error = json_object_get_string_member_with_default(o, "error", "");
	enum client_error code = strcmp(error, "not-permitted") == 0 ? CLIENT_NOT_PERMITTED
				 : strcmp(error, "not-found") == 0   ? CLIENT_NOT_FOUND
								     : CLIENT_REFUSED;

	g_set_error_literal(
		err, CLIENT_ERROR, code,
		json_object_get_string_member_with_default(o, "message", "it does not say why"));
}

/* The first line of c->in. */
static JsonNode *take_answer(struct client *c, GError **err)
{
	char *end = memchr(c->in->str, '\n', c->in->len);
	JsonNode *node, *result = NULL;
	JsonObject *o;

	*end = '\0';
	node = json_from_string(c->in->str, NULL);
	g_string_erase(c->in, 0, end + 1 - c->in->str);
	if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
		g_set_error(err, CLIENT_ERROR, CLIENT_NO_DAEMON,
			    "what answers at %s is not gpu_mediator", c->path);
	} else {
		o = json_node_get_object(node);
		if (json_object_get_boolean_member_with_default(o, "ok", FALSE) &&
		    json_object_has_member(o, "result"))
			result = json_node_copy(json_object_get_member(o, "result"));
		else
			set_refusal(o, err);
	}
	if (node)
		json_node_unref(node);
	return result;
}

static JsonNode *ask(struct client *c, GError **err, const char *verb, va_list args)
{
	char *line = make_request(verb, args);
	size_t length = strlen(line);
	/* One that refuses us has said so and closed: then its words count. */
	bool sent = send(c->fd, line, length, MSG_NOSIGNAL) == (ssize_t)length || errno == EPIPE;

	g_free(line);
	if (!sent) {
		set_errno(err, "cannot ask", c->path, errno);
		return NULL;
	}
	return receive(c, err) ? take_answer(c, err) : NULL;
}

JsonNode *client_ask(struct client *c, GError **err, const char *verb, ...)
{
	JsonNode *result;
	va_list args;

	va_start(args, verb);
	result = ask(c, err, verb, args);
	va_end(args);
	return result;
}

JsonNode *client_ask_once(const char *path, guint timeout_ms, const char *verb, GError **err)
{
	struct client *c = client_connect(path, timeout_ms, err);
	JsonNode *result = c ? client_ask(c, err, verb, NULL) : NULL;

	client_close(c);
	return result;
}
