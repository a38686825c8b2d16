#!/usr/bin/env bash
# Installs what building and running Pollux needs and this machine lacks.
#   scripts/setup.sh build|demo|test|vm|peers|lab|qos|deb ...
# Debian and Ubuntu packages through apt-get; cargo-nextest and cargo-deny through cargo where there is none.
set -euo pipefail

build="gcc pkg-config libdpdk-dev libpcap-dev libclang-dev"
run="iproute2 iputils-ping ethtool"
declare -A packages=(
    [build]="$build"
    [demo]="$build $run"
    [test]="$build $run tcpdump tshark tmux python3-scapy prometheus chromium dpdk-dev openvswitch-switch-dpdk"
    [vm]="$build $run qemu-system-x86 qemu-guest-agent busybox-static iperf3 python3"
    [qos]="$build $run iperf3"
    [deb]="$build dpkg-dev binutils adduser systemd"
    [peers]="$build dpdk-dev openvswitch-switch-dpdk"
    [lab]="$build $run dpdk-dev openvswitch-switch-dpdk"
)
declare -A tools=([test]="cargo-nextest" [lint]="cargo-deny")

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing=()
for purpose in "$@"; do
    for package in ${packages[$purpose]:-}; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}" >&2
    as_root apt-get -o DPkg::Lock::Timeout=600 update -qq
    # A switch daemon that a package brings must not start by itself.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        trap 'as_root rm -f "$policy"' EXIT
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

for purpose in "$@"; do
    for tool in ${tools[$purpose]:-}; do
        command -v "$tool" >/dev/null || cargo install --locked "$tool"
    done
done
