/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connected device: its messages, its memory, its queues. */
#include "client.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdio.h"
#include "session.h"
#include "vgpu_abi.h"

/* Messages handled before others have their turn. */
#define MESSAGES_MAX 16

/*
 * How long to wait for the rest of a change of memory, in ms: what the device
 * sends as a removal and an addition must not look to a worker as if its queue
 * had been taken away in between.
 */
#define MEMORY_MS 5

static struct log_about about_client(const struct client *c)
{
	return (struct log_about){.vm = c->name};
}

static void close_fd(int fd)
{
	close(fd);
}

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

static gboolean on_close(gpointer data)
{
	struct client *c = data;

	c->close_source = 0;
	client_free(c);
	return G_SOURCE_REMOVE;
}

static void close_soon(struct client *c)
{
	if (!c->close_source)
		c->close_source = g_idle_add_full(G_PRIORITY_HIGH, on_close, c, NULL);
}

/* Whoever can reach the socket could fill the log by coming and going. */
static bool may_log(struct client *c)
{
	guint dropped;

	if (!log_may(&c->d->peer_lines, c->d->config->log_lines, &dropped))
		return false;
	if (dropped)
		log_warning(NULL, "%u lines about connections were left out", dropped);
	return true;
}

void client_fail(struct client *c, const char *format, ...)
{
	struct log_about about = about_client(c);
	va_list args;
	char *why;

	if (c->close_source)
		return;
	va_start(args, format);
	why = g_strdup_vprintf(format, args);
	va_end(args);
	if (may_log(c))
		log_warning(&about, "device disconnected: %s", why);
	g_free(why);
	close_soon(c);
}

/* It went by itself, as devices do. */
static void on_gone(struct client *c)
{
	struct log_about about = about_client(c);

	if (c->close_source)
		return;
	if (may_log(c))
		log_info(&about, "device disconnected");
	close_soon(c);
}

static void on_outbox_gone(gpointer opaque)
{
	on_gone(opaque);
}

static void on_outbox_failed(gpointer opaque, const char *why)
{
	client_fail(opaque, "%s", why);
}

static void on_outbox_empty(gpointer opaque)
{
	struct client *c = opaque;

	if (c->refused)
		close_soon(c);
}

static gboolean on_stall(gpointer data)
{
	struct client *c = data;

	c->timer = 0;
	client_fail(c, c->in.hello_seen ? "it began a message and did not end it"
					: "it did not say HELLO");
	return G_SOURCE_REMOVE;
}

/* A peer may be silent between messages, once it has introduced itself.  `progress`: one ended. */
static void set_timer(struct client *c, bool progress)
{
	bool wanted = !c->in.hello_seen || c->in.have;

	if (!wanted || progress)
		drop_source(&c->timer);
	if (wanted && !c->timer)
		c->timer = g_timeout_add_seconds(c->d->config->handshake_timeout, on_stall, c);
}

static void fill_status(struct vgpu_msg_status *s, int status, const char *reason)
{
	memset(s, 0, sizeof(*s));
	s->status = status;
	g_strlcpy(s->reason, reason ? reason : "", sizeof(s->reason));
}

static void send_status(struct client *c, uint32_t request, int status, const char *reason)
{
	struct vgpu_msg_status s;

	fill_status(&s, status, reason);
	outbox_put(&c->out, request, VGPU_MSG_REPLY, &s, sizeof(s), NULL, 0);
}

static void send_queue(struct client *c, uint32_t request, uint32_t flags, uint32_t queue,
		       uint64_t session, int status, const char *reason)
{
	struct vgpu_msg_queue_reply r = {.queue = {.queue = queue, .session = session}};

	fill_status(&r.status, status, reason);
	outbox_put(&c->out, request, flags, &r, sizeof(r), NULL, 0);
}

