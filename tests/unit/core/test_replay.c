/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same inputs give the same outputs: random inputs from a fixed seed are
 * played twice, and the two records of all callbacks must be equal.  On the
 * way the invariants in fake.c are checked (no fd lost, no fd closed twice).
 */
#include "fake.h"

#define STEPS 20000

static uint32_t pick_register(GRand *rand)
{
	/* Half of the time one that matters for queues and commands. */
	static const uint32_t likely[] = {
		VGPU_REG_COMMAND,       VGPU_REG_CONTROL,         VGPU_REG_QUEUE_SELECT,
		VGPU_REG_QUEUE_CONTROL, VGPU_REG_QUEUE_REQ_SLOTS, VGPU_REG_DATA_LENGTH,
	};

	if (g_rand_boolean(rand))
		return likely[g_rand_int_range(rand, 0, G_N_ELEMENTS(likely))];
	return (uint32_t)g_rand_int_range(rand, 0, 0x120) & ~3u;
}

static uint32_t pick_queue(GRand *rand)
{
	uint32_t q = (uint32_t)g_rand_int_range(rand, 0, FAKE_QUEUES + 1);

	return q == FAKE_QUEUES ? REGQ : q;
}

/* Answers the oldest message that was sent, mostly well. */
static void answer_one(struct fake *f, GRand *rand)
{
	struct vgpu_msg_hello_reply r = good_hello();
	int status = g_rand_int_range(rand, 0, 40) ? 0 : -EIO;
	const struct sent *s;
	uint32_t q;

	if (f->taken >= f->sent->len)
		return;
	s = &g_array_index(f->sent, struct sent, f->taken++);
	memcpy(&q, s->payload, sizeof(q));
	switch (s->h.request) {
	case VGPU_MSG_HELLO:
		r.status.status = status;
		answer_hello(f, &r);
		break;
	case VGPU_MSG_QUEUE_START:
		answer_start(f, q, f->taken, status);
		break;
	case VGPU_MSG_QUEUE_STOP:
	case VGPU_MSG_QUEUE_RESUME: {
		struct vgpu_msg_queue m;

		memcpy(&m, s->payload, sizeof(m));
		answer_queue(f, s->h.request, m.queue, m.session, status);
		break;
	}
	default:
		answer(f, s->h.request, status);
	}
}

static void step(struct fake *f, GRand *rand)
{
	struct vgpu_request rq;
	uint8_t body[VGPU_RECORD_MAX];
	size_t length;
	uint32_t q = pick_queue(rand), offset, value;

	switch (g_rand_int_range(rand, 0, 16)) {
	case 0:
		f->connect_result = g_rand_boolean(rand) ? 0 : -ENOENT;
		pass(f, g_rand_int_range(rand, 0, 1000));
		break;
	case 1:
		if (!g_rand_int_range(rand, 0, 30))
			vgpu_core_disconnected(f->c);
		break;
	case 2:
		if (fake_q(f, q)->lifeline >= 0 && !g_rand_int_range(rand, 0, 4))
			vgpu_core_lifeline_hup(f->c, q);
		break;
	case 3:
		set_ram(f, (size_t)g_rand_int_range(rand, 1, 12));
		break;
	case 4:
		vgpu_core_doorbell(f->c, q);
		vgpu_core_call(f->c, q);
		break;
	case 5:
		if (vgpu_core_queue_state(f->c, REGQ) == VGPU_QUEUE_STATE_RUNNING &&
		    worker_take(f, &rq, body, &length))
			worker_answer(f, &rq, 0, body, length);
		break;
	case 6:
		set_reg(f, VGPU_REG_DRIVER_FEATURES_LO, VGPU_F_ALL);
		set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
		set_up_queue(f, (uint32_t)g_rand_int_range(rand, 0, FAKE_QUEUES));
		set_reg(f, VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_START);
		break;
	case 10:
		control(f, (uint32_t)g_rand_int_range(rand, 0, FAKE_QUEUES), VGPU_QUEUE_STOP);
		break;
	case 7:
	case 8:
	case 9:
		offset = pick_register(rand); /* one after the other, whatever the compiler */
		value = g_rand_int(rand);
		set_reg(f, offset, value >> g_rand_int_range(rand, 0, 32));
		break;
	default:
		answer_one(f, rand);
	}
	g_string_append_printf(f->trace, "= %x %x\n", reg(f, VGPU_REG_STATUS),
			       reg(f, VGPU_REG_QUEUE_STATE));
}

static GString *play(guint32 seed, unsigned int *running)
{
	GRand *rand = g_rand_new_with_seed(seed);
	struct fake *f = fake_new();
	GString *trace = g_string_new(NULL);

	f->trace = trace;
	set_ram(f, 1);
	vgpu_core_start(f->c);
	for (int i = 0; i < STEPS; i++)
		step(f, rand);
	*running = 0;
	for (size_t q = 0; q <= FAKE_QUEUES; q++)
		*running += f->q[q].up;
	fake_free(f);
	g_rand_free(rand);
	return trace;
}

static void test_replay(void)
{
	for (guint32 seed = 1; seed <= 5; seed++) {
		unsigned int first, second;
		GString *a = play(seed, &first);
		GString *b = play(seed, &second);

		g_test_message("seed %u: %zu bytes of record, %u queues came up", seed, a->len,
			       first);
		g_assert_cmpuint(first, >, 50); /* the play went somewhere */
		g_assert_cmpuint(first, ==, second);
		g_assert_true(g_string_equal(a, b));
		g_string_free(a, TRUE);
		g_string_free(b, TRUE);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/replay/same-outputs", test_replay);
	return g_test_run();
}
