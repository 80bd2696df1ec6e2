#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a script in a copy of this system that is thrown away: an overlay above /,
# in a mount namespace of its own, with FOLDER as /packages.  Needs root, or user
# namespaces with overlays.
# Usage: throwaway.sh FOLDER SCRIPT [ARGUMENTS...]
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: throwaway.sh FOLDER SCRIPT [ARGUMENTS...]" >&2; exit 2; }
user=()
[ "$(id -u)" = 0 ] || user=(--map-root-user)
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare "${user[@]}" --mount --pid --fork --kill-child bash -euc '
	folder=$(realpath "$1") script=$(realpath "$2")
	shift 2
	over=$(mktemp -d)
	trap "umount -R $over; rmdir $over" EXIT
	mount -t tmpfs throwaway "$over"
	mkdir "$over"/{upper,work,root}
	mount -t overlay throwaway \
		-o "lowerdir=/,upperdir=$over/upper,workdir=$over/work" "$over/root"
	root=$over/root
	mkdir -p "$root/packages"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs run "$root/run"
	mount --bind "$folder" "$root/packages"
	# services of the copy are not started
	printf "#!/bin/sh\nexit 101\n" >"$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	install -m 755 "$script" "$root/try"
	chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin /try "$@"
' throwaway "$@"
