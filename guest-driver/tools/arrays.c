// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test: arrays of float32 in memory, in files and in requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu_test.h"
#include "vgpu_stub.h"

int array_make(struct array *a, size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*a = (struct array){0};
	if (mem == MAP_FAILED)
		return -1;
	a->data = mem;
	a->bytes = bytes;
	return 0;
}

/* Where memory cannot be shown to the host as it is: memory that was made for that. */
static int move_to_area(struct context *c, struct array *a)
{
	size_t length = (a->bytes + VGPU_PAGE - 1) & ~(size_t)(VGPU_PAGE - 1);

	if (vgpu_area_create(c->session, NULL, length, &a->area) < 0)
		return errno == EOPNOTSUPP ? 1 : -1;
	memcpy(a->area.addr, a->data, a->bytes);
	munmap(a->data, a->bytes);
	a->data = a->area.addr;
	a->handle = a->area.buffer;
	a->registered = a->in_area = true;
	return 0;
}

int array_register(struct context *c, struct array *a, uint32_t flags)
{
	if (vgpu_buffer_register(c->session, a->data, a->bytes, flags, &a->handle) == 0) {
		a->registered = true;
		return 0;
	}
	return errno == EOPNOTSUPP ? move_to_area(c, a) : -1;
}

int array_unregister(struct context *c, struct array *a)
{
	if (a->in_area ? vgpu_area_destroy(c->session, &a->area) < 0
		       : vgpu_buffer_unregister(c->session, a->handle) < 0)
		return -1;
	if (a->in_area)
		a->data = NULL;
	a->registered = a->in_area = false;
	return 0;
}

void array_free(struct context *c, struct array *a)
{
	if (a->registered && c->session)
		array_unregister(c, a);
	if (a->data)
		munmap(a->data, a->in_area ? a->area.length : a->bytes);
	*a = (struct array){0};
}

size_t file_floats(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		complain(path);
		return 0;
	}
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size % (off_t)sizeof(float)) {
		fprintf(stderr, "gpu_test: %s: not a file of float32 values\n", path);
		return 0;
	}
	return (size_t)st.st_size / sizeof(float);
}

static int read_all(int fd, uint8_t *to, size_t bytes)
{
	while (bytes) {
		ssize_t got = read(fd, to, bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = EIO; /* the file became shorter */
		if (got <= 0)
			return -1;
		to += got;
		bytes -= (size_t)got;
	}
	return 0;
}

int file_load(const char *path, struct array *a)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -1;
	ret = read_all(fd, (uint8_t *)a->data, a->bytes);
	close(fd);
	return ret;
}

int file_save(const char *path, const void *data, size_t bytes)
{
	FILE *f = fopen(path, "we");
	size_t done;

	if (!f)
		return -1;
	done = fwrite(data, 1, bytes, f);
	return fclose(f) == 0 && done == bytes ? 0 : -1;
}

static int compute_buffers(struct context *c, uint16_t command, const void *body,
			   size_t body_length, const struct array *const operand[3],
			   struct vgpu_compute_result *result)
{
	struct vgpu_desc desc[3] = {0};
	int got;

	for (int i = 0; i < 3; i++) {
		desc[i].buffer = operand[i]->handle;
		desc[i].length = operand[i]->bytes;
	}
	got = vgpu_call(c->session, command, desc, 3, body, body_length, result, sizeof(*result),
			c->opt.timeout_ms);
	if (got >= 0 && (size_t)got < sizeof(*result))
		errno = EPROTO;
	return got < (int)sizeof(*result) ? -1 : 0;
}

static int compute_inline(struct context *c, uint16_t command, const void *body, size_t body_length,
			  const struct array *a, const struct array *b, struct array *out,
			  struct vgpu_compute_result *result)
{
	uint8_t request[VGPU_RECORD_MAX], answer[VGPU_RECORD_MAX];
	size_t length = body_length + a->bytes + b->bytes;
	int got;

	if (length > sizeof(request) || out->bytes > sizeof(answer) - sizeof(*result)) {
		fprintf(stderr, "gpu_test: the VM's RAM is not shared with the host: "
				"data must fit in one request\n");
		errno = EMSGSIZE;
		return -1;
	}
	memcpy(request, body, body_length);
	memcpy(request + body_length, a->data, a->bytes);
	memcpy(request + body_length + a->bytes, b->data, b->bytes);
	got = vgpu_call(c->session, command, NULL, 0, request, length, answer, sizeof(answer),
			c->opt.timeout_ms);
	if (got < 0)
		return -1;
	if ((size_t)got != sizeof(*result) + out->bytes) {
		errno = EPROTO;
		return -1;
	}
	memcpy(result, answer, sizeof(*result));
	memcpy(out->data, answer + sizeof(*result), out->bytes);
	return 0;
}

int compute(struct context *c, uint16_t command, const void *body, size_t body_length,
	    const struct array *a, const struct array *b, struct array *out,
	    struct vgpu_compute_result *result)
{
	const struct array *operand[3] = {a, b, out};

	if (a->registered)
		return compute_buffers(c, command, body, body_length, operand, result);
	return compute_inline(c, command, body, body_length, a, b, out, result);
}
