/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tenant between the backend, the guest that asks, and the pages. */
#ifndef VGPU_WORKER_TENANT_TELL_H
#define VGPU_WORKER_TENANT_TELL_H

#include "worker.h"

/* Device memory that the backend needs for commands is charged to the tenant from now on. */
void tenant_pays(struct worker *w);

/* Learns the device's name and memory, if that is not known yet. */
void tenant_identify(struct worker *w);

/* What the guest may know of its tenant; all but `backend` and `name`. */
void tenant_tell(struct worker_tenant *t, struct vgpu_tenant_result *out);

#endif /* VGPU_WORKER_TENANT_TELL_H */
