#!/usr/bin/env bash
# Installs a package, checks and runs what it brought, removes and purges it, on a copy of this machine's files that is
# thrown away: packaging/deb/test.sh PACKAGE. Root only; the package's dependencies are installed here already.
set -euo pipefail
package=$(readlink -f "$1")
if [ -z "${POLLUX_TEST_DEB:-}" ]; then
    # Mounts and processes go with these namespaces.
    POLLUX_TEST_DEB=1 exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$0" "$package"
fi

layers=$(mktemp -d)
trap 'umount -l "$layers"; rmdir "$layers"' EXIT
mount -t tmpfs tmpfs "$layers"
mkdir "$layers"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$layers/root"
root=$layers/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cp "$package" "$root/tmp/pollux.deb"
# No daemon is there to be told.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

within=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8)
inside() { "${within[@]}" "$@"; }
say() { echo "test-deb: $*"; }
fail() { echo "test-deb: $*" >&2; exit 1; }
files() { (cd "$root" && find etc usr lib var run \( -path run/lock -o -name '*.dpkg-*' \) -prune -o -print 2>/dev/null | sort); }

inside dpkg --force-depends --purge pollux >/dev/null 2>&1 || true
files >"$layers/before"

say "installing"
inside dpkg -i /tmp/pollux.deb >/dev/null
inside getent group pollux >/dev/null || fail "there is no group pollux"
[ -d "$root/run/pollux" ] || fail "there is no /run/pollux"
inside pollux --version
inside man -w pollux pollux-run >/dev/null 2>&1 || [ -e "$root/usr/share/man/man1/pollux-run.1.gz" ] || fail "there is no manual"
said=$(inside systemd-analyze verify --man=no /lib/systemd/system/pollux.service 2>&1 | grep pollux || true)
[ -z "$said" ] || fail "the unit: $said"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/pollux.service" ] || fail "it is enabled without being asked"

say "checking and running the file that it brings, without hugepages and with a null device"
sed -i -e 's/^hugepages = true/hugepages = false/' -e '/^vhost_user/d' -e 's/^\[ports.vm1\]/[ports.null]\ndevice = "net_null0"/' \
    "$root/etc/pollux/pollux.toml"
inside pollux check
"${within[@]}" pollux run >"$layers/said" 2>&1 &
running=$!
for _ in $(seq 300); do
    grep -q '^ready after' "$layers/said" && break
    kill -0 $running 2>/dev/null || break
    sleep 0.1
done
grep -q '^ready after' "$layers/said" || fail "it doesn't get ready: $(cat "$layers/said")"
group=$(inside stat -c %G:%a /run/pollux/control.sock)
[ "$group" = pollux:660 ] || fail "the control socket is $group"
inside pollux exec show port stats all
ready=$(inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/9475; printf "GET /readyz HTTP/1.0\r\n\r\n" >&3; head -1 <&3')
[[ $ready == *" 200 "* ]] || fail "it isn't ready: $ready"
kill -TERM $running
wait $running || fail "it ends badly: $(cat "$layers/said")"

say "removing"
inside dpkg -r pollux >/dev/null
[ ! -e "$root/usr/bin/pollux" ] && [ -e "$root/etc/pollux/pollux.toml" ] || fail "removal keeps the file, and only that"
say "installing again"
inside dpkg -i /tmp/pollux.deb >/dev/null
[ ! -L "$root/etc/systemd/system/pollux.service" ] || fail "the unit is masked"
inside pollux check
inside dpkg -r pollux >/dev/null
say "purging"
inside dpkg -P pollux >/dev/null
rm -f "$root"/etc/{group,gshadow}- "$root"/var/cache/ldconfig/aux-cache
files | grep -v -E '^(var/log/|var/lib/dpkg/|var/cache/|etc/(group|gshadow|subgid|subuid|passwd|shadow)-$|run/(adduser|dpdk|systemd(/.*)?)$)' >"$layers/after"
left=$(comm -13 "$layers/before" "$layers/after")
[ -z "$left" ] || fail "left behind: $left"
inside getent group pollux >/dev/null && fail "the group is left"
say "installs, runs, and goes without a trace"
