# The test runner counts what ran, and nothing that goes wrong is missed.
. tests/e2e/lib/common.sh

# report BODY...: what the runner says of scripts with these bodies
report() {
    local i=0 list=
    rm -rf "$TMPDIR/s" && mkdir "$TMPDIR/s"
    for body in "$@"; do
        i=$((i + 1))
        printf '%s\n' "$body" >"$TMPDIR/s/t$i.sh"
        list="$list $TMPDIR/s/t$i.sh"
    done
    tools/run_tests.sh -b "$B" $list
}
last() { report "$@" | tail -n 1; }

same "results are summed over programs" \
    "$(last 'echo "ok 1 - a"; echo "ok 2 - b # SKIP no c"' 'echo "ok"; echo "skip - d"; echo "not ok - e"; exit 1')" \
    "2 passed, 1 failed, 2 skipped"
same "cmocka's way to skip is no failure" "$(last 'echo "not ok 3 # SKIP c"; echo "ok 1 - a"')" \
    "1 passed, 0 failed, 1 skipped"
same "a test that runs nothing has failed" "$(last 'echo hello')" "0 passed, 1 failed, 0 skipped"
same "a test that ends badly has failed" "$(last 'echo "ok 1 - a"; exit 3')" "1 passed, 1 failed, 0 skipped"
same "a test that crashes has failed" "$(last 'echo "ok 1 - a"; kill -SEGV $$')" "1 passed, 1 failed, 0 skipped"
same "a test that stops before its plan has failed" "$(last 'echo 1..3; echo "ok 1 - a"')" \
    "1 passed, 1 failed, 0 skipped"
same "a test that hangs is stopped" "$(TEST_LIMIT=1 last 'echo "ok 1 - a"; sleep 60')" \
    "1 passed, 1 failed, 0 skipped"
same "no tests at all is a failure" "$(last)" "0 passed, 1 failed, 0 skipped"
check "all good is success" report 'echo "ok 1 - a"'
refuse "a failure is an error" report 'echo "ok 1 - a"' 'echo "not ok 1 - b"'
has "the output of a failed test is shown" "$(report 'echo "not ok 1 - b"; echo "the number was 7" >&2')" \
    "| the number was 7"
has "a test may write in its own folder" \
    "$(report 'echo hi >"$TMPDIR/x" && echo "ok 1 - $(cat "$TMPDIR/x")"')" "1 passed"
