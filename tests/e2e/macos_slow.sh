# What is built for Apple systems from here: it compiles without a warning
# against our own declarations, links, and asks of the system only what
# tests/macho/imports.txt allows. That it runs on a Mac is not shown by this.
. tests/e2e/lib/common.sh
export LC_ALL=C
why=
for tool in clang llvm-ar llvm-nm llvm-objdump; do
    command -v $tool >/dev/null || why="$tool is not installed"
done
[ -n "$why" ] || [ -x "$(clang -print-prog-name=ld64.lld)" ] || why="lld is not installed"
if [ -n "$why" ]; then
    skip "building for macOS and iPadOS" "$why"
    exit 0
fi
sdk=$PWD/tools/macos/sdk
out=$TMPDIR/build

# A name is "LIBRARY SYMBOL"; a row of the list may carry a comment, and may be
# all names of a library that is no part of the system.
allowed() {
    sed 's/ *#.*//' tests/macho/imports.txt | grep . | while read -r library name; do
        if [ "$name" = '*' ]; then
            grep -oE '\b_[A-Za-z0-9_]+' "$sdk/usr/local/lib/$library.tbd" | sed "s/^/$library /"
        else
            echo "$library $name"
        fi
    done | sort
}
# imports FILE: what a linked file wants, and from where
imports() {
    llvm-nm -m -u "$1" | sed -n 's/.* \([^ ]*\) (from \([^)]*\))$/\2 \1/p' | sort
}
# wanted FILE.a: what an archive does not define itself
wanted() {
    llvm-nm -u "$1" | sed -n 's/^ *\(U \)\{0,1\}\(_[^ :]*\)$/\2/p' | sort -u >"$TMPDIR/u"
    llvm-nm --defined-only -g "$1" | sed -n 's/^[0-9a-f]* [A-Z] //p' | sort -u >"$TMPDIR/d"
    comm -23 "$TMPDIR/u" "$TMPDIR/d"
}
platform() {
    llvm-objdump --macho --private-headers "$1" |
        awk '$1 == "platform" { p = $2 } $1 == "minos" { print p, $2; exit }'
}
libraries() { llvm-objdump --macho --dylibs-used "$1" | sed -n 's/^\t\([^ ]*\) .*/\1/p'; }

for system in macos13.0 ios16.0; do
    check "our declarations have Darwin's sizes and numbers ($system)" \
        clang -target arm64-apple-$system -isysroot "$sdk" -std=c11 -Wall -Wextra -Werror \
        -fsyntax-only tests/macho/abi.c
done

check "make macos compiles without a warning and links" \
    env -u MAKEFLAGS -u MFLAGS make B="$out" OPT=-O2 WERROR=1 macos
bin=$out/macos/anneal
lib=$out/macos/libanneal.dylib
for f in "$bin" "$lib"; do
    name=$(basename "$f")
    same "$name is for macOS 13 or later" "$(platform "$f")" "macos 13.0"
    has "$name is for arm64" "$(llvm-objdump --macho --private-header "$f")" ARM64
    has "$name is signed, as this processor demands" \
        "$(llvm-objdump --macho --private-headers "$f")" LC_CODE_SIGNATURE
    imports "$f" >"$TMPDIR/had"
    allowed >"$TMPDIR/may"
    check "$name has imports" test -s "$TMPDIR/had"
    same "$name imports nothing beyond the list" "$(comm -23 "$TMPDIR/had" "$TMPDIR/may")" ""
    same "$name needs the four libraries it should" \
        "$(libraries "$f" | grep -v /libanneal | sort | tr '\n' ' ')" \
        "/opt/homebrew/opt/jansson/lib/libjansson.4.dylib \
/opt/homebrew/opt/pcre2/lib/libpcre2-8.0.dylib \
/opt/homebrew/opt/xxhash/lib/libxxhash.0.dylib /usr/lib/libSystem.B.dylib "
done
same "the library shows its public functions and no other name" \
    "$(llvm-nm -gU "$lib" | sed 's/.* _//' | grep -v '^anneal_')" ""

# Looked at, not run: it need not be fast.
check "make ios compiles without a warning" \
    env -u MAKEFLAGS -u MFLAGS make B="$out" OPT=-O1 WERROR=1 ios
