/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose memory a device may name by a domain's number.  What it says of itself
 * does not count: the user that it connected as does.
 */
#include <string.h>
#include <sys/socket.h>

#include "client_priv.h"

/* The domain that a user id stands for, as device models have one each; else none. */
static uint32_t domain_of_user(const struct config *config, uid_t uid)
{
	uid_t number = uid - config->xen_uid_base;

	return uid > config->xen_uid_base && number < VGPU_XEN_DOMID_END ? number
									 : MEMTABLE_NO_DOMAIN;
}

void client_called(struct client *c, uint32_t domid)
{
	c->called = true;
	c->called_domid = domid;
}

void client_judge_domain(struct client *c)
{
	const struct config *config = c->d->config;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (strcmp(config->xen_domains, "none") == 0 ||
	    getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return;
	c->mem.domid = domain_of_user(config, peer.uid);
	c->mem.by_domain = c->mem.domid != MEMTABLE_NO_DOMAIN ||
			   (peer.uid == 0 && strcmp(config->xen_domains, "root") == 0);
	/* It may be its guest's by now, so "the first that it names" is not enough. */
	if (c->called && c->mem.domid == MEMTABLE_NO_DOMAIN) {
		c->mem.domid = c->called_domid;
		c->mem.by_domain &= c->called_domid != MEMTABLE_NO_DOMAIN;
	}
	/* A worker of a daemon before us must not take this for a number that it knows. */
	c->mem.generation = (uint64_t)g_random_int() << 32;
}
