/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XenStore: what is known of the domain, and what we let others know.
 *
 *   /local/domain/0/backend/vgpu-stub/DOMID/0/   for the administrator
 *   /local/domain/DOMID/vgpu-stub/0/             the guest may read it, too
 */
#ifndef VGPU_XEN_STORE_H
#define VGPU_XEN_STORE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct store;

/* NULL with `err` set. */
struct store *store_open(uint32_t domid, GError **err);
/* Leaves what was written. */
void store_close(struct store *s);

/* Is the domain there (it may be shut down)? */
bool store_domain_lives(struct store *s);
/* The VM's name; the caller frees it.  NULL: it has none. */
char *store_name(struct store *s);
/* Bytes of memory that it may have at most; 0: unknown. */
uint64_t store_memory(struct store *s);

/* Readable once domains came or went, or others wrote over store_forbid_saving(). */
bool store_watch(struct store *s, int *fd);
/* Then this.  True: store_forbid_saving() is due again, in a while. */
bool store_drain(struct store *s);

/* One value of the administrator's; NULL removes it.  False: it could not be written. */
bool store_set(struct store *s, const char *key, const char *value);
/* The state, for both. */
bool store_set_state(struct store *s, const char *state);
/*
 * Tells xapi why the domain can be neither suspended nor migrated; NULL: it can.
 * The key is its and xenopsd's, which takes it away when QEMU has no objections.
 */
bool store_forbid_saving(struct store *s, const char *why);
/* Takes all of it away. */
void store_remove(struct store *s);

#endif /* VGPU_XEN_STORE_H */
