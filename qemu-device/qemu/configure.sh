# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How QEMU is configured for the device; sourced by what builds with QEMU's sources.

# One option a line: an x86_64 system emulator, and nothing that the device does without.
configure_options() { # QEMU_SOURCE
	printf '%s\n' --target-list=x86_64-softmmu --without-default-devices \
		--disable-tools --disable-docs
	# 6.0 brought it; before, what is not found is left out anyhow.
	! grep -q -e --without-default-features "$1/configure" || echo --without-default-features
	# Debian's newer sources have no firmware images to install.  In 5.2 Meson has
	# the option and configure has not.
	! grep -qs -e --disable-install-blobs "$1/scripts/meson-buildoptions.sh" ||
		echo --disable-install-blobs
}
