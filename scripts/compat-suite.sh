# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A Debian suite for ./run compat: its packages unpacked below the cache, and commands in them.

compat_tools=(
	gcc make libc6-dev binutils mawk sed grep findutils coreutils bash dash perl-base
	diffutils python3-venv meson ninja-build libglib2.0-dev pkg-config
	libpixman-1-dev zlib1g-dev libfdt-dev bzip2 libxen-dev libseccomp-dev
)

# Where Debian comes from: the system's own source, with another suite's name.
compat_source() { # prints URI|KEYRING
	local f
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		awk -v RS='' -F'\n' '{
			uri = key = ""
			for (i = 1; i <= NF; i++) {
				if ($i ~ /^URIs:/) { split($i, p, /[ \t]+/); uri = p[2] }
				if ($i ~ /^Signed-By: *\//) { split($i, p, /[ \t]+/); key = p[2] }
			}
			if (uri ~ /\/debian\/?$/) { print uri "|" key; exit }
		}' "$f"
	done | grep . && return 0
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+\/debian\/?) .*/\2|/p'
}

# apt with nothing of this system in it: as if nothing were installed.
compat_apt_conf() { # SUITE
	local dir=$cache/compat/$1/apt source key
	source=$(compat_source | head -n 1)
	[ -n "$source" ] || die "compat: no source of Debian packages in /etc/apt"
	key=${source#*|}
	[ -n "$key" ] || key=/usr/share/keyrings/debian-archive-keyring.gpg
	mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/archives/partial"
	: >"$dir/status"
	cat >"$dir/parts/debian.sources" <<-SOURCES
		Types: deb deb-src
		URIs: ${source%%|*}
		Suites: $1
		Components: main
		Signed-By: $key
	SOURCES
	cat >"$dir/apt.conf" <<-CONF
		Dir::Etc::sourcelist "/dev/null";
		Dir::Etc::sourceparts "$dir/parts";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$dir";
		Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache::archives "$dir/archives";
		Dir::Cache::srcpkgcache "";
		Dir::Cache::pkgcache "";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Acquire::http::Timeout "60";
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
		APT::Get::Assume-Yes "true";
		Debug::NoLocking "true";
	CONF
}

compat_apt() { # SUITE TOOL ARGUMENTS...
	local suite=$1 tool=$2
	shift 2
	"$tool" -c "$cache/compat/$suite/apt/apt.conf" "$@"
}

# Package lists not older than a day.
compat_update() { # SUITE
	local dir=$cache/compat/$1/apt
	[ -n "$(find "$dir/updated" -mmin -1440 2>/dev/null)" ] && return 0
	rm -rf "$dir"
	compat_apt_conf "$1"
	compat_apt "$1" apt-get --error-on=any update || return 1
	touch "$dir/updated"
}

compat_headers() { # SUITE: the package that the kernel's headers come in
	compat_apt "$1" apt-cache show --no-all-versions linux-headers-cloud-amd64 |
		sed -n 's/^Depends: //p' | grep -oE 'linux-headers-[0-9][^ ,]*' | head -n 1
}

compat_version() { # SUITE PACKAGE
	compat_apt "$1" apt-cache show --no-all-versions "$2" | sed -n 's/^Version: //p'
}

# The suite's tools and kernel headers are unpacked, and these are they.
compat_root_made() { # SUITE HEADERS
	[ "$(cat "$cache/compat/$1/root/.made" 2>/dev/null)" = "$2 ${compat_tools[*]}" ]
}

compat_fetch() { # SUITE HEADERS
	local dir=$cache/compat/$1 depends
	depends=$(compat_apt "$1" apt-cache show --no-all-versions "$2" | sed -n 's/^Depends: //p')
	mapfile -t depends < <(tr ',|' '\n\n' <<<"$depends" |
		grep -oE '^ *(linux-(headers|kbuild)-[0-9][^ ]*|gcc-[0-9]+)' | tr -d ' ')
	rm -rf "$dir/apt/archives"
	mkdir -p "$dir/apt/archives/partial"
	compat_apt "$1" apt-get install --download-only "${compat_tools[@]}" "${depends[@]}" || return 1
	(cd "$dir/apt/archives" && compat_apt "$1" apt-get download "$2")
}

# A tree to chroot into.
compat_unpack() { # SUITE HEADERS
	local dir=$cache/compat/$1 deb link
	rm -rf "$dir/root"
	for link in bin sbin lib lib64; do
		mkdir -p "$dir/root/usr/$link"
		ln -s "usr/$link" "$dir/root/$link"
	done
	for deb in "$dir"/apt/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$dir/root" --no-same-owner --keep-directory-symlink \
				--exclude=./usr/share/doc --exclude=./usr/share/locale || return 1
	done
	rm -rf "$dir/apt/archives"
	mkdir -p "$dir"/root/{dev,proc,tmp,tree,work,qemu}
	ln -sf mawk "$dir/root/usr/bin/awk"
	ln -sf dash "$dir/root/usr/bin/sh"
	ln -sf gcc "$dir/root/usr/bin/cc"
	# Python's venv, which QEMU's configure makes, reads it without need
	mkdir -p "$dir/root/etc/ssl/certs"
	cat "$dir"/root/usr/share/ca-certificates/mozilla/*.crt \
		>"$dir/root/etc/ssl/certs/ca-certificates.crt" || return 1
	echo "$2 ${compat_tools[*]}" >"$dir/root/.made"
}

# Lists, packages, tree.  False with `compat_why` set: the name of the log that says why.
compat_prepare() { # SUITE
	local headers
	compat_why=compat-apt-$1
	compat_log "$compat_why" compat_update "$1" || return 1
	headers=$(compat_headers "$1")
	compat_root_made "$1" "$headers" && return 0
	compat_why=compat-fetch-$1
	compat_log "$compat_why" compat_fetch "$1" "$headers" || return 1
	compat_why=compat-unpack-$1
	compat_log "$compat_why" compat_unpack "$1" "$headers"
}

# Runs a command in the suite's tree: /tree is the project, /work is writable.
compat_in() { # SUITE COMMAND...
	local dir=$cache/compat/$1 user=()
	shift
	[ "$(id -u)" = 0 ] || user=(--map-root-user)
	mkdir -p "$dir/work" "$dir/qemu"
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare "${user[@]}" --mount bash -c '
		set -e
		top=$1 dir=$2 root=$2/root
		shift 2
		mount --rbind /dev "$root/dev"
		mount --rbind /proc "$root/proc"
		mount --bind "$top" "$root/tree"
		mount --bind "$dir/work" "$root/work"
		mount --bind "$dir/qemu" "$root/qemu"
		exec chroot "$root" /usr/bin/env -i HOME=/tmp LC_ALL=C \
			PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@"
	' compat "$top" "$dir" "$@"
}

# Without the right to mount there is no way into a suite.
compat_may_mount() {
	local user=()
	[ "$(id -u)" = 0 ] || user=(--map-root-user)
	unshare "${user[@]}" --mount true 2>/dev/null
}

compat_gcc() { # SUITE
	compat_in "$1" gcc -dumpfullversion
}