wanted "$out/ios/libanneal.a" >"$TMPDIR/had"
check "the library for iPadOS has imports" test -s "$TMPDIR/had"
allowed | sed 's/.* //' | sort -u >"$TMPDIR/may"
same "the library for iPadOS wants nothing beyond the list" \
    "$(comm -23 "$TMPDIR/had" "$TMPDIR/may")" ""
# Marked as not there in the SDK for iOS, or never allowed to an app. Children
# are asked for by posix_spawn alone, which is declared and refuses at run time.
same "the library for iPadOS wants nothing that iPadOS lacks" \
    "$(grep -xE '_(system|popen|pclose|v?fork|daemon|exec(l|le|lp|v|ve|vp|vP|vpe)|ptrace|clock_settime)' \
        "$TMPDIR/had")" ""
same "it is for iPadOS" "$(platform "$out/ios/src/base/str.o")" "ios 16.0"

# The program itself, on the loader of tests/macho: Apple's calling convention,
# its thread-local variables and its bindings, without a Mac. Every library of
# Apple's that it opens is tests/fake, so `ane` is a device there.
. tests/e2e/lib/arm64.sh
. tests/e2e/lib/training.sh
why=$(arm64_lacks)
if [ -n "$why" ]; then
    skip "running the program for macOS" "$why"
    exit 0
fi
check "the loader is compiled without a warning" arm64_make loader
loader=$B/arm64/loader
export LOADER_WITH=qemu-aarch64 # to start a child as it was started itself
same "the loader has every name that the program imports" \
    "$(qemu-aarch64 "$loader" --missing "$bin")" ""
check "a program that asks for what anneal asks for is compiled" \
    clang -target arm64-apple-macos13.0 -isysroot "$sdk" -I"$out/apple-include" -std=c11 -O2 \
    -Wall -Wextra -Werror -fuse-ld=lld tests/macho/probe.c -ljansson -o "$TMPDIR/probe"
root=$PWD
cd "$TMPDIR" || exit 1
ulimit -c 0 # one of its children is killed
check "it is answered as Darwin would" qemu-aarch64 "$loader" ./probe
mac() { qemu-aarch64 "$loader" "$bin" "$@" 2>&1; }
# The same device here is the fake in a library; the answers name it otherwise.
fake=$B/libfakeane.so
here() { "$ANNEAL" "$@" 2>&1; }
# alike "what" WORD...: the same text and exit code as here
alike() {
    local name=$1
    shift
    same "$name" "$(mac "$@"; echo $?)" "$(here "$@"; echo $?)"
}
# What it took is another time; what stands for the engine has another name.
plainly() { sed -e "s|,lib=$fake||g" -e 's/ in [0-9]* ms/ in N ms/g'; }
# asked "what" ROUTE: `device check ane:ROUTE` there and here. Each question is
# put to the chip by a child, the same program started anew.
asked() {
    local had wanted
    had=$(mac device check "ane:$2" device.check_pause=0 device.state=there; echo $?)
    wanted=$(here device check "ane:$2,lib=$fake" device.check_pause=0 device.state=here; echo $?)
    same "$1" "$(plainly <<<"$had")" "$(plainly <<<"$wanted" | sed 's|here/ane|there/ane|')"
    has "to the end ($2)" "$had" "report  there/ane/report.json"
    rm -rf there here
}
alike "the program for macOS runs and says its version" --version
alike "it lists the devices" device ls
alike "it tells what it knows of a chip" device info emu:m4
alike "a wrong word is the same error with the same exit code" trian
alike "so is a file that is not there" data nothing-here -o out
alike "the software engine keeps the same rules there" device check emu:m4
export FAKE_ANE=engine=emu:m4,exact,compiles=none # the arithmetic of a chip
asked "device check ane:client finds the same as here" client
unset FAKE_ANE
asked "device check ane:memory finds the same as here, faults included" memory
has "a program for macOS that finds no engine says so" \
    "$(FAKE_ANE=absent mac device info ane)" "no Neural Engine"
