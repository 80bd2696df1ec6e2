/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpu_mediator-worker: runs the commands of one session.  Started by
 * gpu_mediator with its control socket at CTL_WORKER_FD; with --probe it tries
 * a backend and says what it found.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend_load.h"
#include "confine.h"
#include "cuda/entry.h"
#include "fdio.h"
#include "foreign_load.h"
#include "sanitized.h"
#include "worker.h"

struct options {
	char *backend;
	char *libdir;
	char *runtime_dir;
	int device;
	int uid;
	int gid;
	gboolean try_user;
	char *groups;
	char *confine;
	char *visible;
	int processes;
	int xen_domid;
	gboolean probe;
	gboolean version;
};

static bool parse(struct options *o, int argc, char **argv, GError **err)
{
	const GOptionEntry entries[] = {
		{"backend", 0, 0, G_OPTION_ARG_STRING, &o->backend, "cpu or cuda", "NAME"},
		{"library-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->libdir, "Where backends are",
		 "DIR"},
		{"runtime-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->runtime_dir,
		 "Where a restarted daemon is found", "DIR"},
		{"device", 0, 0, G_OPTION_ARG_INT, &o->device, "Number of the GPU", "N"},
		{"uid", 0, 0, G_OPTION_ARG_INT, &o->uid, "Become this user", "UID"},
		{"gid", 0, 0, G_OPTION_ARG_INT, &o->gid, "Become this group", "GID"},
		{"try-user", 0, 0, G_OPTION_ARG_NONE, &o->try_user,
		 "Stay who it is where that cannot be", NULL},
		{"groups", 0, 0, G_OPTION_ARG_STRING, &o->groups, "Further groups", "GID,..."},
		{"processes", 0, 0, G_OPTION_ARG_INT, &o->processes,
		 "Processes and threads of the user", "N"},
		{"confine", 0, 0, G_OPTION_ARG_STRING, &o->confine, "try, require or off", "MODE"},
		{"visible", 0, 0, G_OPTION_ARG_STRING, &o->visible,
		 "More of the file system that stays visible", "PATH;..."},
		{"xen-domid", 0, 0, G_OPTION_ARG_INT, &o->xen_domid,
		 "The guest's memory is that of this domain", "DOMID"},
		{"probe", 0, 0, G_OPTION_ARG_NONE, &o->probe, "Try the backend and end", NULL},
		{"version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL},
		{NULL},
	};
	GOptionContext *context = g_option_context_new("- serves one session of gpu_mediator");
	bool ok;

	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, &argc, &argv, err);
	g_option_context_free(context);
	return ok;
}

/* The session's memory is large and must not end up in our parent's stdin or stdout. */
static bool control_is_there(void)
{
	struct stat st;

	return fstat(CTL_WORKER_FD, &st) == 0 && S_ISSOCK(st.st_mode);
}

/*
 * The daemon says its first word when this process is in its tenant's control
 * group.  Until then nothing may be taken of the host: it would be charged to
 * the daemon, and a thread made by then would be one too many.
 */
static void wait_for_place(void)
{
	struct pollfd p = {.fd = CTL_WORKER_FD, .events = POLLIN};

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/*
 * What the backend has to say belongs into the daemon's log; our own standard
 * error may be the guest's.
 */
static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *field, gsize n,
				  gpointer opaque)
{
	struct worker *w = opaque;

	if (level > G_LOG_LEVEL_WARNING || g_thread_self() != w->thread)
		return g_log_writer_default(level, field, n, NULL);
	for (gsize i = 0; i < n; i++) {
		if (strcmp(field[i].key, "MESSAGE") == 0 && field[i].length < 0)
			control_warning(w, 0, field[i].value);
	}
	return G_LOG_WRITER_HANDLED;
}

/* Before confinement, which takes the privilege for it away. */
static bool open_memory(struct worker *w, const struct options *o, GError **err)
{
	if (o->xen_domid < 0)
		return true;
	w->mem.frames = &w->frames;
	return foreign_open(&w->frames, (uint32_t)o->xen_domid, o->libdir, err);
}

static enum confine_mode mode_of(const char *word)
{
	if (g_strcmp0(word, "require") == 0)
		return CONFINE_REQUIRE;
	return g_strcmp0(word, "off") == 0 ? CONFINE_OFF : CONFINE_TRY;
}

/* Numbers with commas between them. */
static void set_groups(struct confinement *c, const char *list)
{
	char **items = g_strsplit(list ? list : "", ",", -1);

	for (char **item = items; *item && c->ngroups < CONFINE_GROUPS_MAX; item++) {
		guint64 gid;

		if (g_ascii_string_to_unsigned(*item, 10, 0, G_MAXUINT32 - 1, &gid, NULL))
			c->group[c->ngroups++] = (gid_t)gid;
	}
	g_strfreev(items);
}

