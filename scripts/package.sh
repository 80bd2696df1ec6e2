# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Packages: Debian's from debian/, XCP-ng's from xcp-ng/rpm, each tried out.

packages_deb=(debhelper dh-dkms dkms fakeroot lintian)
packages_rpm=(rpm dkms fakeroot)

# The tree as it is here, without what git ignores.
package_tree() { # FOLDER
	rm -rf "$1"
	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do
			[ ! -e "$file" ] || printf '%s\0' "$file"
		done | tar -c --null -T - | tar -x -C "$1"
}

run_deb() {
	local out=$build/deb tree=$build/deb/vgpu-stub qemu
	need_packages "${packages_base[@]}" "${packages_deb[@]}"
	qemu=$(qemu_source)
	rm -rf "$out"
	package_tree "$tree"
	step "building Debian's packages"
	(cd "$tree" && quietly deb env "VGPU_QEMU_SOURCE=$qemu" \
		"DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS:-noautodbgsym}" dpkg-buildpackage -us -uc)
	step "lintian"
	lintian --allow-root --fail-on error,warning "$out"/*.changes ||
		die "lintian is not content with the packages"
	step "installing and removing them, in a root that is thrown away"
	tests/packages/throwaway.sh "$out" tests/packages/deb.sh "$(guest_kernel)"
	step "built: build/deb/*.deb"
}

run_rpm() { # [OPTIONS of rpmbuild, such as --without cuda]
	local out=$build/rpm spec=xcp-ng/rpm/vgpu-stub.spec name
	need_packages "${packages_base[@]}" "${packages_rpm[@]}"
	name=vgpu-stub-$(sed -n 's/^Version: *//p' "$spec")
	rm -rf "$out"
	package_tree "$out/$name"
	mkdir -p "$out/SOURCES"
	tar -C "$out" -czf "$out/SOURCES/$name.tar.gz" "$name"
	step "building the RPMs"
	# What they need is Debian's here, and by other names.
	quietly rpm rpmbuild -ba --nodeps --define "_topdir $out" --define 'debug_package %{nil}' \
		"$@" "$spec"
	step "installing and removing them, in a root that is thrown away"
	tests/packages/throwaway.sh "$out/RPMS" tests/packages/rpm.sh "$(guest_kernel)"
	step "built: build/rpm/RPMS and SRPMS"
}
