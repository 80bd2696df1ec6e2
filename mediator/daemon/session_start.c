/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The start of a session: its shared objects, its process, what that is told. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "confinement.h"
#include "discard.h"
#include "fdio.h"
#include "launch.h"
#include "session_priv.h"
#include "state.h"
#include "tenant.h"
#include "turns.h"
#include "vgpu_ring.h"
#include "worker_groups.h"

/* Opens a memfd again so that the holder of the copy can only read. */
static int reopen_readonly(int fd)
{
	char path[64];
	int ret;

	g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, O_RDONLY | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

/* What a session is made of, before it has a process. */
struct parts {
	int control[2];  /* ours, the worker's */
	int lifeline[2]; /* the device's, the worker's */
	int page;        /* writable */
};

static void drop_parts(struct parts *p)
{
	fdio_close_all(p->control, 2);
	fdio_close_all(p->lifeline, 2);
	fdio_clear(&p->page);
}

static int make_parts(struct session *s, const struct vgpu_msg_queue_start *start, struct parts *p)
{
	int readonly;

	*p = (struct parts){{-1, -1}, {-1, -1}, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->control) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->lifeline) < 0)
		return -errno;
	p->page = fdio_memfd("vgpu-session", VGPU_PAGE);
	if (p->page < 0)
		return p->page;
	readonly = reopen_readonly(p->page);
	if (readonly < 0)
		return readonly;
	if (!session_take_page(s, readonly)) {
		close(readonly);
		return -ENOMEM;
	}
	if (!(start->flags & VGPU_QUEUE_HOST_RING))
		return 0;
	s->ring = fdio_memfd("vgpu-ring", vgpu_ring_bytes(start->req_slots, start->rsp_slots));
	return s->ring < 0 ? s->ring : 0;
}

static int launch(struct session *s, int control, GError **err)
{
	const struct config *c = s->d->config;
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	uint32_t domid = memtable_domain(&s->client->mem);
	int pidfd = -1;

	g_ptr_array_add(argv, g_strdup(s->d->worker_path));
	g_ptr_array_add(argv, g_strdup_printf("--backend=%s", s->d->backend_name));
	g_ptr_array_add(argv, g_strdup_printf("--device=%u", s->gpu));
	if (c->library_dir)
		g_ptr_array_add(argv, g_strdup_printf("--library-dir=%s", c->library_dir));
	if (domid != MEMTABLE_NO_DOMAIN && s->queue != VGPU_QUEUE_REGISTERS)
		g_ptr_array_add(argv, g_strdup_printf("--xen-domid=%u", domid));
	if (confinement_arguments(s->d, s->tenant->name, policy_host_processes(s->tenant->policy),
				  argv, err)) {
		g_ptr_array_add(argv, NULL);
		pidfd = launch_worker((char *const *)argv->pdata, control, -1, &s->pid, err);
	}
	g_ptr_array_free(argv, TRUE);
	return pidfd;
}

static int send_setup(const struct session *s, const struct vgpu_msg_queue_start *start,
		      const struct parts *p, int kick, int call)
{
	const struct config *c = s->d->config;
	const struct ctl_setup setup = {
		.type = CTL_SETUP,
		.version = CTL_VERSION,
		.session = s->id,
		.slot = s->slot,
		.start = *start,
		.max_operand = (uint64_t)c->max_operand_mib << 20,
		.spin_us = c->spin_us,
		.verbose = c->log_commands || c->log_level == G_LOG_LEVEL_DEBUG,
	};
	const int fds[CTL_SETUP_FDS] = {
		kick,   call, p->page, p->lifeline[1], s->tenant->limits_fd, s->tenant->usage_fd,
		s->ring};
	ssize_t ret = fdio_send(p->control[0], &setup, sizeof(setup), fds,
				s->ring >= 0 ? CTL_SETUP_FDS : CTL_SETUP_FDS - 1);

	return ret < 0 ? (int)ret : 0;
}

static gboolean on_timeout(gpointer data)
{
	struct session *s = data;
	struct log_about about = session_about(s);

	s->timer = 0;
	log_error(&about, "the worker did not get ready in time; it is killed");
	session_kill(s, -ETIMEDOUT, "the worker did not get ready in time");
	return G_SOURCE_REMOVE;
}

static bool is_required(const struct daemon *d)
{
	return strcmp(d->config->worker_confine, "require") == 0;
}

