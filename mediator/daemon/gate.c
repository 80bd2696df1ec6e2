/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which backend serves. */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confinement.h"
#include "fdio.h"
#include "launch.h"
#include "log.h"
#include "vgpu_abi.h"

/* Reads what the probe prints until it ends; what does not fit is dropped. */
static bool listen_to(int *out, int pidfd, gint64 until, GString *words)
{
	for (;;) {
		struct pollfd p[] = {{.fd = *out, .events = POLLIN},
				     {.fd = pidfd, .events = POLLIN}};
		gint64 left = (until - g_get_monotonic_time()) / 1000;
		char chunk[256];
		ssize_t n;

		if (left <= 0 || poll(p, 2, (int)MIN(left, G_MAXINT)) == 0)
			return false;
		n = p[0].revents ? read(*out, chunk, sizeof(chunk)) : 0;
		if (n > 0 && words->len < 512)
			g_string_append_len(words, chunk, n);
		if (n <= 0 && (p[1].revents & POLLIN))
			return true;
		if (n == 0 && p[0].revents) /* closed: wait for the end only */
			fdio_clear(out);
	}
}

static bool judge(pid_t pid, bool in_time, guint timeout, const GString *words, GError **err)
{
	int status = 0;

	waitpid(pid, &status, 0);
	if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (!in_time)
		g_set_error(err, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED,
			    "the driver did not answer within %u s", timeout);
	else if (WIFSIGNALED(status))
		g_set_error(err, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED,
			    "the probe was killed by signal %d (%s)", WTERMSIG(status),
			    strsignal(WTERMSIG(status)));
	else
		g_set_error(err, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "%s",
			    words->len ? words->str : "the probe failed");
	return false;
}

/* Nobody's: the user that it probes as is the one that those of --open have. */
#define PROBE_TENANT "open:probe"
#define PROBE_PROCESSES 1024u

static GPtrArray *probe_arguments(struct daemon *d, guint gpu, bool confined, GError **err)
{
	const struct config *c = d->config;
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(argv, g_strdup(d->worker_path));
	g_ptr_array_add(argv, g_strdup("--probe"));
	g_ptr_array_add(argv, g_strdup("--backend=cuda"));
	g_ptr_array_add(argv, g_strdup_printf("--device=%u", gpu));
	if (c->library_dir)
		g_ptr_array_add(argv, g_strdup_printf("--library-dir=%s", c->library_dir));
	if (confined && !confinement_arguments(d, PROBE_TENANT, PROBE_PROCESSES, argv, err)) {
		g_ptr_array_free(argv, TRUE);
		return NULL;
	}
	g_ptr_array_add(argv, NULL);
	return argv;
}

/* Tries a GPU in a child.  What it found, which the caller frees; NULL with `err` set. */
static char *probe(struct daemon *d, guint gpu, bool confined, GError **err)
{
	const struct config *c = d->config;
	GPtrArray *argv = probe_arguments(d, gpu, confined, err);
	GString *words;
	int out[2] = {-1, -1}, pidfd = -1;
	bool ok = false;
	pid_t pid;

	if (!argv)
		return NULL;
	words = g_string_new(NULL);
	if (pipe2(out, O_CLOEXEC) == 0)
		pidfd = launch_worker((char *const *)argv->pdata, -1, out[1], &pid, err);
	else
		g_set_error(err, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "no pipe: %s",
			    g_strerror(errno));
	fdio_clear(&out[1]);
	if (pidfd >= 0) {
		gint64 until = g_get_monotonic_time() + c->probe_timeout * G_USEC_PER_SEC;

		ok = listen_to(&out[0], pidfd, until, words);
		if (!ok)
			fdio_pidfd_kill(pidfd, SIGKILL);
		g_strstrip(words->str);
		ok = judge(pid, ok, c->probe_timeout, words, err);
		fdio_clear(&pidfd);
	}
	fdio_clear(&out[0]);
	g_ptr_array_free(argv, TRUE);
	return g_string_free(words, !ok);
}

/*
 * First as root, since the driver may have to be loaded and its device files
 * made, then as workers are: what they miss is better known now.
 */
static char *probe_both(struct daemon *d, guint gpu, GError **err)
{
	char *found = probe(d, gpu, false, err), *again;

	if (!found)
		return NULL;
	again = probe(d, gpu, true, err);
	if (!again) {
		g_prefix_error(err, "a confined worker cannot use it (see [worker] gpu-groups, "
				    "visible and confine): ");
		g_clear_pointer(&found, g_free);
	}
	g_free(again);
	return found;
}

static bool try_gpu(struct daemon *d, guint gpu, GError **err)
{
	char *found = probe_both(d, gpu, err);
	char *clean;

	if (!found) {
		if (d->config->ngpus > 1)
			g_prefix_error(err, "GPU %u: ", gpu);
		return false;
	}
	clean = log_escape(found, strlen(found));
	log_info(NULL, "backend cuda: GPU %u: %s", gpu, clean);
	g_free(clean);
	g_free(found);
	return true;
}

/* All that are configured, or none: a session must find what its tenant was promised. */
static bool try_cuda(struct daemon *d, GError **err)
{
	for (guint i = 0; i < d->config->ngpus; i++) {
		if (!try_gpu(d, d->config->gpus[i], err))
			return false;
	}
	return true;
}

bool gate_choose(struct daemon *d, GError **err)
{
	const char *wanted = d->config->backend;
	GError *why = NULL;

	d->backend = VGPU_BACKEND_CPU;
	d->backend_name = "cpu";
	if (strcmp(wanted, "cpu") == 0) {
		log_info(NULL, "backend cpu: as configured");
		return true;
	}
	if (try_cuda(d, &why)) {
		d->backend = VGPU_BACKEND_CUDA;
		d->backend_name = "cuda";
		return true;
	}
	if (strcmp(wanted, "auto") == 0) {
		log_info(NULL, "backend cpu: cuda cannot be used: %s", why->message);
		g_clear_error(&why);
		return true;
	}
	g_propagate_prefixed_error(err, why, "backend cuda cannot be used: ");
	return false;
}
