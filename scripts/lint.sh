# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Style and static checks; each prints what it found and the last line says which failed.

# The kernel's own checkpatch, out of Debian's source package of the kernel.
checkpatch() { # prints its path
	local dir=$cache/checkpatch deb
	if [ ! -x "$dir/scripts/checkpatch.pl" ]; then
		mkdir -p "$cache/download" "$dir.tmp"
		step "fetching the kernel's checkpatch" >&2
		(cd "$cache/download" && quietly linux-source apt-get \
			-o APT::Sandbox::User=root download linux-source-6.1)
		deb=$(find "$cache/download" -name 'linux-source-6.1_*.deb' | sort | tail -n 1)
		dpkg --fsys-tarfile "$deb" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
			tar -xJ -C "$dir.tmp" --strip-components=1 --wildcards \
				'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
				'*/scripts/const_structs.checkpatch'
		rm -f "$deb"
		mv -T "$dir.tmp" "$dir"
	fi
	echo "$dir/scripts/checkpatch.pl"
}

# C files in our own style: all but the kernel's and QEMU's.
own_c_files() {
	git ls-files '*.[ch]' | grep -Ev '^(guest-driver/module|tests/bench/guest/edu|qemu-device/qemu)/'
}

lint_format() {
	own_c_files | xargs clang-format --dry-run --Werror
}

lint_tidy() {
	build_host >&2
	git ls-files 'mediator/*.c' 'qemu-device/core/*.c' 'guest-driver/lib/*.c' 'guest-driver/tools/*.c' \
		'guest-driver/cuda/*.c' 'guest-driver/nvml/*.c' |
		xargs -P 2 -n 4 clang-tidy --quiet -p "$build/host" 2>/dev/null
}

lint_checkpatch() {
	local script
	script=$(checkpatch)
	git ls-files 'guest-driver/module/*.[ch]' 'tests/bench/guest/edu/*.[ch]' |
		xargs perl "$script" --no-tree --strict --terse --show-types --file --max-line-length=100 \
			--ignore FILE_PATH_CHANGES,SPDX_LICENSE_TAG,LINUX_VERSION_CODE,CONSTANT_COMPARISON
}

lint_qemu() {
	local dir
	dir=$(qemu_source)
	git ls-files 'qemu-device/qemu/*.[ch]' |
		while read -r file; do
			(cd "$dir" && perl scripts/checkpatch.pl --no-tree --terse -f "$top/$file") || exit 1
		done
}

lint_sparse() {
	local release src dst
	release=$(guest_kernel)
	for src in guest-driver/module tests/bench/guest/edu; do
		dst=$build/sparse/$(basename "$src")
		rm -rf "$dst"
		build_kernel_module "$src" "$dst" "$release" W=1 C=2
		if grep -E 'warning|error' "$build/log/kbuild-$(basename "$src").log"; then
			return 1
		fi
	done
}

lint_shell() {
	local scripts
	mapfile -t scripts < <(git ls-files '*.sh' .ci/run | grep -v '^scripts/')
	shellcheck -x run
	[ ${#scripts[@]} -eq 0 ] || shellcheck "${scripts[@]}"
}

lint_documents() {
	git ls-files 'doc/man/*' | grep -E '\.[1-8]$' | xargs mandoc -T lint -W warning
	/usr/bin/python3 doc/check-docs.py
}

# Rules and expressions as Prometheus reads them; that their metrics exist is a test's to see.
lint_monitoring() {
	/usr/bin/python3 doc/monitoring/make-dashboard.py --check
	promtool check rules doc/monitoring/alerts.yml >/dev/null
	promtool test rules doc/monitoring/alerts_test.yml >/dev/null
}

lint_python() {
	git ls-files '*.py' | xargs /usr/bin/python3 -m py_compile
}

run_lint() { # [CHECK...]
	local check status failed=() passed=0
	need_packages "${packages_base[@]}" "${packages_dev[@]}"
	[ $# -gt 0 ] || set -- format shell python documents monitoring sparse checkpatch qemu tidy
	for check in "$@"; do
		step "lint: $check"
		# Not as a condition: there the shell would ignore its own -e.
		set +e
		(
			set -e
			"lint_$check"
		)
		status=$?
		set -e
		if [ "$status" = 0 ]; then
			passed=$((passed + 1))
		else
			failed+=("$check")
		fi
	done
	[ ${#failed[@]} -eq 0 ] || echo "failed: ${failed[*]}"
	echo "lint: $passed passed, ${#failed[@]} failed"
	[ ${#failed[@]} -eq 0 ]
}
