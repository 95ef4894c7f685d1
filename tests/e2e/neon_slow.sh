# The kernels for 64-bit ARM keep what the kernels here keep: the same tests,
# cross-compiled, under an emulator of the user's side of that processor.
. tests/e2e/lib/common.sh
cc=aarch64-linux-gnu-gcc
why=
command -v $cc >/dev/null || why="$cc is not installed"
command -v qemu-aarch64 >/dev/null || why="qemu-aarch64 is not installed"
if [ -n "$why" ]; then
    skip "the tests of kern on 64-bit ARM" "$why"
    exit 0
fi

base=
for f in arena err half half_neon half_avx2 clock str file folder; do
    base="$base src/base/$f.c"
done
for t in pool elementwise train gemm; do
    check "kern_$t is compiled for 64-bit ARM" \
        $cc -std=c11 -O2 -static -pthread -D_GNU_SOURCE -ffp-contract=off -Wall -Wextra \
        -Wno-unused-function -Werror -Isrc -Itests/cross -Itests/unit \
        "tests/unit/kern_${t}_test.c" src/kern/*.c $base -lm -o "$TMPDIR/kern_$t"
    qemu-aarch64 "$TMPDIR/kern_$t"
done
