// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's life: connecting, errors that stay, forks, memory. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "cancel.h"
#include "client_priv.h"

struct client client;

static pthread_mutex_t connecting = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t memory = PTHREAD_MUTEX_INITIALIZER;

/* ------------------------------------------------------------------- errors */

/* After these a process gets no further; only a new one does. */
static bool stays(CUresult r)
{
	switch (r) {
	case CUDA_ERROR_ECC_UNCORRECTABLE:
	case CUDA_ERROR_NVLINK_UNCORRECTABLE:
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
	case CUDA_ERROR_DEVICE_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}

void client_note_error(CUresult result)
{
	int none = 0;

	/* the first one counts */
	if (stays(result))
		__atomic_compare_exchange_n(&client.sticky, &none, result, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED);
}

CUresult client_sticky(void)
{
	return (CUresult)__atomic_load_n(&client.sticky, __ATOMIC_RELAXED);
}

void client_lose(void)
{
	client_note_error(CUDA_ERROR_DEVICE_UNAVAILABLE);
	__atomic_store_n(&client.lost, true, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < CLIENT_SLOTS; i++) {
		uint32_t sleeps = SLOT_SLEEPS;

		if (__atomic_compare_exchange_n(&client.slot[i].state, &sleeps, SLOT_WOKEN, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			client_futex_wake(&client.slot[i].state);
	}
}

/* --------------------------------------------------------------- connecting */

/* The session stays the parent's; here every call fails from now on. */
static void in_child(void)
{
	if (!client.connected)
		return;
	__atomic_store_n(&client.sticky, CUDA_ERROR_NOT_INITIALIZED, __ATOMIC_RELEASE);
	vgpu_session_forget(client.session);
}

static CUresult why_not(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
	case ENOTCONN:
	case ECONNREFUSED:
	case EACCES:
	case EPERM:
		return CUDA_ERROR_NO_DEVICE;
	case EUSERS:
	case EBUSY:
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	case ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case EPROTO:
	case EPROTONOSUPPORT:
		return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
	default:
		return CUDA_ERROR_UNKNOWN;
	}
}

/*
 * A session takes its time to start, and the module gives up for any signal: a
 * program with a timer might never get one.  So the program's signals wait
 * meanwhile, but for those by which somebody wants to stop it.
 */
static struct vgpu_session *open_undisturbed(void)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP,  SIGTSTP, SIGSEGV,
				    SIGBUS, SIGFPE,  SIGILL,  SIGTRAP, SIGABRT, SIGSYS};
	struct vgpu_session *s;
	sigset_t wait, before;
	int error;

	sigfillset(&wait);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		sigdelset(&wait, stops[i]);
	pthread_sigmask(SIG_BLOCK, &wait, &before);
	do
		s = vgpu_session_open(NULL);
	while (!s && errno == EINTR);
	error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return s;
}

static CUresult open_session(void)
{
	struct vgpu_session *s = open_undisturbed();

	if (!s)
		return why_not(errno);
	if (!vgpu_session_ring(s)) { /* a VM whose RAM the host does not share */
		vgpu_session_close(s);
		return CUDA_ERROR_NO_DEVICE;
	}
	client.session = s;
	client.ring = vgpu_session_ring(s);
	pthread_atfork(NULL, NULL, in_child);
	__atomic_store_n(&client.connected, true, __ATOMIC_RELEASE);
	client_keeper_start();
	return CUDA_SUCCESS;
}

CUresult client_connect(void)
{
	CUresult r = CUDA_SUCCESS;
	int cancel;

	if (__atomic_load_n(&client.connected, __ATOMIC_ACQUIRE))
		return client_sticky();
	cancel = cancel_disable();
	pthread_mutex_lock(&connecting);
	if (!client.connected)
		r = open_session();
	pthread_mutex_unlock(&connecting);
	cancel_restore(cancel);
	return r;
}

struct vgpu_session *client_session(void)
{
	return __atomic_load_n(&client.connected, __ATOMIC_ACQUIRE) ? client.session : NULL;
}

void client_on_note(void (*hook)(const struct vgpu_cuda_note *note, const void *data))
{
	client.hook = hook;
}

/* ------------------------------------------------------------------- memory */

/* Is there a session of this very process? */
static int check_session(void)
{
	if (client_session() && client_sticky() != CUDA_ERROR_NOT_INITIALIZED)
		return 0;
	errno = ENOTCONN;
	return -1;
}

/* Takes the lock if there is a session, else -1 with errno. */
static int begin(int *cancel)
{
	if (check_session() < 0)
		return -1;
	*cancel = cancel_disable();
	pthread_mutex_lock(&memory);
	return 0;
}

static void end(int cancel)
{
	pthread_mutex_unlock(&memory);
	cancel_restore(cancel);
}

int client_buffer_register(void *addr, size_t length, uint32_t flags, uint32_t *handle)
{
	int cancel, ret = begin(&cancel);

	if (ret < 0)
		return ret;
	ret = vgpu_buffer_register(client.session, addr, length, flags, handle);
	end(cancel);
	return ret;
}

int client_buffer_unregister(uint32_t handle)
{
	int cancel, ret = begin(&cancel);

	if (ret < 0)
		return ret;
	ret = vgpu_buffer_unregister(client.session, handle);
	end(cancel);
	return ret;
}

int client_area_create(void *addr, size_t length, struct vgpu_area *area)
{
	int cancel, ret = begin(&cancel);

	if (ret < 0)
		return ret;
	ret = vgpu_area_create(client.session, addr, length, area);
	end(cancel);
	return ret;
}

int client_area_destroy(const struct vgpu_area *area)
{
	int cancel, ret = begin(&cancel);

	if (ret < 0)
		return ret;
	ret = vgpu_area_destroy(client.session, area);
	end(cancel);
	return ret;
}
