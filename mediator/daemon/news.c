/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What workers say.  A worker runs a driver on hostile input, so its words are
 * checked like a stranger's: lengths, ends of strings, and what state allows.
 */
#include "news.h"

#include <errno.h>
#include <string.h>

#include "client.h"
#include "confinement.h"
#include "fdio.h"
#include "policy.h"
#include "state.h"
#include "tenant.h"
#include "turns.h"
#include "vgpu_abi.h"

/* Packets handled before others have their turn. */
#define PACKETS_MAX 64

union packet {
	uint32_t type;
	struct ctl_status status;
	struct ctl_log log;
	struct ctl_refused refused;
	struct ctl_turn_news turn;
	struct ctl_fault fault;
	struct ctl_confined confined;
	uint8_t bytes[CTL_PACKET_MAX];
};

static const char *command_name(uint32_t command)
{
	static const char *const names[] = {
		[VGPU_CMD_NOP] = "NOP",
		[VGPU_CMD_VECTOR_ADD] = "VECTOR_ADD",
		[VGPU_CMD_QUERY_STATUS] = "QUERY_STATUS",
		[VGPU_CMD_GPU_INFO] = "GPU_INFO",
		[VGPU_CMD_MATMUL] = "MATMUL",
		[VGPU_CMD_BANDWIDTH] = "BANDWIDTH",
		[VGPU_CMD_TEXT] = "TEXT",
		[VGPU_CMD_TENANT] = "TENANT",
	};

	return command < G_N_ELEMENTS(names) ? names[command] : "unknown";
}

/* Guests and workers cause these lines, so a VM has only so many a second. */
static bool may_log(struct session *s, const struct log_about *about, guint dropped_there)
{
	guint dropped = 0;

	if (!s->client || !log_may(&s->client->lines, s->d->config->log_lines, &dropped))
		return false;
	if (dropped || dropped_there)
		log_warning(about, "%u lines of this VM were left out",
			    dropped + MIN(dropped_there, 1000000000u));
	return true;
}

/* GLib keeps each text that it was asked for: only of numbers that can be errors. */
static const char *status_words(int32_t status)
{
	return status < 0 && status >= -4095 ? g_strerror(-status) : "unknown error";
}

static void on_log(struct session *s, const struct ctl_log *l, size_t size)
{
	struct log_about about = session_about(s);
	char *text;

	if (size < offsetof(struct ctl_log, text) || l->length > CTL_TEXT_MAX ||
	    size != offsetof(struct ctl_log, text) + l->length)
		return;
	if (!may_log(s, &about, l->dropped))
		return;
	about.request = l->request;
	about.has_request = l->kind != CTL_LOG_WARNING;
	text = log_escape(l->text, l->length);
	if (l->kind == CTL_LOG_TEXT)
		log_info(&about, "text \"%s\"", text);
	else if (l->kind == CTL_LOG_WARNING)
		log_warning(&about, "worker: %s", text);
	else if (l->kind == CTL_LOG_COMMAND && l->status)
		log_warning(&about, "command %s (%u) failed: %s (%d)", command_name(l->command),
			    l->command, status_words(l->status), l->status);
	else if (l->kind == CTL_LOG_COMMAND)
		log_info(&about, "command %s done in %llu us", command_name(l->command),
			 (unsigned long long)(l->nanoseconds / 1000));
	g_free(text);
}

static void audit_start(const struct session *s)
{
	const struct audit_about about = session_audit(s);
	JsonObject *details = json_object_new();

	json_object_set_string_member(details, "vm", s->vm);
	json_object_set_int_member(details, "tag", s->tag);
	json_object_set_int_member(details, "worker", s->pid);
	if (s->client) {
		json_object_set_int_member(details, "uid", s->client->peer.uid);
		json_object_set_int_member(details, "pid", s->client->peer.pid);
	}
	audit_write(s->d->audit, AUDIT_SESSION_ALLOWED, AUDIT_NONE, &about, details, "it begins");
}

static void audit_refused(const struct session *s, const struct ctl_refused *r)
{
	const struct audit_about about = session_audit(s);
	JsonObject *details = json_object_new();
	char *what = g_strndup(r->what, strnlen(r->what, sizeof(r->what)));

	json_object_set_string_member(details, "vm", s->vm ? s->vm : "");
	json_object_set_string_member(details, "operation", what);
	json_object_set_int_member(details, "times", r->count);
	if (r->kind == CTL_REFUSED_MEMORY) {
		json_object_set_int_member(details, "bytes",
					   (gint64)MIN(r->value, (uint64_t)G_MAXINT64));
		audit_write(s->d->audit, AUDIT_LIMIT_REACHED, AUDIT_MEMORY, &about, details,
			    "no device memory beyond the tenant's limit");
	} else {
		char *classes = policy_classes_text((uint32_t)r->value & POLICY_ALL);

		json_object_set_string_member(details, "classes", classes);
		g_free(classes);
		audit_write(s->d->audit, AUDIT_OPERATION_REFUSED, AUDIT_CLASS, &about, details,
			    "not allowed to this tenant");
	}
	g_free(what);
}

