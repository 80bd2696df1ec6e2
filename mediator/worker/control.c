/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker's end of the conversation with the daemon. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdio.h"
#include "worker.h"

#define ATTACH_FIRST_MS 50u
#define ATTACH_MAX_MS 1000u

/* Lines that a session may send in a second; the rest is counted. */
#define LINES_PER_SECOND 500u

int control_wait(struct worker *w, void *packet, size_t size, int *fds, size_t *nfds)
{
	struct pollfd p = {.fd = w->control, .events = POLLIN};
	ssize_t got;

	if (w->control < 0) /* the daemon died in our first word to it: nobody will ever say more */
		worker_exit(w, WORKER_EXIT_SETUP);
	while (poll(&p, 1, -1) < 0) {
		if (errno != EINTR)
			worker_exit(w, WORKER_EXIT_SETUP);
	}
	got = fdio_recv(w->control, packet, size, fds, nfds);
	if (got <= 0)
		worker_exit(w, WORKER_EXIT_SETUP);
	return (int)got;
}

/* The daemon has gone: look for the next one. */
static void detach(struct worker *w)
{
	fdio_clear(&w->control);
	turn_alone(w);
	w->attach_ms = ATTACH_FIRST_MS;
	w->attach_ns = fdio_now_ns() + ATTACH_FIRST_MS * 1000000ull;
}

static void send_packet(struct worker *w, const void *packet, size_t size)
{
	ssize_t ret;

	if (w->control < 0)
		return;
	ret = fdio_send(w->control, packet, size, NULL, 0);
	if (ret == -EAGAIN)
		w->lines_dropped++;
	else if (ret < 0)
		detach(w);
}

void control_status(struct worker *w, enum ctl_type type, int status, const char *reason)
{
	struct ctl_status s = {.type = type, .status = status};

	snprintf(s.reason, sizeof(s.reason), "%s", reason);
	send_packet(w, &s, sizeof(s));
}

void control_confined(struct worker *w, uint32_t missing)
{
	const struct ctl_confined m = {.type = CTL_CONFINED, .missing = missing};

	send_packet(w, &m, sizeof(m));
}

bool control_turn(struct worker *w, const struct ctl_turn_news *m)
{
	ssize_t ret;

	if (w->control < 0)
		return true; /* nobody to tell, and nobody who minds */
	ret = fdio_send(w->control, m, sizeof(*m), NULL, 0);
	if (ret < 0 && ret != -EAGAIN)
		detach(w);
	return ret != -EAGAIN;
}

bool control_fault(struct worker *w, int error)
{
	const struct ctl_fault m = {.type = CTL_FAULT, .error = error};
	ssize_t ret = -EPIPE;

	if (w->control >= 0)
		ret = fdio_send(w->control, &m, sizeof(m), NULL, 0);
	return ret >= 0;
}

static bool may_log(struct worker *w)
{
	uint64_t now = fdio_now_ns();

	if (now - w->lines_ns >= 1000000000u) {
		w->lines_ns = now;
		w->lines = 0;
	}
	if (w->lines >= LINES_PER_SECOND) {
		w->lines_dropped++;
		return false;
	}
	w->lines++;
	return true;
}

static void send_line(struct worker *w, struct ctl_log *line, const void *text, uint32_t length)
{
	line->type = CTL_LOG;
	line->dropped = w->lines_dropped;
	line->length = MIN(length, CTL_TEXT_MAX);
	memcpy(line->text, text, line->length);
	w->lines_dropped = 0;
	send_packet(w, line, offsetof(struct ctl_log, text) + line->length);
}

void control_text(struct worker *w, uint64_t request, const uint8_t *text, uint32_t length)
{
	struct ctl_log line = {.kind = CTL_LOG_TEXT, .request = request};

	if (may_log(w))
		send_line(w, &line, text, length);
}

void control_warning(struct worker *w, uint64_t request, const char *text)
{
	struct ctl_log line = {.kind = CTL_LOG_WARNING, .request = request};

	if (may_log(w))
		send_line(w, &line, text, (uint32_t)strlen(text));
}

void control_command(struct worker *w, const struct request *r, int status, uint64_t ns)
{
	struct ctl_log line = {.kind = CTL_LOG_COMMAND,
			       .request = r->id,
			       .status = status,
			       .command = r->command,
			       .nanoseconds = ns};

	if (may_log(w))
		send_line(w, &line, "", 0);
}

/* A guest may try as often as it likes: the count tells how often that was. */
#define REFUSED_NS 1000000000u

static void tell_refused(struct worker *w, unsigned int kind, uint64_t now)
{
	send_packet(w, &w->refused[kind].due, sizeof(w->refused[kind].due));
	w->refused[kind].told_ns = now;
	w->refused[kind].due.count = 0;
}

/* When the latest of a kind may be told; 0: there is none to tell of. */
static uint64_t refused_ns(const struct worker *w, unsigned int kind)
{
	if (!w->refused[kind].due.count)
		return 0;
	return w->refused[kind].told_ns ? w->refused[kind].told_ns + REFUSED_NS : 1;
}

static void tell_all_refused(struct worker *w)
{
	for (unsigned int i = 0; i < CTL_REFUSED_KINDS; i++) {
		const uint64_t at = refused_ns(w, i), now = at ? fdio_now_ns() : 0;

		if (at && now >= at)
			tell_refused(w, i, now);
	}
}

