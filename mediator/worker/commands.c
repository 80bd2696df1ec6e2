/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands: each checks its own operands, asks the backend, makes an
 * answer.  What is common to all (framing, buffers, counting) happens around
 * them, in commands_run().
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "cuda/entry.h"
#include "fdio.h"
#include "selftest.h"
#include "tenant_tell.h"
#include "worker.h"

/* The part of the response that a command fills in. */
struct answer {
	uint8_t *body;
	uint32_t length;
};

#define BODY_MAX (VGPU_RECORD_MAX - (uint32_t)sizeof(struct vgpu_response))

typedef int (*command_fn)(struct worker *w, const struct request *r, struct answer *a);

static void put(struct answer *a, const void *data, size_t length)
{
	memcpy(a->body + a->length, data, length);
	a->length += (uint32_t)length;
}

static int cmd_nop(struct worker *w, const struct request *r, struct answer *a)
{
	(void)w;
	(void)r;
	(void)a;
	return 0;
}

static int cmd_text(struct worker *w, const struct request *r, struct answer *a)
{
	(void)a;
	if (!r->body_length || r->ndesc)
		return -EINVAL;
	if (r->body_length > VGPU_TEXT_MAX)
		return -EMSGSIZE;
	control_text(w, r->id, r->body, r->body_length);
	return 0;
}

static int cmd_query_status(struct worker *w, const struct request *r, struct answer *a)
{
	const struct vgpu_session_page *p = w->page;
	struct vgpu_status_result s;

	if (r->ndesc || r->body_length)
		return -EINVAL;
	worker_count_kicks(w);
	s = (struct vgpu_status_result){.backend = w->ops->id,
					.uptime_ns = fdio_now_ns() - w->started_ns,
					.requests = p->requests,
					.errors = p->errors,
					.bytes_in = p->bytes_in,
					.bytes_out = p->bytes_out,
					.host_copied = p->host_copied,
					.kicks = p->kicks,
					.calls = p->calls,
					.sleeps = p->sleeps};
	put(a, &s, sizeof(s));
	return 0;
}

static int cmd_gpu_info(struct worker *w, const struct request *r, struct answer *a)
{
	struct vgpu_info_result info = {0};
	int err;

	if (r->ndesc || r->body_length)
		return -EINVAL;
	err = w->ops->info(w->be, &info);
	if (err)
		return err;
	tenant_memory_seen(&w->tenant, &info.memory_free, &info.memory_total);
	info.backend = w->ops->id;
	info.name[sizeof(info.name) - 1] = '\0';
	put(a, &info, sizeof(info));
	return 0;
}

static int cmd_tenant(struct worker *w, const struct request *r, struct answer *a)
{
	struct vgpu_tenant_result t;

	if (r->ndesc || r->body_length)
		return -EINVAL;
	tenant_identify(w);
	tenant_tell(&w->tenant, &t);
	t.backend = w->ops->id;
	memcpy(t.name, w->device_name, sizeof(t.name));
	put(a, &t, sizeof(t));
	return 0;
}

/* Descriptor `i` as an operand of exactly `bytes` bytes of 32-bit words. */
static int operand(struct worker *w, const struct request *r, unsigned int i, uint32_t access,
		   uint64_t bytes, struct vgpu_operand *op)
{
	if (bytes > w->setup.max_operand)
		return -EMSGSIZE;
	if (r->desc[i].length != bytes)
		return -EINVAL;
	return buffers_get(&w->buffers, &r->desc[i], access, sizeof(uint32_t), op);
}

/* Three arrays, in registered buffers or in the request and the answer themselves. */
struct arrays {
	struct vgpu_operand a, b, out;
	struct vgpu_run inline_run[3];
	uint64_t inline_copied;
};

static int arrays_of_buffers(struct worker *w, const struct request *r, const uint64_t bytes[3],
			     struct arrays *x)
{
	int err = operand(w, r, 0, VGPU_BUFFER_READ, bytes[0], &x->a);

	if (!err)
		err = operand(w, r, 1, VGPU_BUFFER_READ, bytes[1], &x->b);
	if (!err)
		err = operand(w, r, 2, VGPU_BUFFER_WRITE, bytes[2], &x->out);
	return err;
}

static int arrays_inline(const uint8_t *data, uint64_t length, const uint64_t bytes[3],
			 struct answer *a, struct arrays *x)
{
	struct vgpu_operand *op[3] = {&x->a, &x->b, &x->out};
	uint8_t *base[3] = {(uint8_t *)data, (uint8_t *)data + bytes[0],
			    a->body + sizeof(struct vgpu_compute_result)};

