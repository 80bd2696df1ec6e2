/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls that a worker has.  With the cpu backend all the code is
 * ours, so there is a list of what it needs, and the rest kills.  What a GPU's
 * driver needs changes with each version of it: there is a list of what no
 * driver has any business with, and that is refused.
 */
#include <errno.h>

#include "confine.h"

#if VGPU_HAVE_SECCOMP
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* clang-format off */
/* The loop, memory, descriptors, time, threads and their locks. */
static const char *const needed[] = {
	"brk", "clock_getres", "clock_gettime",
	"clock_nanosleep", "close", "close_range", "connect",
	"dup", "dup2", "dup3", "epoll_create1",
	"epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
	"eventfd2", "exit", "exit_group", "fcntl",
	"fstat", "ftruncate", "futex", "getpid",
	"getppid", "getrandom", "gettid", "gettimeofday",
	"getuid", "lseek", "madvise", "membarrier",
	"memfd_create", "mincore", "mremap", "msync",
	"munmap", "nanosleep", "newfstatat", "poll",
	"ppoll", "pread64", "prlimit64", "pwrite64",
	"read", "readv", "recvfrom", "recvmsg",
	"restart_syscall", "rseq", "rt_sigaction",
	"rt_sigprocmask", "rt_sigreturn", "sched_getaffinity",
	"sched_yield", "sendmsg", "sendto", "set_robust_list",
	"shutdown", "sigaltstack", "sysinfo", "tgkill",
	"timerfd_create", "timerfd_settime", "uname", "write",
	"writev",
};

/* The C library asks for these when it can do without: they are answered, not served. */
static const char *const absent[] = {
	"access", "faccessat2", "open", "openat",
	"readlink", "readlinkat", "stat", "statx",
};

/*
 * No driver's business: other processes, mounts and namespaces, the kernel
 * itself, its least tried interfaces, other users, other programs.
 */
static const char *const forbidden[] = {
	/* Other processes, and new ones. */
	"execve", "execveat", "fork", "vfork", "kcmp",
	"kill", "migrate_pages", "pidfd_getfd", "pidfd_open",
	"pidfd_send_signal", "process_madvise", "process_mrelease",
	"process_vm_readv", "process_vm_writev", "ptrace",
	"rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill",
	/* The file system and namespaces. */
	"chroot", "fanotify_init", "fsconfig", "fsmount",
	"fsopen", "fspick", "mknod", "mknodat", "mount",
	"mount_setattr", "move_mount", "name_to_handle_at",
	"open_by_handle_at", "open_tree", "pivot_root",
	"quotactl", "quotactl_fd", "setns", "swapoff",
	"swapon", "umount2", "unshare",
	/* The kernel and the machine. */
	"acct", "adjtimex", "clock_adjtime", "clock_settime",
	"delete_module", "finit_module", "init_module",
	"ioperm", "iopl", "kexec_file_load", "kexec_load",
	"modify_ldt", "reboot", "setdomainname", "sethostname",
	"settimeofday", "syslog", "vhangup",
	/* Interfaces that made most of the trouble of late, and that nothing here needs. */
	"add_key", "bpf", "io_uring_enter", "io_uring_register",
	"io_uring_setup", "keyctl", "lookup_dcookie",
	"perf_event_open", "personality", "request_key",
	"splice", "tee", "userfaultfd", "vmsplice",
	/* Other users. */
	"capset", "setfsgid", "setfsuid", "setgid",
	"setgroups", "setregid", "setresgid", "setresuid",
	"setreuid", "setuid",
};
/* clang-format on */

/* By name: an older library does not know all of them, and then the kernel mostly has none. */
static int add_all(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);

		if (call != __NR_SCMP_ERROR)
			ret = seccomp_rule_add(f, action, call, 0);
	}
	return ret;
}

/*
 * Threads, and no processes.  Of clone3() a filter sees no flags, so it is not
 * there, and the C library takes clone().
 */
static int add_clone(scmp_filter_ctx f, uint32_t action, bool threads)
{
	static const char *const clone3[] = {"clone3"};
	int ret = add_all(f, SCMP_ACT_ERRNO(ENOSYS), clone3, 1);

	if (!ret && action == SCMP_ACT_ALLOW && threads)
		ret = seccomp_rule_add(f, action, SCMP_SYS(clone), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	else if (!ret && action != SCMP_ACT_ALLOW)
		ret = seccomp_rule_add(f, action, SCMP_SYS(clone), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return ret;
}

/* Memory is data, and sockets are local. */
static int add_with_arguments(scmp_filter_ctx f)
{
	int ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				   SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* A thread's name, and how exact its naps are. */
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				       SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				       SCMP_A0(SCMP_CMP_EQ, PR_SET_TIMERSLACK));
	return ret;
}

static int allow_list(scmp_filter_ctx f, const struct confinement *c)
{
	int ret = add_all(f, SCMP_ACT_ALLOW, needed, G_N_ELEMENTS(needed));

	if (!ret)
		ret = add_all(f, SCMP_ACT_ERRNO(ENOENT), absent, G_N_ELEMENTS(absent));
	if (!ret)
		ret = add_clone(f, SCMP_ACT_ALLOW, c->may_thread);
	if (!ret)
		ret = add_with_arguments(f);
	/* But for Xen's memory only the C library asks, whether a file is a terminal. */
	if (!ret)
		ret = seccomp_rule_add(f, c->foreign ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOTTY),
				       SCMP_SYS(ioctl), 0);
	return ret;
}

/* Local sockets and netlink stay, in a network of its own. */
static int deny_families(scmp_filter_ctx f, uint32_t deny)
{
	int ret = seccomp_rule_add(f, deny, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));

	for (unsigned int family = AF_UNIX + 1; family < AF_NETLINK && !ret; family++)
		ret = seccomp_rule_add(f, deny, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family));
	return ret;
}

static int deny_list(scmp_filter_ctx f)
{
	const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
	int ret = add_all(f, deny, forbidden, G_N_ELEMENTS(forbidden));

	if (!ret)
		ret = add_clone(f, deny, true);
	return ret ? ret : deny_families(f, deny);
}

int confine_calls(const struct confinement *c)
{
	scmp_filter_ctx f = seccomp_init(c->gpu ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
	int ret = f ? seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;

	if (!ret)
		ret = c->gpu ? deny_list(f) : allow_list(f, c);
	if (!ret)
		ret = seccomp_load(f);
	if (f)
		seccomp_release(f);
	return ret;
}

#else

int confine_calls(const struct confinement *c)
{
	(void)c;
	return -ENOSYS;
}

#endif
