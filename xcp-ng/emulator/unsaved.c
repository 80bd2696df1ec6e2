/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeping toolstacks from saving the domain. */
#include "unsaved.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* libxl's and xenopsd's. */
#define PLACE "/var/lib/xen/qemu-save.%u"

/* Nobody makes files there; the name is for whoever looks why the place cannot be written. */
#define NOWHERE "/proc/vgpu-stub-xen refuses to have this domain saved"

bool unsaved_begin(uint32_t domid, GError **err)
{
	char *place = g_strdup_printf(PLACE, domid);
	int code = 0;

	g_unlink(place); /* of a domain that had this number */
	if (symlink(NOWHERE, place) < 0) {
		code = errno;
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", place,
			    g_strerror(code));
	}
	g_free(place);
	return !code;
}

void unsaved_end(uint32_t domid)
{
	char *place = g_strdup_printf(PLACE, domid);
	char *target = g_file_read_link(place, NULL);

	if (g_strcmp0(target, NOWHERE) == 0)
		g_unlink(place);
	g_free(target);
	g_free(place);
}
