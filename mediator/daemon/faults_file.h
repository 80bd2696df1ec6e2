/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the next daemon has to know of a tenant's faults: a file for each
 * tenant of which there is something to remember, in the runtime directory.
 */
#ifndef VGPU_DAEMON_FAULTS_FILE_H
#define VGPU_DAEMON_FAULTS_FILE_H

#include "quarantine.h"

struct tenant;

/* All zero if there is none; one that cannot be of our making is said in the log and dropped. */
void faults_file_read(const struct tenant *t, struct quarantine *q, uint64_t now);

/* Of t->faults.  That it cannot be written is said, and stops nothing. */
void faults_file_write(const struct tenant *t);

#endif /* VGPU_DAEMON_FAULTS_FILE_H */
