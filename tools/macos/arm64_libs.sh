#!/usr/bin/env bash
# arm64_libs.sh FOLDER - Debian's static jansson, xxHash and PCRE2 for arm64 in
# FOLDER/root, for programs that run under qemu-aarch64. Installs nothing: apt
# gets lists and a cache of its own, so that this system need not learn of
# another architecture. Says nothing if they are there; fails with a reason.
set -u
to=$1
root=$to/root
lib=$root/usr/lib/aarch64-linux-gnu
have() {
    [ -f "$lib/libjansson.a" ] && [ -f "$lib/libxxhash.a" ] && [ -f "$lib/libpcre2-8.a" ]
}
have && exit 0
command -v apt-get >/dev/null || { echo "only Debian's apt has these libraries"; exit 1; }
mkdir -p "$to/lists/partial" "$to/cache/archives/partial" "$to/deb" || exit 1
: >"$to/status"
apt() {
    apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Acquire::Languages=none \
        -o Acquire::Retries=3 -o Dir::State::Lists="$to/lists" -o Dir::State::status="$to/status" \
        -o Dir::Cache="$to/cache" -o APT::Sandbox::User= "$@" </dev/null
}
said=$(apt update 2>&1; cd "$to/deb" && apt download libjansson-dev libxxhash-dev libpcre2-dev 2>&1)
for deb in "$to"/deb/*.deb; do [ ! -f "$deb" ] || dpkg-deb -x "$deb" "$root"; done
rm -rf "$to/lists" "$to/cache" "$to/deb" "$to/status"
have || { printf '%s\n' "$said" | tail -n 3; exit 1; }
