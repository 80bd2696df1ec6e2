/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzer of the device core.  The input is a series of steps: register
 * accesses, bytes and messages from the daemon, time, answers of the shell,
 * and whatever a hostile worker may write into the register session's ring.
 *
 * Besides what the sanitizers see, it checks that the core closes each
 * descriptor exactly once, watches a lifeline before it unwatches it, maps the
 * ring once, and sends well-formed messages only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgpu_core.h"
#include "vgpu_ring.h"

#define QUEUES 4u
#define FDS 4096
#define CHECK(what)                                                                \
	do {                                                                       \
		if (!(what)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                   \
		}                                                                  \
	} while (0)

struct input {
	const uint8_t *data;
	size_t left;
};

static uint32_t take(struct input *in, size_t bytes)
{
	uint32_t value = 0;

	for (size_t i = 0; i < bytes && in->left; i++, in->left--)
		value |= (uint32_t)*in->data++ << (8 * i);
	return value;
}

/* The shell's state; file descriptors are numbers, all tracked. */
struct shell {
	struct vgpu_core *c;
	int64_t now;
	bool connected;
	uint8_t fails; /* bits: connect, later, send, make, map */
	bool open[FDS];
	int next_fd;
	int lifeline[QUEUES + 1];
	uint64_t session[QUEUES + 1];
	uint8_t *ring;
};

static size_t slot(uint32_t q)
{
	CHECK(q < QUEUES || q == VGPU_QUEUE_REGISTERS);
	return q < QUEUES ? q : QUEUES;
}

static int op_connect(void *opaque)
{
	struct shell *s = opaque;

	CHECK(!s->connected);
	if (s->fails & 1)
		return -111;
	if (s->fails & 2)
		return -EINPROGRESS;
	s->connected = true;
	return 0;
}

static void op_disconnect(void *opaque)
{
	((struct shell *)opaque)->connected = false;
}

static int op_send(void *opaque, const void *data, size_t length, const int *fds, size_t nfds)
{
	struct shell *s = opaque;
	struct vgpu_msg_header h;

	CHECK(s->connected);
	CHECK(length >= sizeof(h) && length <= sizeof(h) + VGPU_MSG_PAYLOAD_MAX);
	memcpy(&h, data, sizeof(h));
	CHECK(h.size == length - sizeof(h));
	CHECK((h.flags & ~VGPU_MSG_NEED_REPLY) == VGPU_SOCKET_VERSION);
	CHECK(nfds <= VGPU_MSG_FDS_MAX);
	for (size_t i = 0; i < nfds; i++)
		CHECK(fds[i] >= 0);
	return s->fails & 4 ? -105 : 0;
}

static int op_make(void *opaque, uint32_t q, int *kick, int *call)
{
	struct shell *s = opaque;

	slot(q);
	*kick = *call = 1;
	return s->fails & 8 ? -24 : 0;
}

static void op_up(void *opaque, uint32_t q, uint32_t vector)
{
	(void)opaque;
	slot(q);
	CHECK(vector < vgpu_core_vectors(QUEUES));
}

static void op_down(void *opaque, uint32_t q)
{
	(void)opaque;
	slot(q);
}

static void op_raise(void *opaque, uint32_t vector)
{
	(void)opaque;
	CHECK(vector < vgpu_core_vectors(QUEUES));
}

static void op_watch(void *opaque, uint32_t q, int fd)
{
	struct shell *s = opaque;

	CHECK(s->lifeline[slot(q)] == -1 && fd >= 0 && fd < FDS && s->open[fd]);
	s->lifeline[slot(q)] = fd;
}

static void op_unwatch(void *opaque, uint32_t q, int fd)
{
	struct shell *s = opaque;

	CHECK(s->lifeline[slot(q)] == fd);
	s->lifeline[slot(q)] = -1;
}

static void op_shutdown(void *opaque, int fd)
{
	CHECK(((struct shell *)opaque)->open[fd]);
}

/* Memory of its own each time, so that the sanitizer sees every byte beyond. */
static void *op_map(void *opaque, int fd, size_t length)
{
	struct shell *s = opaque;

	CHECK(s->open[fd] && !s->ring);
	if (!(s->fails & 16))
		s->ring = calloc(1, length);
	return s->ring;
}

static void op_unmap(void *opaque, void *mem, size_t length)
{
	struct shell *s = opaque;

	(void)length;
	CHECK(mem == s->ring);
	free(s->ring);
	s->ring = NULL;
}

static void op_close(void *opaque, int fd)
{
	struct shell *s = opaque;

	CHECK(fd >= 0 && fd < FDS && s->open[fd]);
	s->open[fd] = false;
}

static void op_log(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	(void)level;
	for (; *text; text++)
		CHECK(*text >= 0x20 && *text < 0x7f);
}

