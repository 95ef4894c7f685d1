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

check "make ios compiles without a warning" \
    env -u MAKEFLAGS -u MFLAGS make B="$out" OPT=-O2 WERROR=1 ios
wanted "$out/ios/libanneal.a" >"$TMPDIR/had"
check "the library for iPadOS has imports" test -s "$TMPDIR/had"
allowed | sed 's/.* //' | sort -u >"$TMPDIR/may"
same "the library for iPadOS wants nothing beyond the list" \
    "$(comm -23 "$TMPDIR/had" "$TMPDIR/may")" ""
same "it is for iPadOS" "$(platform "$out/ios/src/base/str.o")" "ios 16.0"

# The program itself, on the loader of tests/macho: Apple's calling convention,
# its thread-local variables and its bindings, without a Mac.
cc=aarch64-linux-gnu-gcc
why=
command -v $cc >/dev/null || why="$cc is not installed"
command -v qemu-aarch64 >/dev/null || why="qemu-aarch64 is not installed"
if [ -n "$why" ]; then
    skip "running the program for macOS" "$why"
    exit 0
fi
check "the loader is compiled" $cc -std=gnu11 -O1 -static -pthread -Wall -Wextra -Werror \
    tests/macho/loader.c tests/macho/libsystem.c -lm -o "$TMPDIR/loader"
mac() { qemu-aarch64 "$TMPDIR/loader" "$bin" "$@" 2>&1; }
# like_here "what" WORD...: the same text and exit code as the program built here
like_here() {
    local name=$1
    shift
    same "$name" "$(mac "$@"; echo $?)" "$("$ANNEAL" "$@" 2>&1; echo $?)"
}
like_here "the program for macOS runs and says its version" --version
like_here "it lists the devices" device ls
like_here "it tells what it knows of a chip" device info emu:m4
like_here "a wrong word is the same error with the same exit code" trian
like_here "the software engine keeps the same rules there" device check emu:m4
