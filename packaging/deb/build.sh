#!/usr/bin/env bash
# Builds the Debian package of a binary, in target/debian: packaging/deb/build.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=${1:-${CARGO_TARGET_DIR:-target}/release/pollux}
here=packaging/deb
out=${CARGO_TARGET_DIR:-target}/debian
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)
# The same source makes the same package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
umask 022

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root
install -D -m 755 "$binary" "$root/usr/bin/pollux"
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/pollux"
install -D -m 644 packaging/systemd/pollux.service "$root/lib/systemd/system/pollux.service"
install -D -m 644 packaging/systemd/pollux.tmpfiles "$root/usr/lib/tmpfiles.d/pollux.conf"
install -D -m 644 $here/pollux.toml "$root/etc/pollux/pollux.toml"
install -D -m 644 packaging/grafana/pollux.json "$root/usr/share/pollux/grafana/pollux.json"
install -D -m 644 packaging/prometheus/pollux.rules.yml "$root/usr/share/pollux/prometheus/pollux.rules.yml"

"$binary" generate man "$root/usr/share/man/man1"
"$binary" generate completions "$stage/completions"
install -D -m 644 "$stage/completions/pollux.bash" "$root/usr/share/bash-completion/completions/pollux"
install -D -m 644 "$stage/completions/_pollux" "$root/usr/share/zsh/vendor-completions/_pollux"
install -D -m 644 "$stage/completions/pollux.fish" "$root/usr/share/fish/vendor_completions.d/pollux.fish"

doc=$root/usr/share/doc/pollux
mkdir -p "$doc"
install -m 644 README.md CHANGELOG.md docs/*.md $here/copyright "$doc"
maintainer=$(sed -n 's/^Maintainer: //p' $here/control.in)
printf 'pollux (%s) unstable; urgency=medium\n\n  * CHANGELOG.md has what changed.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -uRd "@$SOURCE_DATE_EPOCH")" >"$doc/changelog"
gzip -9n "$root"/usr/share/man/man1/*.1 "$doc/changelog"
find "$doc" -name '*.md' -size +4k -exec gzip -9n {} +

mkdir -p "$root/DEBIAN" "$stage/debian"
printf 'Source: pollux\n\nPackage: pollux\nArchitecture: any\n' >"$stage/debian/control"
libraries=$(cd "$stage" && dpkg-shlibdeps -O -e root/usr/bin/pollux 2>"$stage/said" || { cat "$stage/said" >&2; exit 1; })
size=$(du -k --apparent-size --summarize --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SIZE@/$size/" \
    -e "s/@LIBRARIES@/${libraries#shlibs:Depends=}/" $here/control.in >"$root/DEBIAN/control"
install -m 755 $here/postinst $here/prerm $here/postrm "$root/DEBIAN"
echo /etc/pollux/pollux.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
package=$out/pollux_${version}_${architecture}.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