	if (bytes[0] > length || bytes[1] != length - bytes[0])
		return -EINVAL;
	if (bytes[2] > BODY_MAX - sizeof(struct vgpu_compute_result))
		return -EMSGSIZE;
	for (int i = 0; i < 3; i++) {
		x->inline_run[i] = (struct vgpu_run){.base = base[i], .length = bytes[i]};
		*op[i] = (struct vgpu_operand){
			.run = &x->inline_run[i], .nruns = 1, .length = bytes[i]};
	}
	/* Into the private copy of the request, and out by the response ring. */
	x->inline_copied = bytes[0] + bytes[1] + bytes[2];
	return 0;
}

/* Finds the arrays, whichever form the request has; `fixed` bytes of body came before. */
static int find_arrays(struct worker *w, const struct request *r, uint32_t fixed,
		       const uint64_t bytes[3], struct answer *a, struct arrays *x)
{
	memset(x, 0, sizeof(*x));
	if (r->ndesc == 3 && r->body_length == fixed)
		return arrays_of_buffers(w, r, bytes, x);
	if (r->ndesc == 0)
		return arrays_inline(r->body + fixed, r->body_length - fixed, bytes, a, x);
	return -EINVAL;
}

static void put_result(struct worker *w, const struct vgpu_work *work, const struct arrays *x,
		       struct answer *a)
{
	struct vgpu_compute_result res = {.backend = w->ops->id,
					  .elements = x->out.length / sizeof(float),
					  .nanoseconds = work->nanoseconds,
					  .host_copied = work->host_copied + x->inline_copied};

	put(a, &res, sizeof(res));
	if (x->inline_copied) /* the backend has put the data there already */
		a->length += (uint32_t)x->out.length;
	worker_count_bytes(w, x->a.length + x->b.length, x->out.length, res.host_copied);
}

static int put_self_test(struct worker *w, int err, uint32_t errors, const struct vgpu_work *work,
			 struct answer *a)
{
	struct vgpu_compute_result res = {.backend = w->ops->id,
					  .errors = errors,
					  .elements = VGPU_SELF_TEST_ELEMENTS,
					  .nanoseconds = work->nanoseconds,
					  .host_copied = work->host_copied};

	if (err)
		return err;
	put(a, &res, sizeof(res));
	return 0;
}

static int cmd_vector_add(struct worker *w, const struct request *r, struct answer *a)
{
	struct vgpu_vector_add v;
	struct vgpu_work work = {0};
	struct arrays x;
	uint64_t bytes[3];
	uint32_t errors = 0;
	int err;

	if (!r->ndesc && !r->body_length) {
		err = selftest_vector_add(w->ops, w->be, &work, &errors);
		return put_self_test(w, err, errors, &work, a);
	}
	if (r->body_length < sizeof(v))
		return -EINVAL;
	memcpy(&v, r->body, sizeof(v));
	if (!v.elements)
		return -EINVAL;
	if (v.elements > w->setup.max_operand / sizeof(float))
		return -EMSGSIZE;
	bytes[0] = bytes[1] = bytes[2] = v.elements * sizeof(float);
	err = find_arrays(w, r, sizeof(v), bytes, a, &x);
	if (!err)
		err = w->ops->vector_add(w->be, &x.a, &x.b, &x.out, v.elements, &work);
	if (!err)
		put_result(w, &work, &x, a);
	return err;
}

static int cmd_matmul(struct worker *w, const struct request *r, struct answer *a)
{
	struct vgpu_matmul d;
	struct vgpu_work work = {0};
	struct arrays x;
	uint64_t bytes[3];
	uint32_t errors = 0;
	int err;

	if (!r->ndesc && !r->body_length) {
		err = selftest_matmul(w->ops, w->be, &work, &errors);
		return put_self_test(w, err, errors, &work, a);
	}
	if (r->body_length < sizeof(d))
		return -EINVAL;
	memcpy(&d, r->body, sizeof(d));
	if (!d.m || !d.n || !d.k || d.reserved)
		return -EINVAL;
	if (d.m > VGPU_MATMUL_DIM_MAX || d.n > VGPU_MATMUL_DIM_MAX || d.k > VGPU_MATMUL_DIM_MAX)
		return -EMSGSIZE;
	bytes[0] = (uint64_t)d.m * d.k * sizeof(float);
	bytes[1] = (uint64_t)d.k * d.n * sizeof(float);
	bytes[2] = (uint64_t)d.m * d.n * sizeof(float);
	err = find_arrays(w, r, sizeof(d), bytes, a, &x);
	if (!err)
		err = w->ops->matmul(w->be, &x.a, &x.b, &x.out, &d, &work);
	if (!err)
		put_result(w, &work, &x, a);
	return err;
}

