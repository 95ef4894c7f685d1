#!/usr/bin/env bash
# prove.sh casts|memory|valgrind|ownership - proofs by tools that not every machine has. The last
# line is "N passed, N failed, N skipped"; without its tool a proof is skipped
# and says so.
#
#   casts      clang's checker of function types: every function the driver
#              calls has the type it is called with
#   memory     clang's memory sanitizer: nothing is read that was not written, in
#              tests that link no library from outside
#   valgrind   the same, and that nothing is lost, in some of those that do and in a
#              short training
#   ownership  clang's analyzer: what the driver gets from Core Foundation it
#              gives back, once
cd "$(dirname "$0")/.." || exit 2
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
what=${1:-}
shift

skip() {
    echo "skip $what: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

# programs BUILD PATTERN...: the quick unit tests that match, as programs there
programs() {
    local build=$1 pattern t
    shift
    for pattern; do
        for t in tests/unit/${pattern}_test.c; do
            case $t in *_slow_test.c | *'*'*) continue ;; esac
            t=${t##*/}
            echo "$build/tests/${t%.c}"
        done
    done
}
# built WORD...: make, silent unless it fails
built() {
    local log
    log=$(make --no-print-directory -j"$jobs" "$@" 2>&1) && return
    printf '%s\n' "$log" | tail -n 40
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

case $what in
casts)
    # gcc has no such checker, and clang has it for C from version 17 on.
    need clang-19
    b=build-function
    tests=$(programs $b 'ane_*' 'fake_*' 'dev_conformance*')
    built CC=clang-19 B=$b SAN=function,undefined OPT=-O1 fake $tests
    CC=clang-19 tools/run_tests.sh -b $b $tests tests/proof/casts.sh
    ;;
memory)
    # Older ones do not know the masked stores of the kernels. What a library
    # writes that was not built so would be reported, so cmocka is our own
    # stand-in, xxHash is compiled in, and tests that need jansson or PCRE2
    # are left to valgrind. Room dev names jansson for its reports, which these
    # tests do not read or write: it is linked and not called.
    need clang-19
    b=build-memory
    tests=$(programs $b 'base_*' 'kern_*' 'ir_*' 'mil_*' 'emu_*' 'dev_*' 'ane_*' 'fake_frame' 'fake_tables' |
        grep -v -e /base_event_test -e /dev_check_test -e /dev_known_test)
    built CC=clang-19 B=$b SAN=memory OPT=-O1 PKGLIBS=-ljansson CMOCKA= PKGFLAGS=-Itests/cross \
        DEFS=-DXXH_INLINE_ALL fake $tests
    CC=clang-19 tools/run_tests.sh -b $b $tests tests/proof/memory.sh
    ;;
valgrind)
    # Not the tests with several programs in flight or many failures: where
    # threads take turns they need minutes. What is only "possibly lost" is the
    # fake's: an object begins after its reference count.
    need valgrind
    UNDER="valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect"
    UNDER="$UNDER --errors-for-leak-kinds=definite,indirect"
    export UNDER
    b=build
    tests=$(programs $b base_event 'ane_driver_info' 'ane_driver_weights' 'ane_facts' 'ane_stage' 'ane_table' \
        fake_frame fake_tables)
    built B=$b all fake $tests
    TEST_UNDER=$UNDER tools/run_tests.sh -b $b $tests tests/proof/valgrind.sh
    ;;
ownership)
    need clang
    tools/run_tests.sh tests/proof/ownership.sh
    ;;
*)
    sed -n '2,/^cd/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
