# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The source of the installed QEMU, the device plugin made with it, and the graft.

# Debian's source of the installed QEMU, unpacked below the cache; prints the folder.
qemu_source() {
	local version dir lists
	version=$(dpkg-query -W -f '${source:Version}' qemu-system-x86)
	dir=$cache/qemu-${version#*:} # configure takes no colon
	if [ ! -e "$dir/configure" ]; then
		lists=$cache/apt
		mkdir -p "$lists/parts" "$lists/lists/partial" "$cache/download"
		source_lists "$lists/parts"
		cat >"$lists/apt.conf" <<-CONF
			Dir::Etc::sourcelist "/dev/null";
			Dir::Etc::sourceparts "$lists/parts";
			Dir::State::lists "$lists/lists";
			Dir::Cache::srcpkgcache "";
			Dir::Cache::pkgcache "";
			APT::Sandbox::User "root";
		CONF
		step "fetching QEMU's source, $version" >&2
		quietly apt-update-source apt-get -c "$lists/apt.conf" update
		(cd "$cache/download" && quietly qemu-source apt-get -c "$lists/apt.conf" \
			source --download-only "qemu=$version")
		rm -rf "$dir.tmp" "$dir"
		quietly qemu-unpack dpkg-source --no-check -x \
			"$cache/download/qemu_${version#*:}.dsc" "$dir.tmp"
		mv "$dir.tmp" "$dir"
	fi
	echo "$dir"
}

# The system's own binary package sources, as sources of source packages.
source_lists() { # FOLDER
	local f
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] && grep -q 'debian' "$f" || continue
		sed 's/^Types:.*/Types: deb-src/' "$f" >"$1/$(basename "$f")"
	done
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] && grep -Eq '^deb[[:space:]].*debian' "$f" || continue
		grep -E '^deb[[:space:]].*debian' "$f" | sed 's/^deb[[:space:]]/deb-src /' \
			>"$1/$(basename "$f" .list).list"
	done
}

build_plugin() {
	local dir
	need_packages "${packages_base[@]}"
	dir=$(qemu_source)
	step "building the device for QEMU $(dpkg-query -W -f '${Version}' qemu-system-x86)"
	quietly plugin qemu-device/qemu/build-plugin.sh "$dir" "$build/plugin"
}

run_graft() { # [--patches FOLDER] [QEMU-SOURCE]
	local dir patches=
	if [ "${1:-}" = --patches ]; then
		patches=${2:?a folder for the patches}
		shift 2
	fi
	dir=${1:-}
	need_packages "${packages_base[@]}" "${packages_graft[@]}"
	[ -n "$dir" ] || dir=$(qemu_source)
	[ -e "$dir/configure" ] || die "$dir is no QEMU source tree (it has no configure)"
	if [ -n "$patches" ]; then
		step "writing the device as patches for QEMU $(cat "$dir/VERSION")"
		qemu-device/qemu/patches.sh "$dir" "$patches"
		return
	fi
	step "building QEMU with the device in it (two to three minutes)"
	quietly_ninja graft "$build/graft/qemu-build/build.log" \
		qemu-device/qemu/build-graft.sh "$dir" "$build/graft"
	step "built: build/graft/qemu-system-x86_64"
}
