/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root directory that has only what the backend needs: for cpu the folder
 * where a restarted daemon is found, for a GPU its driver's files as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Where libraries and what they read are.  All of it can be read by every user anyway. */
static const char *const libraries[] = {
	"/usr", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/nvidia", "/opt/nvidia",
};

/* The nodes that programs expect. */
static const char *const nodes[] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
};

/* DIR + path, as long as that fits. */
static bool join(char to[PATH_MAX], const char *dir, const char *path)
{
	return snprintf(to, PATH_MAX, "%s%s", dir, path) < PATH_MAX;
}

/* Makes the folders above `path`. */
static int make_parents(const char *path)
{
	char copy[PATH_MAX];

	if (!join(copy, "", path))
		return -ENAMETOOLONG;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);

	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	close(fd);
	return 0;
}

static int copy_link(const char *from, const char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(from, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlink(target, to) < 0 && errno != EEXIST ? -errno : 0;
}

/* Something with all that is mounted below it, at `to`.  What is not there is left out. */
static int show_at(const char *from, const char *to, unsigned long flags)
{
	struct stat st;
	int ret;

	if (lstat(from, &st) < 0)
		return 0;
	ret = make_parents(to);
	if (ret)
		return ret;
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to);
	if (S_ISDIR(st.st_mode))
		ret = mkdir(to, 0755) < 0 && errno != EEXIST ? -errno : 0;
	else
		ret = make_file(to);
	if (ret)
		return ret;
	if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	if (flags && mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | flags, NULL) < 0)
		return -errno;
	return 0;
}

static int show(const struct confinement *c, const char *path, unsigned long flags)
{
	char to[PATH_MAX];

	return join(to, c->root, path) ? show_at(path, to, flags) : -ENAMETOOLONG;
}

/* An absolute path each; others are not ours to guess. */
static int show_list(const struct confinement *c, const char *list, const char *separators)
{
	char *copy = list ? strdup(list) : NULL, *rest = NULL;
	int ret = list && !copy ? -ENOMEM : 0;

	for (char *path = copy ? strtok_r(copy, separators, &rest) : NULL; path && !ret;
	     path = strtok_r(NULL, separators, &rest)) {
		if (*path == '/' && path[1])
			ret = show(c, path, MS_RDONLY | MS_NOSUID | MS_NODEV);
	}
	free(copy);
	return ret;
}

static int show_all(const struct confinement *c, const char *pattern)
{
	glob_t found;
	int ret = 0;

	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc && !ret; i++)
		ret = show(c, found.gl_pathv[i], 0);
	globfree(&found);
	return ret;
}

static int make_tmpfs(const struct confinement *c, const char *path, const char *options)
{
	char to[PATH_MAX];

	if (!join(to, c->root, path))
		return -ENAMETOOLONG;
	if (*path && (make_parents(to) || (mkdir(to, 0755) < 0 && errno != EEXIST)))
		return -errno;
	return mount("gpu_mediator-worker", to, "tmpfs", SAFE, options) < 0 ? -errno : 0;
}

/*
 * A /proc in which a user finds no other's processes, as far as the kernel knows
 * of that for one mount alone (Linux 5.8).  It can be written to: NVIDIA's driver
 * gives up (cuInit() fails) where it cannot open files of its own there.  The
 * worker's user has none but its own.  What a worker that stays root could still
 * change without a capability is read-only all the same.
 */
static int show_proc(const struct confinement *c)
{
	static const char *const settings[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq"};
	char to[PATH_MAX];
	int ret;

	if (!join(to, c->root, "/proc"))
		return -ENAMETOOLONG;
	if (mkdir(to, 0555) < 0)
		return -errno;
	if (mount("proc", to, "proc", SAFE, "hidepid=2") < 0) {
		ret = show(c, "/proc", 0);
	} else {
		/* A container may have its own view of which GPUs there are. */
		ret = show(c, "/proc/driver/nvidia", 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(settings) && !ret; i++)
		ret = show(c, settings[i], MS_RDONLY | SAFE);
	return ret;
}

/* Without what is mounted below, as debugfs and cgroups. */
static int show_sys(const struct confinement *c)
{
	char to[PATH_MAX];

	if (!join(to, c->root, "/sys"))
		return -ENAMETOOLONG;
	if (mkdir(to, 0555) < 0 || mount("/sys", to, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | SAFE, NULL) < 0)
		return -errno;
	return 0;
}

static int show_driver(const struct confinement *c)
{
	int ret = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(libraries) && !ret; i++)
		ret = show(c, libraries[i], MS_RDONLY | MS_NOSUID | MS_NODEV);
	for (size_t i = 0; i < G_N_ELEMENTS(nodes) && !ret; i++)
		ret = show(c, nodes[i], 0);
	if (!ret)
		ret = show_all(c, "/dev/nvidia*");
	if (!ret)
		ret = show_list(c, getenv("LD_LIBRARY_PATH"), ":");
	if (!ret)
		ret = show_list(c, c->visible, ";");
	if (!ret)
		ret = make_tmpfs(c, "/tmp", "size=64m,nr_inodes=1k,mode=1777");
	if (!ret)
		ret = make_tmpfs(c, "/dev/shm", "size=64m,nr_inodes=1k,mode=1777");
	if (!ret)
		ret = show_proc(c);
	return ret ? ret : show_sys(c);
}

static int show_adoption(const struct confinement *c)
{
	char to[PATH_MAX];

	if (!c->adopt)
		return 0;
	return join(to, c->root, CONFINE_ADOPT) ? show_at(c->adopt, to, MS_RDONLY | SAFE)
						: -ENAMETOOLONG;
}

/* The old root goes out of reach, with all that is in it. */
static int enter(const char *root)
{
	if (chdir(root) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -errno : 0;
	/* The first root of a machine, that of an initramfs, cannot be exchanged, only covered. */
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int confine_root(const struct confinement *c)
{
	int ret;

	/* What we mount is seen by nobody else. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	ret = make_tmpfs(c, "", "size=1m,nr_inodes=1k,mode=0755");
	if (!ret)
		ret = show_adoption(c);
	if (!ret && c->gpu)
		ret = show_driver(c);
	if (!ret && mount(NULL, c->root, NULL, MS_REMOUNT | MS_RDONLY | SAFE, NULL) < 0)
		ret = -errno;
	return ret ? ret : enter(c->root);
}