static int cmd_bandwidth(struct worker *w, const struct request *r, struct answer *a)
{
	struct vgpu_bandwidth b;
	struct vgpu_bandwidth_result res = {0};
	struct vgpu_work work = {0};
	struct vgpu_operand op;
	int err;

	if (r->ndesc != 1 || r->body_length != sizeof(b))
		return -EINVAL;
	memcpy(&b, r->body, sizeof(b));
	if (b.reserved || !b.repetitions || b.repetitions > 1000)
		return -EINVAL;
	err = operand(w, r, 0, VGPU_BUFFER_READ | VGPU_BUFFER_WRITE, r->desc[0].length, &op);
	if (err)
		return err;
	err = w->ops->bandwidth(w->be, &op, b.repetitions, &res, &work);
	if (err)
		return err;
	res.backend = w->ops->id;
	put(a, &res, sizeof(res));
	worker_count_bytes(w, res.bytes, res.bytes, res.host_copied);
	return 0;
}

/* Each says what a tenant must be allowed for it; doc/tenants.md lists them too. */
#define ANY 0u

static const struct {
	command_fn run;
	const char *name;
	uint32_t classes; /* enum policy_class */
	bool is_long;
	bool uses_gpu;
} commands[] = {
	[VGPU_CMD_NOP] = {cmd_nop, "NOP", ANY, false, false},
	[VGPU_CMD_VECTOR_ADD] = {cmd_vector_add, "VECTOR_ADD", POLICY_BUILTIN, true, true},
	[VGPU_CMD_QUERY_STATUS] = {cmd_query_status, "QUERY_STATUS", ANY, false, false},
	[VGPU_CMD_GPU_INFO] = {cmd_gpu_info, "GPU_INFO", POLICY_BUILTIN, true, false},
	[VGPU_CMD_MATMUL] = {cmd_matmul, "MATMUL", POLICY_BUILTIN, true, true},
	[VGPU_CMD_BANDWIDTH] = {cmd_bandwidth, "BANDWIDTH", POLICY_BUILTIN, true, true},
	[VGPU_CMD_TEXT] = {cmd_text, "TEXT", POLICY_BUILTIN, false, false},
	/* The driver may have to start for this one. */
	[VGPU_CMD_TENANT] = {cmd_tenant, "TENANT", ANY, true, false},
};

bool commands_is_long(const void *record)
{
	const struct vgpu_request *h = record;

	return h->command < G_N_ELEMENTS(commands) && commands[h->command].is_long;
}

bool commands_uses_gpu(const void *record)
{
	const struct vgpu_request *h = record;

	return h->command < G_N_ELEMENTS(commands) && commands[h->command].uses_gpu;
}

static int run_once(struct worker *w, const struct request *r, struct answer *a)
{
	int err;

	if (r->command >= G_N_ELEMENTS(commands) || !commands[r->command].run)
		return -EOPNOTSUPP;
	if (!tenant_allows(&w->tenant, commands[r->command].classes)) {
		TENANT_COUNT(&w->tenant, refused, 1);
		control_refused(w, CTL_REFUSED_CLASS, r->id,
				commands[r->command].classes & ~w->tenant.limits.classes,
				commands[r->command].name);
		return -EPERM;
	}
	a->length = 0;
	if (commands[r->command].uses_gpu)
		turn_begin(w);
	err = commands[r->command].run(w, r, a);
	if (commands[r->command].uses_gpu)
		turn_end(w);
	if (commands[r->command].is_long)
		cuda_disturbed(w); /* the backend uses the driver too */
	buffers_release(&w->buffers);
	return err;
}

/*
 * A region that the device has just announced may still wait in the control
 * socket: on a fault look there, and try again if the table has changed.
 */
static int run(struct worker *w, const struct request *r, struct answer *a)
{
	int err = run_once(w, r, a);

	if (err == -EFAULT && control_handle(w))
		err = run_once(w, r, a);
	return err;
}

bool commands_run(struct worker *w, const void *record, uint32_t length)
{
	const struct vgpu_request *h = record;
	struct answer a = {.body = w->rsp.bytes + sizeof(struct vgpu_response)};
	uint64_t began;
	struct request r;
	int err;

	if (h->command == VGPU_CMD_CUDA)
		return cuda_request(w, record, length);
	began = w->setup.verbose ? fdio_now_ns() : 0;
	err = request_parse(record, length, &r);

	if (!err)
		err = run(w, &r, &a);
	if (err) {
		a.length = 0;
		queue_count(&w->page->errors, 1);
	}
	w->rsp.header =
		(struct vgpu_response){.length = (uint32_t)sizeof(struct vgpu_response) + a.length,
				       .status = (uint32_t)err,
				       .id = r.id,
				       .command = r.command};
	if (err || w->setup.verbose)
		control_command(w, &r, err, began ? fdio_now_ns() - began : 0);
	return true;
}
