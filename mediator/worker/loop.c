/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's life: serve, spin a little, sleep.
 *
 * While requests come, no system call is made but the interrupts that the
 * guest wants and a look around now and then.  A long command is cut short by
 * SIGKILL from the daemon, or by SIGIO from the lifeline.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cuda/entry.h"
#include "fdio.h"
#include "worker.h"

/* A guest that sleeps until its interrupt is watched for this part of the time. */
#define SLEEPER_SHARE 4u

/* Requests between two looks at the clock, and time between two looks around. */
#define LOOK_REQUESTS 32u
/* ... and between two looks at the GPU, while somebody waits for it. */
#define LOOK_GPU_REQUESTS 8u
/* ... and at the clock, while a lease lasts until somebody else wants one. */
#define LOOK_OPEN_REQUESTS 4u
#define LOOK_NS 5000000u
/* ... where the daemon may want the GPU for others. */
#define LOOK_LEASED_NS 200000u

/* From so many processors on, spinning takes none from the guest. */
#define MANY_CPUS 8

/* A request that waits for its tenant's rate: limits may change meanwhile, and the GPU is seen to.
 */
#define THROTTLE_LOOK_NS 20000000

enum served { SERVED, IDLE, FULL, THROTTLED };

/* For the handler of signals. */
static struct worker *the_worker;

