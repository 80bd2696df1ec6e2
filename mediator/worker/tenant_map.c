/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mapping the pages of a worker's tenant. */
#include "tenant.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* At `old`, if there is something already: pointers into it are all over the worker. */
static void *map(int fd, size_t size, int protection, const void *old)
{
	return mmap((void *)old, size, protection, MAP_SHARED | (old ? MAP_FIXED : 0), fd, 0);
}

static int take_limits(struct worker_tenant *t, int fd)
{
	void *page = map(fd, TENANT_LIMITS_BYTES, PROT_READ, t->page);

	if (page == MAP_FAILED)
		return -errno;
	t->page = page;
	t->limits.seq = 0; /* numbers of another page mean nothing */
	tenant_look(t);
	return t->limits.version == TENANT_PAGE_VERSION ? 0 : -EPROTO;
}

static int take_usage(struct worker_tenant *t, int fd, uint32_t slot)
{
	struct session_usage before = {0};
	void *page;

	if (t->mine)
		before = *t->mine;
	page = map(fd, TENANT_USAGE_BYTES, PROT_READ | PROT_WRITE, t->usage);
	if (page == MAP_FAILED)
		return -errno;
	t->usage = page;
	t->mine = &t->usage->session[slot];
	before.life = USAGE_SERVES;
	*t->mine = before;
	return 0;
}

int tenant_take(struct worker_tenant *t, int limits_fd, int usage_fd, uint32_t slot)
{
	int ret = slot < TENANT_SESSIONS_MAX ? 0 : -EINVAL;

	if (!ret)
		ret = take_limits(t, limits_fd);
	if (!ret)
		ret = take_usage(t, usage_fd, slot);
	close(limits_fd);
	close(usage_fd);
	return ret;
}
