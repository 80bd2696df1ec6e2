# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The device in a suite's QEMU: as a plugin, and as patches to its source.

# The newest of the suite's QEMU sources that the mirror really has, unpacked.
compat_source_qemu() { # SUITE
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
	echo "E: of qemu's sources those listed are not served"
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

# The plugin, and whether the suite's own program has what it wants.
compat_plugin() { # SUITE VERSION
	local missing version=${2#*:} made
	if ! compat_log "compat-plugin-$1" compat_in "$1" env CPPFLAGS=-Werror \
		/tree/qemu-device/qemu/build-plugin.sh /qemu /work/plugin; then
		compat_row failed plugin "$1" "$version" "see build/log/compat-plugin-$1.log"
		return
	fi
	made="two shared objects, gcc $(compat_gcc "$1")"
	if [ "$1" = tree ]; then
		compat_row passed plugin "$1" "$version" "$made"
	elif ! compat_log "compat-exports-$1" compat_exports "$1" "$2"; then
		compat_row passed plugin "$1" "$version" "$made; program not served, symbols not checked"
	elif missing=$(compat_missing "$1") && [ -z "$missing" ]; then
		compat_row passed plugin "$1" "$version" "$made; its program has every symbol"
	else
		compat_row failed plugin "$1" "$version" "its program lacks ${missing//$'\n'/ }"
	fi
}

# A copy of the tree with the device as patches, which must apply as they are.  What
# they make must be all that graft.sh wants: then patches of it are the same ones.
# A user's tree may have the device already; it is brought up to date then.
compat_patch() { # SUITE
	local dir=$cache/compat/$1 patch
	rm -rf "$dir"/patches{,-again} "$dir"/work/{grafted,graft}
	qemu-device/qemu/patches.sh "$dir/qemu" "$dir/patches" || return 1
	mkdir -p "$dir/work"
	cp -a "$dir/qemu" "$dir/work/grafted" || return 1
	if [ -d "$dir/qemu/hw/misc/vgpu-stub" ]; then
		qemu-device/qemu/graft.sh "$dir/work/grafted"
		return
	fi
	for patch in "$dir"/patches/*.patch; do
		patch -d "$dir/work/grafted" -p1 --fuzz=0 -i "$patch" || return 1
	done
	qemu-device/qemu/patches.sh "$dir/work/grafted" "$dir/patches-again" &&
		diff -r "$dir/patches" "$dir/patches-again"
}

compat_graft() { # SUITE VERSION XEN
	local dir=$cache/compat/$1 version=${2#*:} log=$build/log/compat-graft-$1.log note
	if ! compat_log "compat-patch-$1" compat_patch "$1"; then
		compat_row failed graft "$1" "$version" "patches do not fit; see build/log/compat-patch-$1.log"
		return
	fi
	if ! compat_log "compat-graft-$1" compat_in "$1" \
		/tree/tests/compat/device-objects.sh /work/grafted /work/graft; then
		compat_row failed graft "$1" "$version" "see ${log#"$top"/}"
		return
	fi
	note="patches apply; $(tail -n 1 "$log")"
	[ ! -d "$dir/qemu/hw/misc/vgpu-stub" ] || note="had the device; ${note#*; }"
	rm -rf "$dir"/work/{grafted,graft}
	compat_row passed graft "$1" "$version" "$note; Xen ${3%%+*}, gcc $(compat_gcc "$1")"
}

compat_qemu() { # SUITE
	local dir=$cache/compat/$1 version newest
	compat_why=compat-qemu-source-$1
	if ! compat_log "$compat_why" compat_source_qemu "$1"; then
		compat_unready "$1" plugin graft
		return
	fi
	version=$(cat "$dir/qemu/.made")
	newest=$(head -n 1 "$dir/qemu-versions")
	[ "$version" = "$newest" ] ||
		compat_row skipped plugin "$1" "${newest#*:}" "listed, but the mirror does not serve its source"
	compat_plugin "$1" "$version"
	compat_graft "$1" "$version" "$(compat_version "$1" libxen-dev)"
}

# Which suite's tools build a QEMU of such an age.
compat_suite_for() { # VERSION
	case $1 in
	[0-5].* | 6.*) echo bullseye ;;
	[7-9].*) echo bookworm ;;
	*) echo trixie ;;
	esac
}

# A QEMU tree of the user's own.  It is copied: what git would bring as submodules
# may be missing, and then comes from the suite's QEMU.
compat_tree() { # DIRECTORY
	local dir=$cache/compat/tree suite version keys
	version=$(cat "$1/VERSION" 2>/dev/null) || die "$1 is no QEMU source tree (it has no VERSION)"
	suite=$(compat_suite_for "$version")
	if ! compat_prepare "$suite" || ! { compat_why=compat-qemu-source-$suite &&
		compat_log "$compat_why" compat_source_qemu "$suite"; }; then
		compat_unready tree plugin graft
		return
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	ln -s "../$suite/root" "$dir/root"
	cp -a "$1" "$dir/qemu"
	for keys in ui/keycodemapdb subprojects/keycodemapdb; do
		[ ! -d "$cache/compat/$suite/qemu/$keys" ] || [ -e "$dir/qemu/$keys/README" ] ||
			cp -aT "$cache/compat/$suite/qemu/$keys" "$dir/qemu/$keys"
	done
	rm -rf "$dir/qemu/.git"
	compat_plugin tree "$version"
	compat_graft tree "$version" "$(compat_version "$suite" libxen-dev)"
}