static const struct vgpu_core_ops ops = {
	.connect = op_connect,
	.disconnect = op_disconnect,
	.send = op_send,
	.make_queue_fds = op_make,
	.queue_up = op_up,
	.queue_down = op_down,
	.kick = op_down,
	.raise = op_raise,
	.watch_lifeline = op_watch,
	.unwatch_lifeline = op_unwatch,
	.shutdown_lifeline = op_shutdown,
	.map = op_map,
	.unmap = op_unmap,
	.close_fd = op_close,
	.log = op_log,
};

/* ---------------------------------------------------------------------- steps */

static size_t new_fds(struct shell *s, int *fds, size_t n)
{
	if (s->next_fd + n > FDS)
		return 0;
	for (size_t i = 0; i < n; i++) {
		s->open[s->next_fd] = true;
		fds[i] = s->next_fd++;
	}
	return n;
}

static uint32_t pick_queue(struct input *in)
{
	uint32_t q = take(in, 1) % (QUEUES + 1);

	return q < QUEUES ? q : VGPU_QUEUE_REGISTERS;
}

static void bytes_from_daemon(struct shell *s, struct input *in)
{
	uint8_t buf[64];
	int fds[16];
	size_t n = take(in, 1) % sizeof(buf);
	size_t nfds = new_fds(s, fds, take(in, 1) % 16);

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)take(in, 1);
	vgpu_core_receive(s->c, buf, n, fds, nfds);
}

/* A message of the right shape, with the values that the input wants. */
static size_t payload_for(struct shell *s, struct input *in, uint32_t request, uint8_t *p)
{
	struct vgpu_msg_hello_reply hello = {
		.protocol_version = 1,
		.abi_version = VGPU_ABI_VERSION,
		.max_queues = QUEUES,
		.features = VGPU_F_ALL,
		.protocol_features = VGPU_PF_ALL,
	};
	struct vgpu_msg_queue_start_reply start = {0};
	struct vgpu_msg_queue_reply queue = {0};
	struct vgpu_msg_status status = {.status = -(int32_t)(take(in, 1) & 0x7f)};
	uint32_t q = pick_queue(in);

	if (take(in, 1) & 1)
		status.status = 0;
	switch (request) {
	case VGPU_MSG_HELLO:
		hello.status = status;
		memcpy(p, &hello, sizeof(hello));
		return sizeof(hello);
	case VGPU_MSG_QUEUE_START:
		start.status = status;
		start.queue = q;
		start.session = take(in, 1) + 1;
		s->session[slot(q)] = start.session;
		memcpy(p, &start, sizeof(start));
		return sizeof(start);
	case VGPU_MSG_QUEUE_STOP:
	case VGPU_MSG_QUEUE_RESUME:
	case VGPU_MSG_QUEUE_LOST:
		queue.status = status;
		queue.queue.queue = q;
		queue.queue.session = s->session[slot(q)];
		memcpy(p, &queue, sizeof(queue));
		return sizeof(queue);
	}
	memcpy(p, &status, sizeof(status));
	return sizeof(status);
}

static void message_from_daemon(struct shell *s, struct input *in)
{
	static const uint32_t requests[] = {
		VGPU_MSG_HELLO,       VGPU_MSG_SET_MEM_TABLE, VGPU_MSG_ADD_MEM_REG,
		VGPU_MSG_REM_MEM_REG, VGPU_MSG_RESET_DEVICE,  VGPU_MSG_QUEUE_START,
		VGPU_MSG_QUEUE_STOP,  VGPU_MSG_QUEUE_RESUME,  VGPU_MSG_QUEUE_LOST,
	};
	uint8_t buf[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX] = {0};
	uint8_t *payload = buf + sizeof(struct vgpu_msg_header);
	struct vgpu_msg_header h = {.flags = VGPU_SOCKET_VERSION};
	uint8_t spoil, nfds_wanted;
	int fds[16];
	size_t nfds;

	h.request = requests[take(in, 1) % (sizeof(requests) / sizeof(*requests))];
	h.flags |= h.request == VGPU_MSG_QUEUE_LOST ? 0 : VGPU_MSG_REPLY;
	h.size = (uint32_t)payload_for(s, in, h.request, payload);
	nfds_wanted = (uint8_t)take(in, 1) % 16;
	spoil = (uint8_t)take(in, 1);
	if (spoil & 1) /* one byte of it is other */
		payload[take(in, 1) % h.size] ^= (uint8_t)take(in, 1);
	if (spoil & 2)
		h.size = take(in, 2) % (VGPU_MSG_PAYLOAD_MAX + 2);
	if (spoil & 4)
		h.flags ^= take(in, 1);
	memcpy(buf, &h, sizeof(h));
	nfds = new_fds(s, fds, nfds_wanted);
	vgpu_core_receive(s->c, buf, sizeof(h) + h.size % VGPU_MSG_PAYLOAD_MAX, fds, nfds);
}

