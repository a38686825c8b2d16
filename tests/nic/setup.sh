#!/bin/sh
# Installs what the NIC test needs: QEMU, from Debian's backports where they can be had, because only
# QEMU 8 and newer emulates igb, the NIC with several RSS queues. Does nothing when all is there.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt() { # another apt may be at work: wait for its lock
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@"
}

qemu_major() { qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p'; }

# Adds this release's backports, from the mirror that already serves it. Fails if that has none.
add_backports() {
    suite="${VERSION_CODENAME:?}-backports"
    mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(CREATED_BY)' 2>/dev/null |
        awk -v suite="$VERSION_CODENAME" '$2 == suite && $3 == "Packages" { print $1; exit }')
    apt-get indextargets --format '$(RELEASE)' | grep -qx "$suite" && return 0
    [ -n "$mirror" ] || return 1
    file=/etc/apt/sources.list.d/$suite.sources
    as_root tee "$file" >/dev/null <<EOF
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
    # Only this source: whether the other ones answer is not the question here.
    if ! apt -o Dir::Etc::sourcelist="$file" -o Dir::Etc::sourceparts=- \
        -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any update; then
        as_root rm -f "$file"
        return 1
    fi
}

missing=
have busybox && busybox insmod --help >/dev/null 2>&1 || missing="$missing busybox-static"
have dpdk-testpmd || missing="$missing dpdk-dev"
have python3 || missing="$missing python3"
have ldd || missing="$missing libc-bin"
old=
if have qemu-system-x86_64; then
    # An old one serves too, so it is worth a try only where that asks nobody for a password.
    [ "$(qemu_major)" -ge 8 ] || [ "$(id -u)" -ne 0 ] || old=yes
else
    old=yes
fi
# The guest's kernel is fetched, not installed, so apt must know of it.
unknown=
apt-cache show linux-image-amd64 >/dev/null 2>&1 || unknown=yes
[ -n "$missing$old$unknown" ] || exit 0

apt update || true # what is still lacking then, the installation says
if [ -n "$old" ]; then
    . /etc/os-release
    offered=$(apt-cache policy qemu-system-x86 | sed -n 's/ *Candidate: [0-9]*:\([0-9]*\)\..*/\1/p')
    if [ "${offered:-0}" -ge 8 ]; then
        apt install -y --no-install-recommends qemu-system-x86
    elif add_backports; then
        apt install -y --no-install-recommends -t "$VERSION_CODENAME-backports" qemu-system-x86
    else
        echo "tests/nic: no backports to be had: taking the stable QEMU, whose e1000e has a single queue" >&2
        apt install -y --no-install-recommends qemu-system-x86
    fi
fi
# shellcheck disable=SC2086
[ -z "$missing" ] || apt install -y --no-install-recommends $missing