/* Confines the process, and tells of what could not be had. */
static bool give_up(struct worker *w, const struct options *o, GError **err)
{
	struct confinement c = {
		.mode = mode_of(o->confine),
		.uid = (uid_t)o->uid,
		.gid = (gid_t)o->gid,
		.try_user = o->try_user,
		.may_thread = w->ops->id != VGPU_BACKEND_CPU || cuda_is_built(),
		.processes = o->processes > 0 ? (rlim_t)o->processes : RLIM_INFINITY,
		.gpu = w->ops->id != VGPU_BACKEND_CPU,
		.foreign = o->xen_domid >= 0,
		.visible = o->visible,
	};
	const char *dir = o->runtime_dir;
	char *root = dir ? g_build_filename(dir, CTL_ROOT_DIR, NULL) : NULL;
	char *adopt = dir ? g_build_filename(dir, CTL_ADOPT_DIR, NULL) : NULL;
	uint32_t missing;
	bool ok;

	c.root = root;
	c.adopt = w->adopt_dir = adopt;
	set_groups(&c, o->groups);
	ok = confine(&c, &missing, err);
	if (adopt && ok && !(missing & CTL_CONFINED_ROOT)) {
		g_free(adopt);
		w->adopt_dir = CONFINE_ADOPT;
	}
	g_free(root);
	control_confined(w, missing);
	return ok;
}

static int serve(const struct options *o, const struct vgpu_backend_ops *ops)
{
	static struct worker w; /* large */
	GError *err = NULL;

	w.control = CTL_WORKER_FD;
	w.kick = w.call = w.lifeline = -1;
	w.ops = ops;
	w.device = o->device;
	w.thread = g_thread_self();
	g_log_set_writer_func(write_log, &w, NULL);
	fcntl(CTL_WORKER_FD, F_SETFD, FD_CLOEXEC);
	if (!open_memory(&w, o, &err) || !give_up(&w, o, &err) ||
	    ops->open(&w.be, (unsigned int)o->device, &err) < 0) {
		control_status(&w, CTL_READY, -EIO, err ? err->message : "the worker cannot start");
		g_clear_error(&err);
		return WORKER_EXIT_SETUP;
	}
	worker_setup(&w);
	worker_loop(&w);
}

/* As a worker of somebody would, if it is told how that is confined. */
static int probe(const struct options *o, const struct vgpu_backend_ops *ops)
{
	char *description = NULL;
	static struct worker w; /* large */
	GError *err = NULL;

	w.control = -1;
	w.ops = ops;
	if ((o->confine && !give_up(&w, o, &err)) ||
	    ops->probe((unsigned int)o->device, &description, &err) < 0) {
		/* The daemon reads it from our standard output. */
		printf("%s\n", err ? err->message : "the probe failed");
		g_clear_error(&err);
		return EXIT_FAILURE;
	}
	printf("%s\n", description ? description : ops->name);
	g_free(description);
	return EXIT_SUCCESS;
}

/*
 * Memory that a guest's program registers appears here at the program's own
 * address, mostly near the top of user space, where our libraries and the
 * driver's reservations would lie too.  With the older layout they lie low.
 */
static void leave_high_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (SANITIZED_THREAD || !cuda_is_built() || now < 0 || now & ADDR_COMPAT_LAYOUT)
		return;
	if (personality((unsigned long)now | ADDR_COMPAT_LAYOUT) >= 0)
		execv("/proc/self/exe", argv);
	/* It goes without, as long as no addresses meet. */
}

int main(int argc, char **argv)
{
	struct options o = {.uid = -1, .gid = -1, .xen_domid = -1};
	const struct vgpu_backend_ops *ops = NULL;
	GError *err = NULL;

	if (control_is_there()) {
		wait_for_place();
		leave_high_addresses(argv);
		prctl(PR_SET_NAME, "gpu_mediator-worker"); /* which that has made "exe" */
	}
	setlocale(LC_ALL, "");
	if (parse(&o, argc, argv, &err)) {
		if (o.version) {
			printf("gpu_mediator-worker %s\n", VGPU_VERSION);
			return EXIT_SUCCESS;
		}
		ops = backend_load(o.backend ? o.backend : "cpu", o.libdir, &err);
	}
	if (!ops) {
		fprintf(o.probe ? stdout : stderr, "%s%s\n",
			o.probe ? "" : "gpu_mediator-worker: ", err->message);
		g_clear_error(&err);
		return EXIT_FAILURE;
	}
	if (o.probe)
		return probe(&o, ops);
	if (!control_is_there()) {
		fprintf(stderr,
			"gpu_mediator-worker: fd %d is not a socket; gpu_mediator starts "
			"this program, not you\n",
			CTL_WORKER_FD);
		return EXIT_FAILURE;
	}
	return serve(&o, ops);
}
