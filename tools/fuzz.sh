#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS TARGET... - run each libFuzzer target for a while.
# The corpus of the tree is read; new inputs go to BUILD/corpus/NAME.
build=$1 seconds=$2 bad=0
shift 2
[ $# -gt 0 ] || { echo "no fuzz targets under tests/fuzz" >&2; exit 1; }
for target in "$@"; do
    name=$(basename "$target" _fuzz)
    seeds=tests/fuzz/corpus/$name
    mkdir -p "$build/corpus/$name"
    echo "fuzz: $name for $seconds s"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/crash-$name-" "$build/corpus/$name" $([ -d "$seeds" ] && echo "$seeds") \
        >"$build/$name.log" 2>&1 || bad=1
    tail -n 12 "$build/$name.log"
done
exit $bad