static bool lifeline_is_cut(void)
{
	struct pollfd p = {.fd = the_worker->lifeline, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

static void on_sigio(int signum)
{
	int saved = errno;

	(void)signum;
	if (lifeline_is_cut()) {
		tenant_ends(&the_worker->tenant);
		_exit(WORKER_EXIT_LIFELINE);
	}
	errno = saved;
}

/* The device's death must end us in the midst of a command too. */
static void watch_lifeline(struct worker *w)
{
	struct sigaction act = {.sa_handler = on_sigio, .sa_flags = SA_RESTART};
	int fd = w->lifeline, flags = fcntl(fd, F_GETFL);

	the_worker = w;
	sigemptyset(&act.sa_mask);
	sigaction(SIGIO, &act, NULL);
	fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETFL, flags | O_ASYNC | O_NONBLOCK);
	if (lifeline_is_cut()) /* before the signal was asked for */
		worker_exit(w, WORKER_EXIT_LIFELINE);
}

void worker_count_kicks(struct worker *w)
{
	uint64_t count;

	if (read(w->kick, &count, sizeof(count)) == sizeof(count))
		queue_count(&w->page->kicks, count);
}

void worker_watch(struct worker *w, int fd, uint32_t events, enum watch what)
{
	struct epoll_event e = {.events = events, .data.u32 = what};

	if (fd >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		worker_exit(w, WORKER_EXIT_SETUP);
}

/* Waits for something to happen, at most `ns` (-1: no limit), and sees to it. */
static void look_around(struct worker *w, int64_t ns)
{
	struct epoll_event event[4];
	int due = control_timeout(w);
	struct timespec limit;
	int n;

	if (due >= 0 && (ns < 0 || due * 1000000ll < ns))
		ns = due * 1000000ll;
	limit = (struct timespec){ns / 1000000000, ns % 1000000000};
	n = epoll_pwait2(w->epoll, event, 4, ns < 0 ? NULL : &limit, NULL);
	for (int i = 0; i < n; i++) {
		if (event[i].data.u32 == WATCH_LIFELINE)
			worker_exit(w, WORKER_EXIT_LIFELINE);
		if (event[i].data.u32 == WATCH_CONTROL)
			control_handle(w);
		if (event[i].data.u32 == WATCH_CUDA)
			cuda_woken(w);
	}
	control_tick(w);
	w->looked_ns = worker_read_clock(w);
}

/* Publishes a record, or leaves word that there was no room for it. */
static int put(struct worker *w, const void *record, uint32_t length)
{
	struct queue *q = &w->queue;
	int err = queue_put(q, record, length);

	if (err == -EAGAIN) {
		queue_flags(q, VGPU_HOST_FULL, 0);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		err = queue_put(q, record, length);
	}
	if (err == -EPROTO)
		worker_broken(w, err, "rsp_cons is out of range");
	if (!err)
		queue_flags(q, 0, VGPU_HOST_FULL);
	return err;
}

bool worker_push(struct worker *w, const void *record, uint32_t length)
{
	return put(w, record, length) == 0;
}

/* The response that waits goes out, or the guest is told that there is no room. */
static enum served put_response(struct worker *w)
{
	w->rsp_waits = put(w, w->rsp.bytes, w->rsp.header.length) == -EAGAIN;
	if (w->rsp_waits)
		return FULL;
	__atomic_store_n(&w->page->in_flight, 0, __ATOMIC_RELEASE);
	return SERVED;
}

/* The in-flight table: what a device finds if we die in the midst of it. */
static void note_in_flight(struct worker *w)
{
	const struct vgpu_request *h = (const void *)w->record;

	w->page->current_id = h->id;
	w->page->current_command = h->command;
	__atomic_store_n(&w->page->in_flight, 1, __ATOMIC_RELEASE);
	queue_count(&w->page->requests, 1);
	TENANT_COUNT(&w->tenant, calls, 1);
}

/* Are the tenant's rates kept if a request is taken now?  It stays in the ring else. */
static bool may_take(struct worker *w)
{
	struct worker_tenant *t = &w->tenant;
	uint64_t now;

	tenant_look(t);
	if (!w->throttled_ns && (!tenant_has_rate(t) || tenant_has_paid(t, w->now_ns)))
		return true;
	now = worker_read_clock(w);
	w->throttle_ns = tenant_wait(t, now);
	if (w->throttled_ns)
		TENANT_COUNT(t, throttled_ns, now - w->throttled_ns);
	w->throttled_ns = w->throttle_ns ? now : 0;
	return !w->throttle_ns;
}

/* One from the ring.  Its length; 0: there is none, or the rates forbid it, *slow then. */
static int take_new(struct worker *w, bool *slow)
{
	int length;

	if (!queue_has_request(&w->queue))
		return 0;
	*slow = !may_take(w);
	if (*slow)
		return 0;
	length = queue_take(&w->queue, w->record);
	if (length < 0)
		worker_broken(w, length, "the request ring holds an impossible index or length");
	if (length)
		note_in_flight(w);
	return length;
}

/* The next request, or one that waited for its turn at the GPU.  Its length, 0: none for now. */
static int take(struct worker *w, bool *slow)
{
	int length = w->held_length;

	if ((length && turn_is_shut(w)) || cuda_is_full(w))
		return 0;
	if (!length)
		length = take_new(w, slow);
	if (!length)
		return 0;
	w->held_length = 0;
	if (commands_uses_gpu(w->record) && !turn_may_submit(w))
		w->held_length = length;
	return w->held_length ? 0 : length;
}

/*
 * Is there something that may be taken?  What was held back is no longer in the
 * ring, and nobody rings for it: the gate may have opened just before we sleep.
 */
static bool has_request(const struct worker *w)
{
	if (cuda_is_full(w))
		return false;
	return w->held_length ? !turn_is_shut(w) : queue_has_request(&w->queue);
}

static enum served serve(struct worker *w)
{
	bool slow = false;
	int length;

	if (w->rsp_waits)
		return put_response(w);
	length = take(w, &slow);
	if (!length)
		return slow ? THROTTLED : IDLE;
	if (commands_is_long(w->record))
		queue_call(&w->queue);
	if (commands_run(w, w->record, (uint32_t)length))
		return put_response(w);
	__atomic_store_n(&w->page->in_flight, 0, __ATOMIC_RELEASE);
	return SERVED;
}

/* Looks after calls that wait for the GPU.  True if that led anywhere. */
static bool serve_gpu(struct worker *w)
{
	enum cuda_progress p;

	turn_poll(w);
	if (w->rsp_waits || !cuda_is_busy(w))
		return false;
	p = cuda_poll(w);
	if (p == CUDA_RESPONSE)
		put_response(w);
	if (p != CUDA_NOTHING && w->turn.leased)
		worker_read_clock(w);
	return p != CUDA_NOTHING;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * Watches the ring, and the GPU, for a short time.  True if there is something.
 * Where processors are few the guest's may wait for the very core that we spin
 * on, so give way each time.
 */
static bool spin(struct worker *w, uint64_t ns)
{
	uint64_t end = worker_read_clock(w) + ns;

	if (w->turn.leased && end > w->looked_ns + LOOK_LEASED_NS)
		end = w->looked_ns + LOOK_LEASED_NS;
	do {
		for (int i = 0; i < 16; i++) {
			if (has_request(w))
				return true;
			if (serve_gpu(w))
				return true;
			relax();
		}
		if (w->gives_way)
			sched_yield();
	} while (worker_read_clock(w) < end);
	return false;
}

/*
 * Before sleeping: a polling guest needs no doorbell while we watch.  One that
 * sleeps until its interrupt still rings it, since that helps the interrupt on
 * its way where no irqfd does; it is watched for a shorter time.
 */
static bool watch_ring(struct worker *w)
{
	uint64_t ns = w->setup.spin_us * 1000ull, began;
	uint64_t gpu = MAX(cuda_spin_ns(w), turn_spin_ns(w));
	bool came;

	if (!ns || (!gpu && cuda_nap_ns(w)) || turn_is_waiting(w))
		return false;
	if (!queue_guest_polls(&w->queue))
		return spin(w, MAX(ns / SLEEPER_SHARE, gpu));
	ns = patience_begin(&w->patience, ns);
	began = w->patience.trying ? fdio_now_ns() : 0;
	came = spin(w, MAX(ns, gpu));
	patience_end(&w->patience, came, began ? fdio_now_ns() - began : 0);
	return came;
}

/* HOST_POLLS stands while we watch the ring for a guest that polls too. */
static void tell_polling(struct worker *w)
{
	if (queue_guest_polls(&w->queue))
		queue_flags(&w->queue, VGPU_HOST_POLLS, 0);
	else
		queue_flags(&w->queue, 0, VGPU_HOST_POLLS);
}

/* Sleeps until the guest, the daemon or the lifeline has something. */
static void sleep_for_work(struct worker *w)
{
	struct queue *q = &w->queue;

	queue_flags(q, 0, VGPU_HOST_POLLS);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (w->rsp_waits || !has_request(w)) {
		int64_t ns = w->rsp_waits ? 0 : cuda_nap_ns(w), turn = turn_nap_ns(w);

		queue_count(&w->page->sleeps, 1);
		if (!ns) {
			ns = w->rsp_waits ? -1 : cuda_sleep(w);
			ns *= ns < 0 ? 1 : 1000000;
		}
		look_around(w, ns < 0 || (turn >= 0 && turn < ns) ? turn : ns);
		if (has_request(w))
			patience_rung(&w->patience);
	}
	tell_polling(w);
}

/*
 * The guest sees a host that is slow.  It need not ring: there is a request, and
 * the ring is looked at again as soon as that may be taken.
 */
static void sleep_for_rate(struct worker *w)
{
	int64_t ns = cuda_nap_ns(w), turn = turn_nap_ns(w);

	if (!ns) {
		ns = cuda_sleep(w);
		ns = ns < 0 ? THROTTLE_LOOK_NS : ns * 1000000;
	}
	ns = MIN(ns, THROTTLE_LOOK_NS);
	if (turn >= 0)
		ns = MIN(ns, turn);
	queue_flags(&w->queue, VGPU_HOST_POLLS, 0);
	look_around(w, (int64_t)MIN((uint64_t)ns, w->throttle_ns));
	tell_polling(w);
}

/* Where the GPU is shared: is it time to read the clock, with so many requests served? */
static bool is_clock_due(const struct worker *w, enum served what, unsigned int served)
{
	if (!w->turn.leased)
		return false;
	if (w->turn.until != CTL_TURN_OPEN || what != SERVED || commands_is_long(w->record))
		return true;
	return served % LOOK_OPEN_REQUESTS == 0;
}

/* Now and then while requests come. */
static void look_if_due(struct worker *w)
{
	if (worker_read_clock(w) - w->looked_ns < (w->turn.leased ? LOOK_LEASED_NS : LOOK_NS))
		return;
	look_around(w, 0);
	worker_count_kicks(w);
}

void worker_loop(struct worker *w)
{
	unsigned int served = 0;

	watch_lifeline(w);
	prctl(PR_SET_TIMERSLACK, 1000ul); /* naps are to be as short as they are meant */
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	/* A doorbell wakes us once and need not be read: a system call less for each. */
	worker_watch(w, w->kick, EPOLLIN | EPOLLET, WATCH_KICK);
	worker_watch(w, w->lifeline, EPOLLRDHUP, WATCH_LIFELINE);
	worker_watch(w, w->control, EPOLLIN, WATCH_CONTROL);
	w->gives_way = sysconf(_SC_NPROCESSORS_ONLN) < MANY_CPUS;
	tell_polling(w);
	control_handle(w); /* whether the GPU is shared is known before the first request */
	for (;;) {
		enum served what = serve(w);

		if (is_clock_due(w, what, served))
			look_if_due(w);
		if (what == SERVED) {
			if (++served % LOOK_GPU_REQUESTS)
				continue;
			serve_gpu(w);
			if (served % LOOK_REQUESTS)
				continue;
			queue_call(&w->queue);
			look_if_due(w);
			continue;
		}
		if (serve_gpu(w))
			continue;
		queue_call(&w->queue);
		if (what == THROTTLED) {
			sleep_for_rate(w);
			continue;
		}
		if (what == FULL || !watch_ring(w))
			sleep_for_work(w);
	}
}
