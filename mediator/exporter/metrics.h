/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon says of itself, as Prometheus reads it; pure. */
#ifndef VGPU_EXPORTER_METRICS_H
#define VGPU_EXPORTER_METRICS_H

#include <json-glib/json-glib.h>

/*
 * The text of one scrape, of the answers to "status" and "tenants"; NULL for
 * both: the daemon cannot be asked.  `now`: seconds since 1970.  The caller
 * frees it.
 */
char *metrics_text(JsonNode *status, JsonNode *tenants, double now);

/* A line for each metric that there can be: name, type. */
char *metrics_list(void);

#endif /* VGPU_EXPORTER_METRICS_H */
