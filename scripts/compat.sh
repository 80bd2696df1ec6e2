# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The compatibility matrix: the device compiled against the QEMU of each Debian
# suite, the module against its kernel.  Each suite lends its own compiler and
# libraries: packages unpacked below build/cache, entered by chroot, never installed.

compat_suites=(bullseye bookworm trixie sid)
compat_tools=(
	gcc make libc6-dev binutils mawk sed grep findutils coreutils bash dash perl-base
	diffutils python3-venv meson ninja-build libglib2.0-dev pkg-config
	libpixman-1-dev zlib1g-dev libfdt-dev bzip2
)
compat_rows=()
declare -A compat_count=([passed]=0 [failed]=0 [skipped]=0)

compat_row() { # passed|failed|skipped PART SUITE VERSION NOTE
	compat_rows+=("$(printf '%-8s %-10s %-28s %-8s %s' "$2" "$3" "$4" "$1" "$5")")
	compat_count[$1]=$((compat_count[$1] + 1))
	step "compat: $2 $4 ($3): $1${5:+: $5}"
}

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

# The suite's tools and kernel headers, as a tree to chroot into.
compat_root() { # SUITE HEADERS
	local dir=$cache/compat/$1 depends deb link
	[ "$(cat "$dir/root/.made" 2>/dev/null)" = "$2 ${compat_tools[*]}" ] && return 0
	depends=$(compat_apt "$1" apt-cache show --no-all-versions "$2" | sed -n 's/^Depends: //p')
	mapfile -t depends < <(tr ',|' '\n\n' <<<"$depends" |
		grep -oE '^ *(linux-(headers|kbuild)-[0-9][^ ]*|gcc-[0-9]+)' | tr -d ' ')
	rm -rf "$dir/root"
	mkdir -p "$dir/root/usr" "$dir/root/tmp"
	compat_apt "$1" apt-get install --download-only "${compat_tools[@]}" "${depends[@]}" || return 1
	(cd "$dir/apt/archives" && compat_apt "$1" apt-get download "$2") || return 1
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
	mkdir -p "$dir/root/dev" "$dir/root/proc" "$dir/root/tree" "$dir/root/work" "$dir/root/qemu"
	ln -sf mawk "$dir/root/usr/bin/awk"
	ln -sf dash "$dir/root/usr/bin/sh"
	ln -sf gcc "$dir/root/usr/bin/cc"
	# Python's venv, which QEMU's configure makes, reads it without need
	mkdir -p "$dir/root/etc/ssl/certs"
	cat "$dir"/root/usr/share/ca-certificates/mozilla/*.crt \
		>"$dir/root/etc/ssl/certs/ca-certificates.crt" || return 1
	echo "$2 ${compat_tools[*]}" >"$dir/root/.made"
}

# The newest of the suite's QEMU sources that the mirror really has.
compat_qemu() { # SUITE: unpacks, writes its version to a file
	local dir=$cache/compat/$1 version
	compat_apt "$1" apt-cache showsrc --only-source qemu | sed -n 's/^Version: //p' |
		sort -rVu >"$dir/qemu-versions"
	while read -r version; do
		[ "$(cat "$dir/qemu/.made" 2>/dev/null)" = "$version" ] && return 0
		rm -rf "$dir/download"
		mkdir -p "$dir/download"
		(cd "$dir/download" && compat_apt "$1" apt-get source --download-only "qemu=$version" \
			</dev/null) || continue
		rm -rf "$dir/qemu" "$dir/work/plugin"
		dpkg-source --no-check -x "$dir"/download/*.dsc "$dir/qemu" || return 1
		rm -rf "$dir/download"
		echo "$version" >"$dir/qemu/.made"
		return 0
	done <"$dir/qemu-versions"
	echo "no version of qemu could be fetched"
	return 1
}

# What the suite's own QEMU program of this version exports.
compat_exports() { # SUITE VERSION
	local dir=$cache/compat/$1 program
	[ "$(cat "$dir/exports.version" 2>/dev/null)" = "$2" ] && return 0
	# a rebuilt program has a suffix of its own
	program=$(compat_apt "$1" apt-cache show qemu-system-x86 | sed -n 's/^Version: //p' |
		awk -v want="$2" '{ v = $0; sub(/\+b[0-9]+$/, "", v); if (v == want) { print; exit } }')
	[ -n "$program" ] || { echo "no qemu-system-x86 made from $2"; return 1; }
	rm -rf "$dir/program"
	mkdir -p "$dir/program"
	(cd "$dir/program" && compat_apt "$1" apt-get download "qemu-system-x86=$program") || return 1
	dpkg-deb -x "$dir"/program/*.deb "$dir/program" || return 1
	nm -D --defined-only "$dir/program/usr/bin/qemu-system-x86_64" |
		awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u >"$dir/exports"
	rm -rf "$dir/program"
	echo "$2" >"$dir/exports.version"
}

# Prints what the plugin wants of QEMU and does not get (nothing: all is well).
compat_missing() { # SUITE
	local dir=$cache/compat/$1
	nm -D --undefined-only "$dir/work/plugin/vgpu-stub.so" |
		awk '$1 == "U" && $2 !~ /@|^g_/ { print $2 }' | sort -u | comm -23 - "$dir/exports"
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

compat_log() { # NAME COMMAND...: quiet; false if the command fails
	local log=$build/log/$1.log
	shift
	mkdir -p "$build/log"
	"$@" >"$log" 2>&1
}

compat_kernel() { # SUITE HEADERS
	local release=${2#linux-headers-} work=$cache/compat/$1/work/module
	rm -rf "$work"
	mkdir -p "$work"
	cp -a guest-driver/module/. protocol/vgpu_abi.h "$work/"
	if compat_log "compat-kernel-$1" compat_in "$1" make -C "/usr/src/$2" M=/work/module \
		KCFLAGS=-Werror modules && [ -e "$work/vgpu_stub.ko" ]; then
		compat_row passed kernel "$1" "$release" "$(compat_note "$work")"
	else
		compat_row failed kernel "$1" "$release" "see build/log/compat-kernel-$1.log"
	fi
}

# The compiler that was used.
compat_note() { # FOLDER
	strings -a "$1/vgpu_stub.ko" | sed -nE 's/^GCC: \([^)]*\) ([0-9.]+).*/gcc \1/p' | sort -u
}

