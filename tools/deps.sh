#!/usr/bin/env bash
# deps.sh [ROLE...] - install what is missing for building (build), testing
# (test), the demo's text (demo), the checks of a change (check) and running
# programs for arm64 under an emulator (arm64). Says what and why; uses sudo if
# not root; where it may not, stops with the command to type. Says nothing and
# changes nothing when all is there.
set -u
roles=${*:-build test}

# Is it there? Libraries are asked of pkg-config, which itself is needed.
lib() { pkg-config --exists "$1" 2>/dev/null; }
tool() { command -v "$1" >/dev/null 2>&1; }
# The linker that clang would take, which need not be in the path.
linker() { [ -x "$(clang -print-prog-name="$1" 2>/dev/null)" ]; }
# The sanitizers' libraries of a compiler, which Debian packs apart from it. No
# other system does.
runtime() {
    tool "$1" || return 1
    [ ! -f /etc/debian_version ] || ls "$("$1" -print-resource-dir)"/lib/*/libclang_rt.asan*.a >/dev/null 2>&1
}

# role | how to know | Debian | Fedora | Homebrew | why
# "-" means that it cannot be had there that way; "?" the same of what can be
# done without (the test that needs it says that it was skipped).
needs='
build|tool cc|gcc libc6-dev|gcc|-|compiles C
build|tool pkg-config|pkg-config|pkgconf-pkg-config|pkgconf|finds the libraries
build|lib jansson|libjansson-dev|jansson-devel|jansson|reads and writes JSON
build|lib libxxhash|libxxhash-dev|xxhash-devel|xxhash|checksums of checkpoints
build|lib libpcre2-8|libpcre2-dev|pcre2-devel|pcre2|splits text for the tokenizer
test|lib cmocka|libcmocka-dev|libcmocka-devel|cmocka|runs the unit tests
test|tool strace|strace|strace|?|sees that a restart writes no file
demo|tool npm|npm|nodejs-npm|node|fetches the text that the demo trains on
check|tool clang|clang|clang|llvm|a second compiler, and the fuzzer
check|runtime clang|libclang-rt-dev|compiler-rt|?|libraries of the fuzzer and the sanitizers
check|tool clang-19|clang-19|?|?|checks the type of every function called
check|runtime clang-19|libclang-rt-19-dev|?|?|library of that check
check|tool valgrind|valgrind|valgrind|?|finds memory that is read before it is written, or lost
check|linker ld64.lld|lld|lld|lld|links for macOS from another system
check|tool llvm-ar|llvm|llvm|llvm|archives and lists objects for macOS
check|tool clang-format|clang-format|clang-tools-extra|clang-format|checks the layout of the source
arm64|tool qemu-aarch64|qemu-user|qemu-user|-|runs programs for arm64 Linux
arm64|tool aarch64-linux-gnu-gcc|gcc-aarch64-linux-gnu libc6-dev-arm64-cross|-|-|compiles for arm64 Linux
check|tool git|git|git|git|lists the files of the project
'

if tool apt-get; then
    column=3 install='apt-get install -y --no-install-recommends'
elif tool dnf; then
    column=4 install='dnf install -y'
elif tool brew; then
    column=5 install='brew install'
else
    column=0 install=
fi

missing= why= lacking=
while IFS='|' read -r role check apt dnf brew reason; do
    case " $roles " in *" $role "*) ;; *) continue ;; esac
    $check && continue
    case $column in
    3) package=$apt ;;
    4) package=$dnf ;;
    5) package=$brew ;;
    *) package=- ;;
    esac
    [ "$package" != '?' ] || continue
    if [ "$package" = - ]; then
        lacking="$lacking  ${check#* }: $reason
"
    else
        missing="$missing $package"
        why="$why  $package: $reason
"
    fi
done <<END
$(printf '%s' "$needs" | grep .)
END

if [ -n "$lacking" ]; then
    printf 'deps: these are needed and cannot be installed from here:\n%s' "$lacking" >&2
    if [ "$(uname -s)" = Darwin ]; then
        echo "deps: type: xcode-select --install (the compiler), and install Homebrew from https://brew.sh" >&2
    else
        echo "deps: install them with your system's package manager, then run this again" >&2
    fi
    exit 1
fi
[ -n "$missing" ] || exit 0

printf 'deps: to install:\n%s' "$why"
missing=${missing# }

# Homebrew refuses to run as root; the others need to be root.
run=
if [ "$column" != 5 ] && [ "$(id -u)" != 0 ]; then
    if tool sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        run=sudo
    else
        echo "deps: not root, and sudo is not possible here; type as root:" >&2
        [ "$column" != 3 ] || install="apt-get update && $install"
        echo "    $install $missing" >&2
        exit 1
    fi
fi
by_hand=${run:+$run }$install
[ "$column" = 3 ] && run="$run env DEBIAN_FRONTEND=noninteractive"

echo "deps: $install $missing"
# A fresh machine has no package lists yet; a used one may have old ones.
if [ "$column" = 3 ] && ! apt-cache show $missing >/dev/null 2>&1; then
    $run apt-get update </dev/null
fi
if ! $run $install $missing </dev/null; then
    if [ "$column" != 3 ] || ! $run apt-get update </dev/null || ! $run $install $missing </dev/null; then
        echo "deps: that failed; when its cause is mended, type: $by_hand $missing" >&2
        exit 1
    fi
fi
