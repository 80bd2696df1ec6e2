/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a device introduces itself, and whether it is served. */
#include <errno.h>
#include <string.h>

#include "client_priv.h"
#include "tenants.h"
#include "vgpu_abi.h"

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
	struct log_about about = client_about(c);

	if (client_may_log(c))
		log_info(&about,
			 "device connected: %u queues, features 0x%llx, pid %d uid %u tenant %s",
			 r->max_queues, (unsigned long long)r->features, (int)c->peer.pid,
			 c->peer.uid, c->tenant->name);
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

/* Who it is: what it said of itself has no part in that. */
static int find_tenant(struct client *c, char reason[VGPU_REASON_MAX])
{
	c->tenant = tenants_identify(c, reason);
	if (!c->tenant)
		return -EACCES;
	c->tenant->connections++;
	return 0;
}

void client_hello(struct client *c)
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
	about = client_about(c);
	status = judge_hello(&h, reason);
	if (!status)
		status = find_tenant(c, reason);
	client_fill_status(&r.status, status, reason);
	c->refused = status < 0;
	if (!c->refused) {
		c->max_queues = MIN(h.max_queues, c->d->config->max_queues);
		r.max_queues = c->max_queues;
		r.features = h.features & VGPU_F_ALL;
		r.protocol_features = h.protocol_features & VGPU_PF_ALL;
		if (h.protocol_features & VGPU_PF_XEN_MMAP)
			client_judge_domain(c);
		if (c->mem.by_domain)
			r.protocol_features |= VGPU_PF_XEN_MMAP;
		log_connected(c, &r);
	} else {
		if (client_may_log(c))
			log_warning(&about, "device refused: %s", reason);
		client_audit(c, AUDIT_CONNECTION_REFUSED,
			     status == -EACCES ? AUDIT_NO_POLICY : AUDIT_PROTOCOL, reason);
	}
	outbox_put(&c->out, VGPU_MSG_HELLO, VGPU_MSG_REPLY, &r, sizeof(r), NULL, 0);
}
