# That the memory sanitizer of the compiler in CC does report here.
. tests/e2e/lib/common.sh
check "a program that reads what it never wrote is compiled" \
    $CC -fsanitize=memory tests/proof/unwritten.c -o "$TMPDIR/unwritten"
has "and is stopped" "$("$TMPDIR/unwritten" 2>&1)" "use-of-uninitialized-value"
