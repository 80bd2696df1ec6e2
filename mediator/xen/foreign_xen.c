/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Foreign memory by Xen's library; the only part of the mediator that knows Xen. */
#include <errno.h>
#include <gmodule.h>
#include <sys/mman.h>
#include <xenforeignmemory.h>

#include "foreign.h"

struct vgpu_foreign {
	xenforeignmemory_handle *handle;
	uint32_t domid;
};

static int fail(GError **err, const char *what)
{
	int code = errno ? errno : EIO;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", what,
		    g_strerror(code));
	return -code;
}

static int xen_open(struct vgpu_foreign **f, uint32_t domid, GError **err)
{
	xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
	int ret;

	if (!handle)
		return fail(err, "guest memory of Xen cannot be reached (/dev/xen/privcmd)");
	if (xenforeignmemory_restrict(handle, (domid_t)domid) < 0) {
		ret = fail(err, "access to Xen cannot be restricted to one domain (dom0's kernel "
				"must be 4.14 or newer)");
		xenforeignmemory_close(handle);
		return ret;
	}
	*f = g_new0(struct vgpu_foreign, 1);
	(*f)->handle = handle;
	(*f)->domid = domid;
	return 0;
}

static void xen_close(struct vgpu_foreign *f)
{
	xenforeignmemory_close(f->handle);
	g_free(f);
}

static void *xen_map(struct vgpu_foreign *f, void *at, uint64_t gfn, size_t pages,
		     int bad[VGPU_FOREIGN_PAGES_MAX])
{
	xen_pfn_t frame[VGPU_FOREIGN_PAGES_MAX];

	if (!pages || pages > VGPU_FOREIGN_PAGES_MAX) {
		errno = EINVAL;
		return NULL;
	}
	for (size_t i = 0; i < pages; i++)
		frame[i] = (xen_pfn_t)(gfn + i);
	return xenforeignmemory_map2(f->handle, f->domid, at, PROT_READ | PROT_WRITE,
				     MAP_SHARED | (at ? MAP_FIXED : 0), pages, frame, bad);
}

static const struct vgpu_foreign_ops ops = {
	.api = VGPU_FOREIGN_API,
	.open = xen_open,
	.close = xen_close,
	.map = xen_map,
};

G_MODULE_EXPORT const struct vgpu_foreign_ops *vgpu_foreign_get(void);

const struct vgpu_foreign_ops *vgpu_foreign_get(void)
{
	return &ops;
}
