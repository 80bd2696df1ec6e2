/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading what the daemon answered: what is not there, or is something else, reads as nothing. */
#ifndef VGPU_CTL_JSON_H
#define VGPU_CTL_JSON_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* An object's members; a path of names is separated by dots: "usage.gpu_seconds". */
const char *json_text(JsonObject *o, const char *path); /* "" if there is none */
double json_number(JsonObject *o, const char *path);    /* 0 */
uint64_t json_limit(JsonObject *o, const char *path);   /* UINT64_MAX for null or none */
bool json_flag(JsonObject *o, const char *path);        /* false */

/* Elements of an array that are objects. */
guint json_count(JsonNode *array);
JsonObject *json_at(JsonNode *array, guint i); /* never NULL: an empty one if it is none */

JsonObject *json_object_of(JsonNode *node); /* the same */

/* Is this whole number in the array that is a member? */
bool json_has_number(JsonObject *o, const char *member, gint64 number);

#endif /* VGPU_CTL_JSON_H */
