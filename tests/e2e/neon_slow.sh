# The kernels for 64-bit ARM keep what the kernels here keep: the same tests,
# cross-compiled, under an emulator of the user's side of that processor. Each
# runs over all instruction sets that its machine has; there these are plain C
# and NEON.
. tests/e2e/lib/common.sh
. tests/e2e/lib/arm64.sh
why=$(arm64_lacks)
if [ -n "$why" ]; then
    skip "tests on 64-bit ARM" "$why"
    exit 0
fi

tests='kern_pool kern_elementwise kern_train kern_gemm kern_exact kern_blas base_half
    emu_ops emu_mil_ops emu_fuse emu_rules emu_limits exact_golden exact_tables
    exact_bits emu_exact
    mil_emit
    exec_step model_reference train_reference train_norm'
programs=$B/arm64/anneal
for t in $tests; do programs="$programs $B/arm64/tests/${t}_test"; done
check "the command and the tests are compiled for 64-bit ARM without a warning" \
    arm64_make -k arm64 WHAT="-k $programs"
check "NEON is there" qemu-aarch64 "$B/arm64/anneal" device check emu:m4,isa=neon
export EMULATED=1 # a hundred times slower, so some take fewer cases
for t in $tests; do
    started=$(date +%s)
    qemu-aarch64 "$B/arm64/tests/${t}_test" >"$TMPDIR/said" 2>&1
    code=$?
    n=$(grep -c '^ok ' "$TMPDIR/said")
    took="$(($(date +%s) - started)) s"
    if [ $code = 0 ] && [ "$n" -gt 0 ]; then ok "$t: $n tests ($took)"
    else not_ok "$t" "ended with $code: $(tail -n 20 "$TMPDIR/said")"; fi
done
bits() { grep -o '20 steps: .*' "$1"; }
make -s "$B/tests/exact_bits_test" >/dev/null 2>&1
"$B/tests/exact_bits_test" >"$TMPDIR/here" 2>&1
qemu-aarch64 "$B/arm64/tests/exact_bits_test" >"$TMPDIR/there" 2>&1
has "20 steps of training on exact were made" "$(bits "$TMPDIR/here")" "20 steps"
same "they give the same bits on 64-bit ARM as here" "$(bits "$TMPDIR/there")" \
    "$(bits "$TMPDIR/here")"