/* Is there a place for another process of the tenant? */
static int find_group(const struct session *s, char reason[VGPU_REASON_MAX])
{
	if (!s->d->groups && is_required(s->d)) {
		g_strlcpy(reason,
			  "the host has no control group to limit a tenant's workers, which "
			  "[worker] confine=require wants; its log says why",
			  VGPU_REASON_MAX);
		return -EIO;
	}
	if (!worker_group_is_full(s->tenant))
		return 0;
	g_snprintf(reason, VGPU_REASON_MAX,
		   "the tenant's workers have the %u processes and threads that they may "
		   "(host-processes); end a session, or ask the host's administrator",
		   policy_host_processes(s->tenant->policy));
	return -EUSERS;
}

/* Its place among processes, and then all that it needs. */
static int equip(struct session *s, const struct vgpu_msg_queue_start *start, struct parts *p,
		 int kick, int call, const char **why)
{
	int ret = worker_group_enter(s->tenant, s->pid);

	if (ret && is_required(s->d)) {
		*why = "the worker could not be put into a control group";
		return ret;
	}
	*why = "the worker could not be told what to do";
	ret = send_setup(s, start, p, kick, call);
	return ret ? ret : session_send_memory(s);
}

/* Starts the process and gives it all it needs. */
static int bring_up(struct session *s, const struct vgpu_msg_queue_start *start, struct parts *p,
		    int kick, int call, char reason[VGPU_REASON_MAX])
{
	GError *err = NULL;
	const char *why;
	int ret = make_parts(s, start, p);

	if (ret) {
		g_snprintf(reason, VGPU_REASON_MAX, "no resources for a session: %s",
			   g_strerror(-ret));
		return ret;
	}
	ret = find_group(s, reason);
	if (ret)
		return ret;
	s->pidfd = launch(s, p->control[1], &err);
	if (s->pidfd < 0) {
		g_strlcpy(reason, err->message, VGPU_REASON_MAX);
		g_clear_error(&err);
		return -EIO;
	}
	s->is_child = true;
	s->lifeline = p->lifeline[0];
	p->lifeline[0] = -1;
	session_watch(s);
	session_attach(s, p->control[0]);
	ret = equip(s, start, p, kick, call, &why);
	p->control[0] = -1;
	if (ret) { /* it has a process: its end is reported when that is gone */
		session_kill(s, ret, why);
	} else {
		turns_enter(s);
		s->timer = g_timeout_add_seconds(s->d->config->start_timeout, on_timeout, s);
	}
	return 0;
}

/* The sessions of each GPU, those of the tenant and all. */
static void count_sessions(const struct daemon *d, const struct tenant *t, struct policy_gpu *gpus)
{
	GHashTableIter iter;
	gpointer value;

	for (guint i = 0; i < d->config->ngpus; i++)
		gpus[i] = (struct policy_gpu){.number = d->config->gpus[i]};
	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct session *s = value;

		for (guint i = 0; i < d->config->ngpus; i++) {
			if (gpus[i].number == s->gpu) {
				gpus[i].all++;
				gpus[i].own += s->tenant == t;
			}
		}
	}
}

/* A GPU, and a slot among the tenant's sessions. */
static int find_place(struct session *s, char reason[VGPU_REASON_MAX])
{
	struct tenant *t = s->client->tenant;
	struct policy_gpu gpus[CONFIG_GPUS_MAX];
	const struct policy_gpu *place;

	count_sessions(s->d, t, gpus);
	place = policy_place(t->policy, gpus, s->d->config->ngpus);
	if (!place) {
		g_strlcpy(reason,
			  "the tenant may use none of the GPUs that there are; ask the host's "
			  "administrator",
			  VGPU_REASON_MAX);
		return -ENODEV;
	}
	s->gpu = place->number;
	if (tenant_enter(t, s))
		return 0;
	g_snprintf(reason, VGPU_REASON_MAX,
		   "the tenant has the %u sessions that it may have; end one, or ask the host's "
		   "administrator",
		   t->policy->sessions);
	return -EUSERS;
}

struct session *session_start(struct daemon *d, struct client *c,
			      const struct vgpu_msg_queue_start *start, int kick, int call,
			      int *status, char reason[VGPU_REASON_MAX])
{
	struct session *s = session_new(d, state_next_id(d));
	struct parts p;

	s->client = c;
	s->queue = start->queue;
	s->tag = start->tag;
	memcpy(s->uuid, c->uuid, sizeof(s->uuid));
	s->vm = g_strdup(c->name);
	*status = find_place(s, reason);
	if (!*status) {
		*status = bring_up(s, start, &p, kick, call, reason);
		drop_parts(&p);
	}
	discard(kick);
	discard(call);
	if (*status) {
		session_free(s);
		return NULL;
	}
	return s;
}