static void on_refused(struct session *s, const struct ctl_refused *r, size_t size)
{
	struct log_about about = session_about(s);
	char *what;

	if (size != sizeof(*r) || r->kind >= CTL_REFUSED_KINDS)
		return;
	audit_refused(s, r);
	if (!may_log(s, &about, 0))
		return;
	about.request = r->request;
	about.has_request = true;
	what = log_escape(r->what, strnlen(r->what, sizeof(r->what)));
	if (r->kind == CTL_REFUSED_MEMORY)
		log_warning(&about,
			    "refused: %s, %llu bytes of device memory beyond the tenant's limit; "
			    "%u since the last such line",
			    what, (unsigned long long)r->value, r->count);
	else
		log_warning(&about,
			    "refused: %s, not allowed to this tenant (classes 0x%llx); "
			    "%u since the last such line",
			    what, (unsigned long long)r->value, r->count);
	g_free(what);
}

static void audit_too_long(const struct session *s, const char *reason)
{
	const struct audit_about about = session_audit(s);

	audit_write(s->d->audit, AUDIT_LIMIT_REACHED, AUDIT_KERNEL_TIME, &about, NULL, "%s",
		    reason);
}

/* -EPROTO is the guest's doing; what else there is, that of the host or of its administrator. */
static void judge_broken(struct session *s, int status, const char *reason)
{
	if (status == -ETIME) {
		audit_too_long(s, reason);
		faults_count(s, FAULT_KERNEL_TIME);
	} else if (status == -EPROTO) {
		faults_count(s, FAULT_QUEUE);
	}
}

static void on_fault(struct session *s, const struct ctl_fault *f, size_t size)
{
	struct log_about about = session_about(s);

	if (size != sizeof(*f))
		return;
	if (may_log(s, &about, 0))
		log_warning(&about, "CUDA error %d: its context is lost", f->error);
	faults_count(s, FAULT_GPU_ERROR);
}

static void on_ready(struct session *s, int status, const char *reason)
{
	struct log_about about = session_about(s);

	if (s->state != SESSION_STARTING)
		return;
	if (status < 0) {
		session_kill(s, status, reason);
		return;
	}
	s->state = SESSION_RUNNING;
	if (s->timer)
		g_source_remove(s->timer);
	s->timer = 0;
	state_remember(s);
	log_info(&about, "session started: queue %s%u tag %u, worker %d, backend %s, GPU %u",
		 s->queue == VGPU_QUEUE_REGISTERS ? "registers " : "",
		 s->queue == VGPU_QUEUE_REGISTERS ? 0 : s->queue, s->tag, (int)s->pid,
		 s->d->backend_name, s->gpu);
	s->announced = true;
	audit_start(s);
	if (s->client)
		client_session_ready(s->client, s);
	fdio_clear(&s->lifeline);
	fdio_clear(&s->ring);
}

static void on_packet(struct session *s, const union packet *p, size_t size)
{
	char *reason;

	if (size < sizeof(p->type))
		return;
	if (p->type == CTL_LOG) {
		on_log(s, &p->log, size);
		return;
	}
	if (p->type == CTL_REFUSED) {
		on_refused(s, &p->refused, size);
		return;
	}
	if (p->type == CTL_FAULT) {
		on_fault(s, &p->fault, size);
		return;
	}
	if (p->type == CTL_CONFINED) {
		if (size == sizeof(p->confined) && s->state == SESSION_STARTING)
			confinement_missing(s->d, p->confined.missing);
		return;
	}
	if (p->type == CTL_WANT || p->type == CTL_RETURN) {
		if (size == sizeof(p->turn))
			turns_news(s, &p->turn);
		return;
	}
	if (size != sizeof(p->status) || (p->type != CTL_READY && p->type != CTL_BROKEN))
		return;
	reason = log_escape(p->status.reason, strnlen(p->status.reason, VGPU_REASON_MAX));
	if (p->type == CTL_READY) {
		on_ready(s, p->status.status, reason);
	} else if (!*s->reason) {
		judge_broken(s, p->status.status, reason);
		s->status = p->status.status < 0 ? p->status.status : -EIO;
		g_strlcpy(s->reason, *reason ? reason : "the queue is broken", sizeof(s->reason));
	}
	g_free(reason);
}

bool news_drain(struct session *s)
{
	union packet packet;

	for (int i = 0; i < PACKETS_MAX; i++) {
		size_t nfds = 0;
		ssize_t got = fdio_recv(s->control, &packet, sizeof(packet), NULL, &nfds);

		if (got == -EAGAIN)
			return true;
		if (got == -EBADMSG) /* too long, or with descriptors: not of our making */
			continue;
		if (got == -ECONNRESET) /* it ended without reading; what it had said comes next */
			continue;
		if (got <= 0)
			return false;
		on_packet(s, &packet, (size_t)got);
	}
	return true;
}