static void set_memory(struct shell *s, struct input *in)
{
	struct vgpu_core_region r[VGPU_MEM_REGIONS_MAX + 2];
	size_t n = take(in, 1) % (sizeof(r) / sizeof(*r));

	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < n; i++) {
		r[i].guest_addr = (uint64_t)take(in, 1) << 20;
		r[i].size = (uint64_t)take(in, 1) << 16;
		r[i].fd = (int)i;
	}
	vgpu_core_set_memory(s->c, r, n);
}

static void start_queue(struct shell *s, struct input *in)
{
	static const uint32_t set_up[][2] = {
		{VGPU_REG_DRIVER_FEATURES_LO, (uint32_t)VGPU_F_ALL},
		{VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK},
		{VGPU_REG_QUEUE_ADDR_LO, 0x10000},
		{VGPU_REG_QUEUE_REQ_SLOTS, 256},
		{VGPU_REG_QUEUE_RSP_SLOTS, 256},
		{VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_START},
	};

	vgpu_core_write(s->c, VGPU_REG_QUEUE_SELECT, take(in, 1) % QUEUES, 4);
	for (size_t i = 0; i < sizeof(set_up) / sizeof(*set_up); i++)
		vgpu_core_write(s->c, set_up[i][0], set_up[i][1], 4);
}

/* The worker of the register session writes what it likes, or an answer. */
static void worker_writes(struct shell *s, struct input *in)
{
	struct vgpu_queue_header *h = (void *)s->ring;
	size_t bytes = vgpu_ring_bytes(VGPU_SLOTS_MIN, VGPU_SLOTS_MIN);
	uint32_t at = take(in, 2), value = take(in, 4);
	uint8_t *rsp;

	if (!s->ring)
		return;
	if (at & 1) {
		memcpy(s->ring + (at % (bytes - 4) & ~3u), &value, sizeof(value));
	} else {
		struct vgpu_response r = {.length = 32 + value % (VGPU_RECORD_MAX - 31),
					  .id = at / 2 % 64};

		rsp = s->ring + VGPU_PAGE + VGPU_SLOTS_MIN * VGPU_SLOT;
		memcpy(rsp + h->rsp_prod % VGPU_SLOTS_MIN * VGPU_SLOT, &r, sizeof(r));
		h->req_cons = h->req_prod;
		h->rsp_prod += vgpu_slots_of(r.length);
	}
	vgpu_core_call(s->c, VGPU_QUEUE_REGISTERS);
}

static void connection(struct shell *s, struct input *in)
{
	if (s->connected && take(in, 1) & 1) {
		s->connected = false;
		vgpu_core_disconnected(s->c);
		return;
	}
	if (!s->connected) {
		s->connected = true;
		vgpu_core_connected(s->c);
	}
}

static void hang_up(struct shell *s, struct input *in)
{
	uint32_t q = pick_queue(in);

	if (s->lifeline[slot(q)] >= 0)
		vgpu_core_lifeline_hup(s->c, q);
}

static void step(struct shell *s, struct input *in)
{
	static const uint8_t sizes[] = {4, 4, 4, 4, 4, 1, 2, 8};
	uint32_t what = take(in, 1) % 14, offset;

	switch (what) {
	case 0:
	case 1:
		offset = take(in, 2) % 0x1010;
		vgpu_core_write(s->c, what ? offset & 0xfcu : offset, take(in, 4),
				sizes[take(in, 1) % sizeof(sizes)]);
		break;
	case 2:
		vgpu_core_read(s->c, take(in, 2) % 0x1010, sizes[take(in, 1) % sizeof(sizes)]);
		break;
	case 3:
		bytes_from_daemon(s, in);
		break;
	case 4:
	case 5:
		message_from_daemon(s, in);
		break;
	case 6:
		s->now += take(in, 2);
		vgpu_core_time(s->c, s->now);
		vgpu_core_tick(s->c);
		break;
	case 7:
		connection(s, in);
		break;
	case 8:
		set_memory(s, in);
		break;
	case 9:
		offset = pick_queue(in);
		vgpu_core_call(s->c, offset);
		vgpu_core_doorbell(s->c, offset);
		break;
	case 10:
		hang_up(s, in);
		break;
	case 11:
		worker_writes(s, in);
		break;
	case 12:
		start_queue(s, in);
		break;
	case 13:
		s->fails = (uint8_t)take(in, 1);
		if (s->fails & 0x80)
			vgpu_core_reset(s->c);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgpu_core_config config = {.queues = QUEUES, .name = "fuzz"};
	struct input in = {data, size};
	struct shell s = {.next_fd = 3};

	for (size_t i = 0; i <= QUEUES; i++)
		s.lifeline[i] = -1;
	s.c = vgpu_core_new(&config, &ops, &s);
	CHECK(s.c);
	set_memory(&s, &in);
	vgpu_core_start(s.c);
	while (in.left)
		step(&s, &in);
	vgpu_core_free(s.c);
	CHECK(!s.ring);
	for (size_t i = 0; i < FDS; i++)
		CHECK(!s.open[i]);
	return 0;
}
