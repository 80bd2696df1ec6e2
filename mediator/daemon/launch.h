/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting the worker program and learning how it ended. */
#ifndef VGPU_DAEMON_LAUNCH_H
#define VGPU_DAEMON_LAUNCH_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* A program of ours: `configured`, or NAME beside this one, or installed.  Caller frees. */
char *launch_program_path(const char *configured, const char *name);

/* The worker's path: `configured`, or beside this program, or installed.  Caller frees. */
char *launch_worker_path(const char *configured);

/*
 * Starts argv[0] in a process group of its own with nothing but standard
 * error, `out_fd` as standard output (-1: nowhere) and `control` as
 * CTL_WORKER_FD (-1: none).  Returns a pidfd, which the caller owns; -1 with
 * `err` set.
 */
int launch_worker(char *const argv[], int control, int out_fd, pid_t *pid, GError **err);

/*
 * Reaps a child that has ended.  Its end in words, which the caller frees;
 * *signum: the signal that ended it, or 0.
 */
char *launch_reap(pid_t pid, int *signum);

#endif /* VGPU_DAEMON_LAUNCH_H */
