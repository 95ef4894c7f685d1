#!/usr/bin/env bash
# Half precision on Apple's processors: what converts, trains and multiplies on
# the host does it four numbers at a time. Looked at in the machine code, since
# a loop that fell back to one number at a time would give the same bits.
. tests/e2e/lib/common.sh
export LC_ALL=C
for tool in clang llvm-objdump; do
    command -v $tool >/dev/null || {
        skip "vectors of halves in the code for macOS" "$tool is not installed"
        exit 0
    }
done

# code FILE: what its functions do, "NAME INSTRUCTION RESULT," a line
code() {
    clang -target arm64-apple-macos13.0 -isysroot tools/macos/sdk -Isrc -std=c11 -O3 \
        -ffp-contract=off -c "$1" -o "$TMPDIR/code.o" &&
        llvm-objdump -d --no-show-raw-insn "$TMPDIR/code.o" |
        sed -n -e 's/^[0-9a-f]* <_\{0,1\}\(.*\)>:$/@\1/p' -e 's/^ *[0-9a-f]*:[[:space:]]*\([a-z].*\)/\1/p' |
        awk '/^@/ {name = substr($0, 2); next} {print name, $1, $2}'
}
# uses NAME FUNCTION INSTRUCTION...: the function has each, as a vector form
uses() {
    local name=$1 function=$2 missing= i
    shift 2
    for i in "$@"; do
        grep -qE "^$function $i(\.[48][hs] v[0-9]+| v[0-9]+\.[48][hs]),\$" "$TMPDIR/code.txt" || missing+=" $i"
    done
    same "$name" "$missing" ""
}

code src/kern/kernels_neon.c >"$TMPDIR/code.txt"
same "the kernels compile for macOS" $? 0
uses "fp16 to fp32 and back, for staging" convert_kernel fcvtl fcvtn
uses "AdamW writes fp16 weights" adamw_kernel fsqrt fdiv fcvtn
uses "infinities are counted in fp16" count_bad_kernel fcvtl
uses "elementwise in fp16" binary_MUL fcvtl fmul fcvtn
uses "the loss reads fp16 logits" lse fcvtl
uses "and writes fp16 gradients" softmax_cols_kernel fcvtl fcvtn
uses "products read fp16 operands" pack_a fcvtl
uses "on both sides" pack_b fcvtl
uses "and multiply and add" tile_kernel fmla
# The first function of a file has the file's own label.
code src/base/half_neon.c | sed 's/^ltmp0 /half_wide_to_floats /' >"$TMPDIR/code.txt"
uses "files: fp16 to fp32" half_wide_to_floats fcvtl
uses "files: fp32 to fp16" half_wide_from_floats fcvtn
uses "files: ties away from zero" half_wide_from_floats_away fcvtn
