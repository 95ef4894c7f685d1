#!/usr/bin/env bash
# run_tests.sh [-b BUILD] [-j JOBS] PROGRAM... - run tests side by side and count.
#
# A test is a program or a script (*.sh) that prints TAP lines: "ok ...",
# "not ok ...", and "skip ..." or "... # SKIP ..." for what was not run. Where
# it states a plan ("1..N") the count must match. A test that crashes, takes
# too long (TEST_LIMIT seconds, 900) or runs nothing counts as failed. The
# output of a test with failures is shown in full. The last line is
# "N passed, N failed, N skipped"; the exit code is 1 if any failed. TEST_UNDER
# is put in front of a program (valgrind and its words, say).
#
# Scripts are given ANNEAL (the command), B (the build folder) and TMPDIR (a
# folder of their own that is removed), and start in the root of the tree.
cd "$(dirname "$0")/.." || exit 2
self=$PWD/tools/run_tests.sh
limit=${TEST_LIMIT:-900}

# run_one DIR PROGRAM: the output goes to DIR/NAME.out, the verdict
# "passed failed skipped milliseconds-or-seconds NAME" to DIR/NAME.sum.
run_one() {
    local dir=$1 prog=$2 name pid watch code start
    name=$(basename "$prog" .sh)
    start=$(date +%s)
    mkdir -p "$dir/$name.tmp"
    # what the command remembers of a machine stays with the test
    export XDG_CACHE_HOME=$dir/$name.tmp/cache
    set -m # a process group each, so that a test's children end with it
    case $prog in
    *.sh) TMPDIR=$dir/$name.tmp bash "$prog" ;;
    *_fuzz) TMPDIR=$dir/$name.tmp "$prog" "tests/fuzz/corpus/${name%_fuzz}" ;;
    *) TMPDIR=$dir/$name.tmp CMOCKA_MESSAGE_OUTPUT=TAP ${TEST_UNDER:-} "$prog" ;;
    esac >"$dir/$name.out" 2>&1 </dev/null &
    pid=$!
    (
        sleep "$limit"
        echo "not ok - stopped after $limit seconds" >>"$dir/$name.out"
        kill -9 -- "-$pid"
    ) >/dev/null 2>&1 </dev/null &
    watch=$!
    set +m
    wait "$pid" 2>/dev/null
    code=$?
    kill -- "-$watch" 2>/dev/null
    wait "$watch" 2>/dev/null
    rm -rf "$dir/$name.tmp"
    awk -v code="$code" -v name="$name" -v took="$(($(date +%s) - start))" '
        /^(not )?ok( .*)? # *[Ss][Kk][Ii][Pp]/ || /^skip( |$)/ { skipped++; next }
        /^ok( |$)/ { passed++; next }
        /^not ok( |$)/ { failed++; next }
        /^1\.\.[0-9]+/ { plan += substr($0, 4) }
        END {
            ran = passed + failed + skipped
            why = ""
            if (!failed && code) why = "ended with code " code
            else if (!ran) why = "ran no test"
            else if (plan && plan != ran) why = "planned " plan " tests, reported " ran
            if (why != "") failed++
            printf "%d %d %d %d %s %s\n", passed, failed, skipped, took, name, why
        }' "$dir/$name.out" >"$dir/$name.sum"
    show "$dir" "$name"
}

# One line for a test, or all it said. Lines of several tests do not mix: each
# report is written by one command.
show() {
    local passed failed skipped took name why note=
    read -r passed failed skipped took name why <"$1/$2.sum"
    [ "$skipped" = 0 ] || note=", $skipped skipped"
    if [ "$failed" = 0 ]; then
        printf 'ok      %-34s %4d passed%s (%d s)\n' "$name" "$passed" "$note" "$took"
    else
        {
            printf 'FAILED  %-34s %4d passed, %d failed%s (%d s) %s\n' \
                "$name" "$passed" "$failed" "$note" "$took" "$why"
            sed 's/^/    | /' "$1/$2.out"
        } >"$1/$2.report"
        cat "$1/$2.report"
    fi
}

if [ "$1" = --one ]; then
    run_one "$2" "$3"
    exit 0
fi

build=build jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
while getopts b:j: flag; do
    case $flag in
    b) build=$OPTARG ;;
    j) jobs=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
case $build in /*) ;; *) build=$PWD/$build ;; esac
export ANNEAL=$build/anneal B=$build

dir=$(mktemp -d "${TMPDIR:-/tmp}/anneal-tests.XXXXXX") || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

# What takes longest goes first, so that it does not run alone at the end:
# scripts, then slow programs, then the rest.
{
    printf '%s\n' "$@" | grep '\.sh$'
    printf '%s\n' "$@" | grep '_slow_test$'
    printf '%s\n' "$@" | grep -v -e '\.sh$' -e '_slow_test$'
} | grep . | tr '\n' '\0' | xargs -0 -n 1 -P "$jobs" bash "$self" --one "$dir"

cat "$dir"/*.sum 2>/dev/null | awk -v wanted="$#" '
    { passed += $1; failed += $2; skipped += $3; n++ }
    END {
        if (n < wanted) failed += wanted - n # a runner that died left no verdict
        if (!wanted) failed++
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        exit failed > 0
    }'