has "and that a method is gone, which one" \
    "$(FAKE_ANE='hide=objectWithIOSurface:' mac device info ane)" "objectWithIOSurface:"

# Training. Where both sides count in plain C, in one order, every bit agrees:
# the checkpoints are compared. With the kernels of each processor sums are
# taken in another order, which changes the last bits of an fp32 sum, and shows
# where that tips a rounding to fp16 to the next number, 2^-11 away at most. A
# loss is a mean over many such numbers, so it must agree to one part in 2^11.
stories 40000
cat >tiny.conf <<'R'
data.text = stories.txt
model.layers = 2
model.dim = 32
model.heads = 2
model.kv_heads = 1
model.seq = 32
train.steps = 20
train.batch = 2
train.warmup = 5
train.lr = 3e-3
train.eval_every = 10
train.checkpoint_every = 10
plan.window = on
R
for chip in m1 m4; do
    for stage in forward grad plan mil; do
        alike "explain --stage $stage for $chip is the same text" explain tiny.conf -d emu:$chip --stage $stage
    done
done
alike "so are the programs of another model" explain tiny.conf -d emu:m4 --stage mil \
    model.rope=interleaved model.tied=false model.qk_norm=true plan.dw=engine
plain='device.isa=scalar' # for the host's part; the engine's is in its URI
model() { cksum <"runs/$1/step-00000020/model.safetensors"; }
losses() { sed -n 's/.*"kind":"\(step\|eval\)","step":\([0-9]*\),"\(loss\|held_out\)":\([0-9.]*\).*/\1 \2 \4/p' "runs/$1/events.jsonl"; }
# near RUN RUN: all losses of both agree to one part in 2^11, and there are 22
near() {
    paste -d ' ' <(losses "$1") <(losses "$2") | awk '
        { d = $3 - $6; if ($1 != $4 || $2 != $5 || d < -$3 / 2048 || d > $3 / 2048) bad = 1 }
        END { exit bad || NR != 22 }'
}
check "here, in plain C" here train tiny.conf -n here-plain -d emu:m4,isa=scalar $plain --show none
check "here, as fast as it goes" here train tiny.conf -n here -d emu:m4 --show none
check "the program for macOS trains 20 steps on emu" \
    mac train tiny.conf -n emu-plain -d emu:m4,isa=scalar $plain --show none
same "to the same bits as here, in plain C" "$(model emu-plain)" "$(model here-plain)"
check "with the kernels for 64-bit ARM" mac train tiny.conf -n emu -d emu:m4 --show none
check "the losses are near those of here" near emu here
for route in client memory; do
    check "it trains 20 steps on ane:$route, the engine of the fake in plain C" \
        env FAKE_ANE='engine=emu:m4,faithful,compiles=none,isa=scalar' \
        qemu-aarch64 "$loader" "$bin" train tiny.conf -n $route-plain -d ane:$route $plain --show none
    same "to the same bits as here on emu ($route)" "$(model $route-plain)" "$(model here-plain)"
    check "with the kernels for 64-bit ARM ($route)" \
        mac train tiny.conf -n $route -d ane:$route --show none
    check "the losses are near those of here ($route)" near $route here
    same "and the bits those of emu there ($route)" "$(model $route)" "$(model emu)"
done
check "stopping after 10 steps" mac train tiny.conf -n parts -d ane --stop-after 10 --show none
check "leaves a checkpoint" test -f runs/parts/step-00000010/model.safetensors
check "from which it goes on" mac train parts --show none
same "to the bits of 20 steps at once" "$(model parts)" "$(model client)"
same "with the losses of 20 steps at once" "$(losses parts | grep step)" "$(losses client | grep step)"
alike "a run made there is read here" checkpoint ls parts

qemu-aarch64 "$loader" "$bin" train tiny.conf -n long -d ane --show none train.steps=100000 \
    >said 2>&1 &
pid=$!
for _ in $(seq 600); do [ -d runs/long/step-00000010 ] && break; sleep 0.1; done
kill -TERM $pid
wait $pid
same "a run that is asked to end saves its state: exit code" $? 130
check "and goes on" mac train long --stop-after 1 --show none
has "from where it was" "$(cat runs/long/events.jsonl)" '"kind":"restart"'
