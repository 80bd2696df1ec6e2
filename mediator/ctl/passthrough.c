/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Could a GPU be given to a VM as a whole? */
#include <stdarg.h>
#include <string.h>

#include "gpus.h"

static void say(GPtrArray *why, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void say(GPtrArray *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(why, g_strdup_vprintf(format, args));
	va_end(args);
}

/* What lets a device be given away: nothing holds it, or the driver made for that does. */
static bool is_free(const char *driver)
{
	return !driver || strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "pciback") == 0 ||
	       strcmp(driver, "pci-stub") == 0;
}

static bool judge_neighbour(const struct gpu *g, const struct neighbour *n, GPtrArray *why)
{
	if (n->is_bridge || is_free(n->driver))
		return true;
	if (n->same_device) {
		say(why, "%s, another function of it, goes with it: driver %s must let go of it",
		    n->address, n->driver);
		return true;
	}
	say(why, "IOMMU group %d also holds %s, which driver %s uses: a group goes as a whole",
	    g->iommu_group, n->address, n->driver);
	return false;
}

bool passthrough_possible(const struct gpu *g, GPtrArray **why)
{
	bool possible = true;

	*why = g_ptr_array_new_with_free_func(g_free);
	if (g->iommu_group < 0) {
		say(*why, "it is in no IOMMU group: turn the IOMMU on (VT-d or AMD-Vi) in the "
			  "firmware and the kernel");
		possible = false;
	}
	for (guint i = 0; i < g->neighbours->len; i++)
		possible &= judge_neighbour(g, g_ptr_array_index(g->neighbours, i), *why);
	if (g->boot_vga)
		say(*why, "it shows the host's console, which would be lost");
	if (!is_free(g->driver))
		say(*why, "driver %s must let go of it, and with it all that uses it here",
		    g->driver);
	return possible;
}