static void send_started(struct client *c, uint32_t queue, uint64_t session, const int *fds,
			 guint nfds, int status, const char *reason)
{
	struct vgpu_msg_queue_start_reply r = {.queue = queue, .session = session};

	fill_status(&r.status, status, reason);
	outbox_put(&c->out, VGPU_MSG_QUEUE_START, VGPU_MSG_REPLY, &r, sizeof(r), fds, nfds);
}

/* The name of the VM as it goes into the log: no byte of it can look like something else. */
static char *clean_name(const char *name)
{
	char *clean = *name ? g_strdup(name) : g_strdup("unnamed");

	for (char *p = clean; *p; p++) {
		if (!g_ascii_isalnum(*p) && !strchr("._-+:@", *p))
			*p = '_';
	}
	return clean;
}

static void log_connected(struct client *c, const struct vgpu_msg_hello_reply *r)
{
	struct log_about about = about_client(c);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	if (may_log(c))
		log_info(&about, "device connected: %u queues, features 0x%llx, pid %d uid %u",
			 r->max_queues, (unsigned long long)r->features, (int)peer.pid, peer.uid);
}

static int judge_hello(const struct vgpu_msg_hello *h, char reason[VGPU_REASON_MAX])
{
	if (h->magic != VGPU_HELLO_MAGIC) {
		g_strlcpy(reason, "the peer is not a vgpu device", VGPU_REASON_MAX);
		return -EPROTO;
	}
	if (h->protocol_version != VGPU_PROTOCOL_VERSION) {
		g_snprintf(reason, VGPU_REASON_MAX,
			   "the device speaks socket protocol %u, this gpu_mediator %u; "
			   "install both of the same release",
			   h->protocol_version, VGPU_PROTOCOL_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (h->abi_version >> 16 != VGPU_ABI_MAJOR) {
		g_snprintf(reason, VGPU_REASON_MAX,
			   "the device has ABI %u.%u, this gpu_mediator serves %u.x; install "
			   "both of the same release",
			   h->abi_version >> 16, h->abi_version & 0xffff, VGPU_ABI_MAJOR);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static void on_hello(struct client *c)
{
	struct vgpu_msg_hello h;
	struct vgpu_msg_hello_reply r = {.protocol_version = VGPU_PROTOCOL_VERSION,
					 .abi_version = VGPU_ABI_VERSION,
					 .backend = c->d->backend};
	char reason[VGPU_REASON_MAX] = "";
	struct log_about about;
	int status;

	framing_payload(&c->in, &h, sizeof(h));
	g_free(c->name);
	c->name = clean_name(h.name);
	memcpy(c->uuid, h.uuid, sizeof(c->uuid));
	about = about_client(c);
	status = judge_hello(&h, reason);
	fill_status(&r.status, status, reason);
	c->refused = status < 0;
	if (!c->refused) {
		c->max_queues = MIN(h.max_queues, c->d->config->max_queues);
		r.max_queues = c->max_queues;
		r.features = h.features & VGPU_F_ALL;
		r.protocol_features = h.protocol_features & VGPU_PF_ALL;
		log_connected(c, &r);
	} else {
		if (may_log(c))
			log_warning(&about, "device refused: %s", reason);
	}
	outbox_put(&c->out, VGPU_MSG_HELLO, VGPU_MSG_REPLY, &r, sizeof(r), NULL, 0);
}

static gboolean on_memory_settled(gpointer data)
{
	struct client *c = data;
	GHashTableIter iter;
	gpointer s;

	c->memory_timer = 0;
	g_hash_table_iter_init(&iter, c->queues);
	while (g_hash_table_iter_next(&iter, NULL, &s))
		session_memory(s);
	return G_SOURCE_REMOVE;
}

/* After a message about memory: the answer if one is wanted, the news to the workers. */
static void memory_done(struct client *c, int status, const char *why)
{
	uint32_t request = framing_request(&c->in);
	struct log_about about = about_client(c);

	if (framing_wants_reply(&c->in))
		send_status(c, request, status, why);
	if (status < 0) {
		log_warning(&about, "%s refused: %s", framing_name(request), why);
		return;
	}
	log_debug(&about, "%s: %u regions", framing_name(request), c->mem.n);
	drop_source(&c->memory_timer);
	c->memory_timer = g_timeout_add(MEMORY_MS, on_memory_settled, c);
}

static void on_set_mem_table(struct client *c)
{
	struct vgpu_msg_mem_table t;
	int fds[VGPU_MSG_REGIONS_MAX];
	const char *why = NULL;
	int status;

	framing_payload(&c->in, &t, sizeof(t));
	for (uint32_t i = 0; i < t.nregions; i++)
		fds[i] = framing_take_fd(&c->in, i);
	status = memtable_set(&c->mem, t.regions, fds, t.nregions, &why);
	if (status < 0)
		fdio_close_all(fds, t.nregions);
	memory_done(c, status, why);
}

static void on_add_mem_reg(struct client *c)
{
	struct vgpu_msg_mem_region r;
	const char *why = NULL;
	int fd = framing_take_fd(&c->in, 0);
	int status;

	framing_payload(&c->in, &r, sizeof(r));
	status = memtable_add(&c->mem, &r.region, fd, &why);
	if (status < 0)
		close(fd);
	memory_done(c, status, why);
}

static void on_rem_mem_reg(struct client *c)
{
	struct vgpu_msg_mem_region r;
	const char *why = NULL;
	int status;

	framing_payload(&c->in, &r, sizeof(r));
	status = memtable_remove(&c->mem, &r.region, &why);
	memory_done(c, status, why);
}

static bool slots_fit(uint32_t slots)
{
	return slots >= VGPU_SLOTS_MIN && slots <= VGPU_SLOTS_MAX && !(slots & (slots - 1));
}

/* What can be said of a QUEUE_START without looking at memory. */
static const char *judge_start(const struct client *c, const struct vgpu_msg_queue_start *m)
{
	bool registers = m->queue == VGPU_QUEUE_REGISTERS;

	if (m->flags & ~VGPU_QUEUE_HOST_RING)
		return "unknown flags";
	if (!registers && m->queue >= c->max_queues)
		return "no such queue";
	if (registers != !!(m->flags & VGPU_QUEUE_HOST_RING))
		return "a host ring is for the register session, and it has no other";
	if (!slots_fit(m->req_slots) || !slots_fit(m->rsp_slots))
		return "a ring's slots must be a power of two from 128 to 4096";
	if (m->nbuffers > VGPU_BUFFERS_MAX)
		return "too many buffers";
	if (registers && (m->ring_addr || m->table_addr || m->nbuffers))
		return "the register session has neither a ring in RAM nor buffers";
	if (m->ring_addr % VGPU_PAGE || m->table_addr % sizeof(struct vgpu_buffer_entry))
		return "the ring or the buffer table is not aligned";
	return NULL;
}

static int may_start(const struct client *c, const struct vgpu_msg_queue_start *m, const char **why)
{
	*why = judge_start(c, m);
	if (*why)
		return -EINVAL;
	if (g_hash_table_contains(c->queues, GUINT_TO_POINTER(m->queue))) {
		*why = "the queue has a session";
		return -EBUSY;
	}
	if (g_hash_table_size(c->d->sessions) >= c->d->config->max_sessions) {
		*why = "the host has as many sessions as its configuration allows";
		return -EUSERS;
	}
	return 0;
}

static void on_queue_start(struct client *c)
{
	struct vgpu_msg_queue_start m;
	char reason[VGPU_REASON_MAX] = "";
	struct log_about about = about_client(c);
	struct session *s = NULL;
	const char *why = reason;
	int kick = framing_take_fd(&c->in, 0), call = framing_take_fd(&c->in, 1);
	int status;

	framing_payload(&c->in, &m, sizeof(m));
	status = may_start(c, &m, &why);
	if (status < 0) {
		close(kick);
		close(call);
	} else {
		s = session_start(c->d, c, &m, kick, call, &status, reason);
		why = reason;
	}
	if (s) {
		g_hash_table_insert(c->queues, GUINT_TO_POINTER(m.queue), s);
		return;
	}
	log_warning(&about, "queue %u refused: %s", m.queue, why);
	send_started(c, m.queue, 0, NULL, 0, status, why);
}

static void on_queue_stop(struct client *c)
{
	struct vgpu_msg_queue m;
	struct session *s;

	framing_payload(&c->in, &m, sizeof(m));
	s = g_hash_table_lookup(c->queues, GUINT_TO_POINTER(m.queue));
	if (!s || s->id != m.session || s->stop_wanted) {
		send_queue(c, VGPU_MSG_QUEUE_STOP, VGPU_MSG_REPLY, m.queue, m.session, -ENOENT,
			   "no such session");
		return;
	}
	s->stop_wanted = true;
	session_kill(s, 0, "stopped by the guest");
}

static void on_queue_resume(struct client *c)
{
	struct vgpu_msg_queue m;
	struct session *s;
	const char *why = "no such session";
	int page = framing_take_fd(&c->in, 0);
	int status = -ENOENT;

	framing_payload(&c->in, &m, sizeof(m));
	s = g_hash_table_lookup(c->d->sessions, &m.session);
	if (s && s->state == SESSION_ORPHAN && s->queue == m.queue &&
	    memcmp(s->uuid, c->uuid, sizeof(s->uuid)) == 0 &&
	    !g_hash_table_contains(c->queues, GUINT_TO_POINTER(m.queue))) {
		g_hash_table_insert(c->queues, GUINT_TO_POINTER(m.queue), s);
		status = session_resume(s, c, page, &why);
		if (status < 0)
			g_hash_table_remove(c->queues, GUINT_TO_POINTER(m.queue));
	} else {
		close(page);
	}
	send_queue(c, VGPU_MSG_QUEUE_RESUME, VGPU_MSG_REPLY, m.queue, m.session, status,
		   status < 0 ? why : "");
}

static void kill_sessions(struct client *c, const char *reason)
{
	GHashTableIter iter;
	gpointer s;

	g_hash_table_iter_init(&iter, c->queues);
	while (g_hash_table_iter_next(&iter, NULL, &s))
		session_kill(s, -ECANCELED, reason);
}

static void finish_reset(struct client *c)
{
	if (!c->reset_wanted || g_hash_table_size(c->queues))
		return;
	c->reset_wanted = false;
	send_status(c, VGPU_MSG_RESET_DEVICE, 0, "");
}

static void on_reset_device(struct client *c)
{
	struct log_about about = about_client(c);

	log_info(&about, "device reset: %u sessions end", g_hash_table_size(c->queues));
	c->reset_wanted = framing_wants_reply(&c->in);
	kill_sessions(c, "the device was reset");
	finish_reset(c);
}

static void dispatch(struct client *c)
{
	switch (framing_request(&c->in)) {
	case VGPU_MSG_HELLO:
		on_hello(c);
		break;
	case VGPU_MSG_SET_MEM_TABLE:
		on_set_mem_table(c);
		break;
	case VGPU_MSG_ADD_MEM_REG:
		on_add_mem_reg(c);
		break;
	case VGPU_MSG_REM_MEM_REG:
		on_rem_mem_reg(c);
		break;
	case VGPU_MSG_QUEUE_START:
		on_queue_start(c);
		break;
	case VGPU_MSG_QUEUE_STOP:
		on_queue_stop(c);
		break;
	case VGPU_MSG_QUEUE_RESUME:
		on_queue_resume(c);
		break;
	case VGPU_MSG_RESET_DEVICE:
		on_reset_device(c);
		break;
	}
}

/* Reads once.  1: a whole message was handled; 0: nothing more now. */
static int read_some(struct client *c)
{
	int fds[VGPU_MSG_FDS_MAX];
	size_t nfds = VGPU_MSG_FDS_MAX, room;
	void *to = framing_room(&c->in, &room);
	ssize_t got = fdio_recv(c->fd, to, room, fds, &nfds);
	const char *why = NULL;
	int ret;

	if (got == -EAGAIN)
		return 0;
	if (got == 0 && c->in.have) {
		client_fail(c, "it closed the connection in the midst of a message");
		return 0;
	}
	if (got == 0 || got == -ECONNRESET) {
		on_gone(c);
		return 0;
	}
	if (got < 0) {
		client_fail(c, "%s",
			    got == -EBADMSG ? "it sent more descriptors than any message "
					      "has"
					    : g_strerror((int)-got));
		return 0;
	}
	ret = framing_added(&c->in, (size_t)got, fds, nfds, &why);
	if (ret < 0) {
		client_fail(c, "it broke the protocol with %s", why);
		return 0;
	}
	if (ret == 0)
		return c->in.have >= sizeof(struct vgpu_msg_header); /* the payload may be there */
	dispatch(c);
	framing_next(&c->in, close_fd);
	c->messages++;
	return 1;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	struct client *c = data;
	uint64_t before = c->messages;

	(void)fd;
	(void)condition;
	for (int i = 0; i < 2 * MESSAGES_MAX && !c->close_source && !c->refused; i++) {
		if (!read_some(c))
			break;
	}
	if (c->close_source || c->refused) {
		c->in_source = 0;
		return G_SOURCE_REMOVE;
	}
	set_timer(c, c->messages != before);
	return G_SOURCE_CONTINUE;
}

struct client *client_new(struct daemon *d, int fd)
{
	struct client *c = g_new0(struct client, 1);

	c->d = d;
	c->fd = fd;
	c->name = g_strdup("unknown");
	c->queues = g_hash_table_new(NULL, NULL);
	framing_init(&c->in);
	outbox_init(&c->out, fd);
	c->out.failed = on_outbox_failed;
	c->out.gone = on_outbox_gone;
	c->out.empty = on_outbox_empty;
	c->out.opaque = c;
	c->in_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_readable, c);
	set_timer(c, false);
	g_ptr_array_add(d->clients, c);
	return c;
}

/* The sessions end by themselves; nobody waits to hear of it any more. */
static void leave_sessions(struct client *c)
{
	GHashTableIter iter;
	gpointer s;

	kill_sessions(c, "its device is gone");
	g_hash_table_iter_init(&iter, c->queues);
	while (g_hash_table_iter_next(&iter, NULL, &s))
		((struct session *)s)->client = NULL;
}

void client_free(struct client *c)
{
	struct daemon *d = c->d;

	leave_sessions(c);
	drop_source(&c->in_source);
	drop_source(&c->timer);
	drop_source(&c->close_source);
	drop_source(&c->memory_timer);
	outbox_clear(&c->out);
	framing_next(&c->in, close_fd);
	memtable_clear(&c->mem);
	g_hash_table_destroy(c->queues);
	close(c->fd);
	g_free(c->name);
	g_ptr_array_remove_fast(d->clients, c);
	g_free(c);
	daemon_check_idle(d);
}

void client_session_ready(struct client *c, struct session *s)
{
	int fds[OUTBOX_FDS] = {s->page_fd, s->lifeline, s->ring};

	send_started(c, s->queue, s->id, fds, s->ring >= 0 ? 3 : 2, 0, "");
}

/* Tells the device what it waits for, or the news. */
void client_session_gone(struct client *c, struct session *s)
{
	g_hash_table_remove(c->queues, GUINT_TO_POINTER(s->queue));
	if (!s->announced)
		send_started(c, s->queue, 0, NULL, 0, s->status < 0 ? s->status : -ECANCELED,
			     s->reason);
	else if (s->stop_wanted)
		send_queue(c, VGPU_MSG_QUEUE_STOP, VGPU_MSG_REPLY, s->queue, s->id, 0, "");
	else if (!c->reset_wanted)
		send_queue(c, VGPU_MSG_QUEUE_LOST, 0, s->queue, s->id,
			   s->status < 0 ? s->status : -EIO, s->reason);
	finish_reset(c);
}
