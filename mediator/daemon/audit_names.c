/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kinds and causes of audit lines are called. */
#include "audit.h"

#include <string.h>

static const char *const kinds[AUDIT_KINDS] = {
	[AUDIT_DAEMON] = "daemon",
	[AUDIT_SESSION_ALLOWED] = "session-allowed",
	[AUDIT_SESSION_ENDED] = "session-ended",
	[AUDIT_SESSION_REFUSED] = "session-refused",
	[AUDIT_CONNECTION_REFUSED] = "connection-refused",
	[AUDIT_OPERATION_REFUSED] = "operation-refused",
	[AUDIT_LIMIT_REACHED] = "limit-reached",
	[AUDIT_POLICY_CHANGED] = "policy-changed",
	[AUDIT_EVICTION] = "eviction",
	[AUDIT_FAULT] = "fault",
	[AUDIT_QUARANTINE] = "quarantine",
	[AUDIT_COMMAND] = "command",
	[AUDIT_LEFT_OUT] = "lines-left-out",
	[AUDIT_LOST] = "lines-lost",
};

static const char *const causes[AUDIT_CAUSES] = {
	[AUDIT_NONE] = "none",
	[AUDIT_NO_POLICY] = "no-policy",
	[AUDIT_PROTOCOL] = "protocol",
	[AUDIT_HOST_LIMIT] = "host-limit",
	[AUDIT_SESSIONS] = "sessions",
	[AUDIT_QUEUE_DEPTH] = "queue-depth",
	[AUDIT_CLASS] = "class",
	[AUDIT_GPUS] = "gpus",
	[AUDIT_MEMORY] = "memory",
	[AUDIT_RATE] = "rate",
	[AUDIT_TIME] = "gpu-time",
	[AUDIT_KERNEL_TIME] = "kernel-time",
	[AUDIT_HOST_PROCESSES] = "host-processes",
	[AUDIT_FAULTS] = "faults",
	[AUDIT_QUARANTINED] = "quarantined",
	[AUDIT_DRAINING] = "draining",
	[AUDIT_RESOURCES] = "resources",
	[AUDIT_ADMINISTRATOR] = "administrator",
	[AUDIT_NOT_PERMITTED] = "not-permitted",
};

const char *audit_kind_name(enum audit_kind kind)
{
	return kind < AUDIT_KINDS ? kinds[kind] : "unknown";
}

int audit_kind_parse(const char *name)
{
	for (int i = 0; i < AUDIT_KINDS; i++) {
		if (strcmp(kinds[i], name) == 0)
			return i;
	}
	return -1;
}

const char *audit_cause_name(enum audit_cause cause)
{
	return cause < AUDIT_CAUSES ? causes[cause] : "unknown";
}
