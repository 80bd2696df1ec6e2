// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text commands: one line in, one line out, for shells and simple programs.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vgpu_drv.h"

/**
 * struct vgpu_word - a text command that is more than text
 * @word: what is written
 * @command: what is sent
 * @answer: prints the answer, at most VGPU_RECORD_MAX bytes
 */
struct vgpu_word {
	const char *word;
	u16 command;
	int (*answer)(char *out, const void *body, size_t length);
};

static const char *vgpu_backend_name(__le32 backend)
{
	switch (le32_to_cpu(backend)) {
	case VGPU_BACKEND_CPU:
		return "cpu";
	case VGPU_BACKEND_CUDA:
		return "cuda";
	default:
		return "unknown";
	}
}

static int vgpu_answer_nop(char *out, const void *body, size_t length)
{
	return scnprintf(out, VGPU_RECORD_MAX, "NOP command successful\n");
}

static int vgpu_answer_text(char *out, const void *body, size_t length)
{
	return scnprintf(out, VGPU_RECORD_MAX, "OK\n");
}

static int vgpu_answer_vector_add(char *out, const void *body, size_t length)
{
	struct vgpu_compute_result r;

	if (length < sizeof(r))
		return -EPROTO;
	memcpy(&r, body, sizeof(r));
	return scnprintf(out, VGPU_RECORD_MAX,
			 "Vector add %s: %llu elements, %u errors\n",
			 r.errors ? "failed" : "passed",
			 le64_to_cpu(r.elements), le32_to_cpu(r.errors));
}

static int vgpu_answer_status(char *out, const void *body, size_t length)
{
	struct vgpu_status_result r;

	if (length < sizeof(r))
		return -EPROTO;
	memcpy(&r, body, sizeof(r));
	return scnprintf(out, VGPU_RECORD_MAX,
			 "Status: backend %s, requests %llu, errors %llu, bytes in %llu, bytes out %llu\n",
			 vgpu_backend_name(r.backend), le64_to_cpu(r.requests),
			 le64_to_cpu(r.errors), le64_to_cpu(r.bytes_in),
			 le64_to_cpu(r.bytes_out));
}

static const struct vgpu_word vgpu_words[] = {
	{ "NOP", VGPU_CMD_NOP, vgpu_answer_nop },
	{ "RUN_VECTOR_ADD", VGPU_CMD_VECTOR_ADD, vgpu_answer_vector_add },
	{ "QUERY_STATUS", VGPU_CMD_QUERY_STATUS, vgpu_answer_status },
};

static const struct vgpu_word vgpu_any_text = {
	NULL, VGPU_CMD_TEXT, vgpu_answer_text
};

static const struct vgpu_word *vgpu_word_find(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vgpu_words); i++)
		if (strlen(vgpu_words[i].word) == length &&
		    !memcmp(vgpu_words[i].word, text, length))
			return &vgpu_words[i];
	return &vgpu_any_text;
}

/* Takes responses whose requesters gave up, then looks for the next one. */
static int vgpu_text_response(struct vgpu_session *s)
{
	int length = vgpu_ring_peek(s, s->record);

	while (length > 0 && s->stale) {
		vgpu_ring_advance(s, length);
		s->stale--;
		length = vgpu_ring_peek(s, s->record);
	}
	if (length > 0)
		vgpu_ring_advance(s, length);
	return length;
}

/* Nobody will read the answer: it is dropped when it comes. */
static int vgpu_text_give_up(struct vgpu_session *s, int error)
{
	s->stale++;
	return error;
}

static int vgpu_text_wait(struct vgpu_session *s)
{
	unsigned long end = jiffies + msecs_to_jiffies(vgpu_text_timeout_ms);

	for (;;) {
		int length = vgpu_text_response(s);
		long ret;

		if (length != -EAGAIN)
			return length < 0 ? length : 0;
		if (vgpu_session_error(s))
			return vgpu_session_error(s);
		if (time_after(jiffies, end))
			return vgpu_text_give_up(s, -ETIMEDOUT);
		ret = wait_event_interruptible_timeout(s->wait,
						       vgpu_ring_moved(s, s->rsp_cons) ||
						       vgpu_session_error(s),
						       HZ / 10);
		if (ret < 0)
			return vgpu_text_give_up(s, -EINTR);
	}
}

static int vgpu_text_exchange(struct vgpu_session *s,
			      const struct vgpu_request *req, u32 length)
{
	int ret;

	if (atomic_read(&s->mode) == VGPU_MODE_REGISTERS)
		return vgpu_regs_command(s, req, length, s->record);
	ret = vgpu_ring_push(s, req, length);
	return ret ?: vgpu_text_wait(s);
}

static int vgpu_text_answer(struct vgpu_session *s, const struct vgpu_word *word)
{
	struct vgpu_response *rsp = s->record;
	int ret = vgpu_errno(le32_to_cpu(rsp->status));

	if (ret)
		return ret;
	ret = word->answer(s->answer, rsp + 1,
			   le32_to_cpu(rsp->length) - sizeof(*rsp));
	if (ret < 0)
		return ret;
	s->answer_len = ret;
	s->answer_done = 0;
	return 0;
}

/**
 * vgpu_text_run - run one text command and keep its answer for read()
 * @s: session in kernel or register mode
 * @text: what was written
 * @length: its bytes; only the first line is used
 *
 * Context: Process context, @s->lock held; sleeps until the host has answered.
 * Return: Bytes of @text used, newline included, or a negative errno: the
 * status of the command, -EMSGSIZE, -EBUSY (binary requests are in flight),
 * -EINTR, -ETIMEDOUT, or the error the session was lost with.
 */
ssize_t vgpu_text_run(struct vgpu_session *s, const char *text, size_t length)
{
	const char *newline = memchr(text, '\n', length);
	size_t line = newline ? newline - text : length;
	size_t used = newline ? line + 1 : length;
	const struct vgpu_word *word = vgpu_word_find(text, line);
	struct vgpu_request *req;
	u32 body = word->word ? 0 : line;
	int ret;

	if (line == 0)
		return used;
	if (line > VGPU_TEXT_MAX)
		return -EMSGSIZE;
	if (s->inflight > s->stale)
		return -EBUSY;
	req = kzalloc(sizeof(*req) + body, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	req->length = cpu_to_le32(sizeof(*req) + body);
	req->command = cpu_to_le16(word->command);
	memcpy(req + 1, text, body);
	s->text = true;
	s->answer_len = 0;
	ret = vgpu_text_exchange(s, req, sizeof(*req) + body);
	kfree(req);
	if (!ret)
		ret = vgpu_text_answer(s, word);
	return ret ?: used;
}
