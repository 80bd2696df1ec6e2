/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes the reader of tenants' files: whatever is accepted keeps the limits
 * that gpu_mediator.tenant(5) promises, and whatever is not has a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define CHECK(what)              \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

static void check_rate(const struct policy_rate *r)
{
	CHECK(!r->rate == !r->burst);
	CHECK(r->rate <= 1ull << 50 && r->burst <= 1ull << 50);
}

static void check(const struct policy *p)
{
	char *classes = policy_classes_text(p->classes);

	CHECK(p->socket || p->uids->len);
	CHECK(!p->socket || (g_path_is_absolute(p->socket) && strlen(p->socket) < 108));
	CHECK(p->socket_mode <= 0777);
	CHECK(p->classes && !(p->classes & ~(uint32_t)POLICY_ALL) && *classes);
	CHECK(p->memory == POLICY_NO_LIMIT || p->memory <= 1ull << 50);
	CHECK(p->memory_percent <= 100);
	CHECK(policy_memory_on(p, 1ull << 40) <= 1ull << 40);
	CHECK(p->weight >= 1 && p->weight <= 10000);
	CHECK(p->cap_percent >= 1 && p->cap_percent <= 100);
	CHECK(p->sessions >= 1 && p->sessions <= 256);
	CHECK(p->queue_depth >= 256 && p->queue_depth <= 4096);
	check_rate(&p->calls);
	check_rate(&p->bytes);
	CHECK(p->kernel_ns && p->faults_ns && p->quarantine_ns);
	CHECK(p->quarantine_most_ns >= p->quarantine_ns);
	for (guint i = 0; i < p->gpus->len; i++)
		CHECK(g_array_index(p->gpus, guint, i) <= 255);
	for (guint i = 0; i < p->uids->len; i++)
		CHECK(g_array_index(p->uids, uid_t, i) != (uid_t)-1);
	g_free(classes);
}

/* In a set it is found by all that it is, and does not go in twice. */
static void check_set(struct policy *p, const char *text, size_t size)
{
	struct policy_set *set = policy_set_new();
	GError *err = NULL;

	CHECK(policy_set_add(set, p, NULL));
	CHECK(policy_set_find(set, "vm1") == p);
	CHECK(!p->socket || policy_set_by_socket(set, p->socket) == p);
	for (guint i = 0; i < p->uids->len; i++)
		CHECK(policy_set_by_uid(set, g_array_index(p->uids, uid_t, i)) == p);
	CHECK(!policy_set_add(set, policy_parse("vm1", text, size, NULL), &err) && err);
	g_clear_error(&err);
	CHECK(!policy_set_add(set, policy_parse("vm2", text, size, NULL), &err) && err);
	g_clear_error(&err);
	policy_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GError *err = NULL;
	struct policy *p = policy_parse("vm1", (const char *)data, size, &err);

	CHECK(!p == (err != NULL));
	CHECK(!err || g_str_has_prefix(err->message, "vm1: "));
	g_clear_error(&err);
	if (p) {
		check(p);
		check_set(p, (const char *)data, size);
	}
	return 0;
}