void control_refused(struct worker *w, enum ctl_refused_kind kind, uint64_t request, uint64_t value,
		     const char *what)
{
	struct ctl_refused *r = &w->refused[kind].due;

	*r = (struct ctl_refused){.type = CTL_REFUSED,
				  .kind = kind,
				  .request = request,
				  .value = value,
				  .count = r->count + 1};
	g_strlcpy(r->what, what, sizeof(r->what));
	tell_all_refused(w);
}

/* An fd for each region that has one, -1 for those by domain.  False: they are too few or many. */
static bool spread_fds(const struct ctl_mem *mem, const int *fds, size_t nfds, int *each)
{
	size_t used = 0;

	for (uint32_t i = 0; i < mem->nregions; i++) {
		bool by_domain = mem->region[i].xen_flags;

		if (!by_domain && used == nfds)
			return false;
		each[i] = by_domain ? -1 : fds[used++];
	}
	return used == nfds;
}

int control_memory(struct worker *w, const struct ctl_mem *mem, size_t size, int *fds, size_t nfds)
{
	int each[VGPU_MEM_REGIONS_MAX];
	unsigned int bad = 0;
	char words[128];
	int err;

	if (size != sizeof(*mem) || mem->nregions > VGPU_MEM_REGIONS_MAX ||
	    !spread_fds(mem, fds, nfds, each)) {
		fdio_close_all(fds, nfds);
		return -EINVAL;
	}
	err = memory_replace(&w->mem, mem->region, each, mem->nregions, &bad);
	fdio_close_all(fds, nfds);
	if (err) {
		snprintf(words, sizeof(words),
			 "guest RAM at 0x%llx, 0x%llx bytes, cannot be mapped: %s",
			 (unsigned long long)mem->region[bad].guest_addr,
			 (unsigned long long)mem->region[bad].size, g_strerror(-err));
		control_warning(w, 0, words);
	}
	return err;
}

bool control_handle(struct worker *w)
{
	union {
		uint32_t type;
		struct ctl_mem mem;
		struct ctl_turn turn;
		struct ctl_adopted adopted;
		uint8_t bytes[CTL_PACKET_MAX];
	} packet;
	bool changed = false;

	while (w->control >= 0) {
		int fds[CTL_FDS_MAX];
		size_t nfds = CTL_FDS_MAX;
		ssize_t got = fdio_recv(w->control, &packet, sizeof(packet), fds, &nfds);

		if (got == -EAGAIN)
			break;
		if (got == -EBADMSG) /* a memory table is lost: no going on with the old one */
			worker_broken(w, -EMFILE, "the worker could not take the memory table");
		if (got <= 0) {
			detach(w);
			break;
		}
		if (got >= (ssize_t)sizeof(uint32_t) && packet.type == CTL_MEM) {
			/* What was cut from the old mappings is void. */
			buffers_forget(&w->buffers, w->buffers.table);
			control_memory(w, &packet.mem, (size_t)got, fds, nfds);
			worker_remap(w);
			changed = true;
		} else if (got == sizeof(packet.adopted) && packet.type == CTL_ADOPTED &&
			   nfds == 2) {
			if (tenant_take(&w->tenant, fds[0], fds[1], packet.adopted.slot))
				worker_broken(w, -ENOMEM, "the tenant's pages cannot be mapped");
		} else {
			fdio_close_all(fds, nfds);
			if (got == sizeof(packet.turn) && packet.type == CTL_TURN)
				turn_word(w, &packet.turn);
		}
	}
	return changed;
}

/* Knocks at the adoption socket of the runtime directory. */
static int knock(const struct worker *w)
{
	struct ctl_adopt adopt = {
		.type = CTL_ADOPT, .version = CTL_VERSION, .session = w->setup.session};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", w->adopt_dir,
		     CTL_ADOPT_SOCKET) >= (int)sizeof(addr.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fdio_send(fd, &adopt, sizeof(adopt), NULL, 0) < 0)
		fdio_clear(&fd);
	return fd;
}

void control_tick(struct worker *w)
{
	uint64_t now;

	tell_all_refused(w);
	if (w->control >= 0 || !w->adopt_dir)
		return;
	now = fdio_now_ns();
	if (now < w->attach_ns)
		return;
	w->control = knock(w);
	if (w->control >= 0) {
		worker_watch(w, w->control, EPOLLIN, WATCH_CONTROL);
		return;
	}
	w->attach_ms = MIN(w->attach_ms * 2, ATTACH_MAX_MS);
	w->attach_ns = now + w->attach_ms * 1000000ull;
}

int control_timeout(const struct worker *w)
{
	uint64_t due = w->control < 0 && w->adopt_dir ? w->attach_ns : UINT64_MAX;
	uint64_t now;

	for (unsigned int i = 0; i < CTL_REFUSED_KINDS; i++) {
		if (w->refused[i].due.count)
			due = MIN(due, refused_ns(w, i));
	}
	if (due == UINT64_MAX)
		return -1;
	now = fdio_now_ns();
	return now >= due ? 0 : (int)((due - now) / 1000000 + 1);
}