compat_device() { # SUITE
	local dir=$cache/compat/$1 version newest missing
	if ! compat_log "compat-qemu-source-$1" compat_qemu "$1"; then
		compat_row skipped QEMU "$1" - "source not served; see build/log/compat-qemu-source-$1.log"
		return
	fi
	version=$(cat "$dir/qemu/.made")
	newest=$(head -n 1 "$dir/qemu-versions")
	[ "$version" = "$newest" ] ||
		compat_row skipped QEMU "$1" "${newest#*:}" "listed, but the mirror does not serve its source"
	if ! compat_log "compat-qemu-$1" compat_in "$1" env CPPFLAGS=-Werror \
		/tree/qemu-device/qemu/build-plugin.sh /qemu /work/plugin; then
		compat_row failed QEMU "$1" "${version#*:}" "see build/log/compat-qemu-$1.log"
		return
	fi
	if ! compat_log "compat-exports-$1" compat_exports "$1" "$version"; then
		compat_row passed QEMU "$1" "${version#*:}" "program not served, so symbols not checked"
	elif missing=$(compat_missing "$1") && [ -z "$missing" ]; then
		compat_row passed QEMU "$1" "${version#*:}" "its program has every symbol"
	else
		compat_row failed QEMU "$1" "${version#*:}" "its program lacks ${missing//$'\n'/ }"
	fi
}

# A QEMU tree of the user's own, in the oldest suite.  It is copied: what git
# would bring as submodules may be missing, and then comes from the suite's QEMU.
compat_tree() { # DIRECTORY
	local dir=$cache/compat/tree oldest=${compat_suites[0]} version
	version=$(cat "$1/VERSION" 2>/dev/null) || die "$1 is no QEMU source tree (it has no VERSION)"
	if ! { compat_log compat-apt-tree compat_update "$oldest" &&
		compat_log compat-root-tree compat_root "$oldest" "$(compat_headers "$oldest")" &&
		compat_log compat-qemu-source-tree compat_qemu "$oldest"; }; then
		compat_row skipped QEMU "own tree" "$version" "$oldest is not served; see build/log/compat-*-tree.log"
		return
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	ln -s "../$oldest/root" "$dir/root"
	cp -a "$1" "$dir/qemu"
	[ -e "$dir/qemu/ui/keycodemapdb/README" ] || [ -e "$dir/qemu/subprojects/keycodemapdb" ] ||
		cp -a "$cache/compat/$oldest/qemu/ui/keycodemapdb" "$dir/qemu/ui/"
	rm -rf "$dir/qemu/.git"
	if compat_log compat-qemu-tree compat_in tree env CPPFLAGS=-Werror \
		/tree/qemu-device/qemu/build-plugin.sh /qemu /work/plugin; then
		compat_row passed QEMU "own tree" "$version" "compiled in $oldest"
	else
		compat_row failed QEMU "own tree" "$version" "see build/log/compat-qemu-tree.log"
	fi
}

compat_suite() { # SUITE
	local headers
	if ! compat_log "compat-apt-$1" compat_update "$1"; then
		compat_row skipped QEMU "$1" - "suite not served; see build/log/compat-apt-$1.log"
		compat_row skipped kernel "$1" - "suite not served"
		return
	fi
	headers=$(compat_headers "$1")
	if ! compat_log "compat-root-$1" compat_root "$1" "$headers"; then
		compat_row skipped QEMU "$1" - "packages not served; see build/log/compat-root-$1.log"
		compat_row skipped kernel "$1" "${headers#linux-headers-}" "packages not served"
		return
	fi
	compat_device "$1"
	compat_kernel "$1" "$headers"
}

run_compat() { # [SUITE | QEMU-SOURCE-DIRECTORY]...
	local suite
	need_packages "${packages_base[@]}"
	[ $# -gt 0 ] || set -- "${compat_suites[@]}"
	for suite in "$@"; do
		case $suite in
		*/*) compat_tree "$suite" ;;
		*) compat_suite "$suite" ;;
		esac
	done
	printf '\n%-8s %-10s %-28s %-8s %s\n' part suite version result note
	printf '%s\n' "${compat_rows[@]}"
	echo "compat: ${compat_count[passed]} passed, ${compat_count[failed]} failed, ${compat_count[skipped]} skipped"
	[ "${compat_count[failed]}" = 0 ] && [ "${compat_count[passed]}" -gt 0 ]
}
