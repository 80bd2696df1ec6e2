/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a device says of its guest's memory, and how the workers hear of it. */
#include <errno.h>

#include "client_priv.h"
#include "discard.h"
#include "fdio.h"
#include "session.h"

/*
 * How long to wait for the rest of a change of memory, in ms: what the device
 * sends as a removal and an addition must not look to a worker as if its queue
 * had been taken away in between.
 */
#define MEMORY_MS 5

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
	struct log_about about = client_about(c);

	if (framing_wants_reply(&c->in))
		client_send_status(c, request, status, why);
	if (status < 0) {
		if (client_may_log(c))
			log_warning(&about, "%s refused: %s", framing_name(request), why);
		return;
	}
	log_debug(&about, "%s: %u regions", framing_name(request), c->mem.n);
	if (c->memory_timer)
		g_source_remove(c->memory_timer);
	c->memory_timer = g_timeout_add(MEMORY_MS, on_memory_settled, c);
}

/* What is not memory could make those wait who map or close it. */
static int check_fds(const int *fds, uint32_t n, const char **why)
{
	for (uint32_t i = 0; i < n; i++) {
		if (fds[i] >= 0 && !fdio_is_memory(fds[i])) {
			*why = "guest RAM must be a memfd or a file of a tmpfs or a hugetlbfs";
			return -EINVAL;
		}
	}
	return 0;
}

void client_set_mem_table(struct client *c)
{
	struct vgpu_msg_mem_table t;
	int fds[VGPU_MSG_REGIONS_MAX];
	const char *why = NULL;
	uint32_t used = 0;
	int status;

	framing_payload(&c->in, &t, sizeof(t));
	for (uint32_t i = 0; i < t.nregions; i++)
		fds[i] = t.regions[i].xen_flags ? -1 : framing_take_fd(&c->in, used++);
	status = check_fds(fds, t.nregions, &why);
	if (!status)
		status = memtable_set(&c->mem, t.regions, fds, t.nregions, &why);
	if (status < 0)
		discard_all(fds, t.nregions);
	memory_done(c, status, why);
}

void client_add_mem_reg(struct client *c)
{
	struct vgpu_msg_mem_region r;
	const char *why = NULL;
	int fd = framing_take_fd(&c->in, 0);
	int status;

	framing_payload(&c->in, &r, sizeof(r));
	status = check_fds(&fd, 1, &why);
	if (!status)
		status = memtable_add(&c->mem, &r.region, fd, &why);
	if (status < 0)
		discard(fd);
	memory_done(c, status, why);
}

void client_rem_mem_reg(struct client *c)
{
	struct vgpu_msg_mem_region r;
	const char *why = NULL;
	int status;

	framing_payload(&c->in, &r, sizeof(r));
	status = memtable_remove(&c->mem, &r.region, &why);
	memory_done(c, status, why);
}
