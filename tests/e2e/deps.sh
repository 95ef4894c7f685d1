# Installing what is needed: says what and why, and never more than it may. The
# system's own tools are replaced by ones that write down how they were called.
. tests/e2e/lib/common.sh

bash=$(command -v bash)
bin=$TMPDIR/bin
calls=$TMPDIR/calls

# fake NAME BODY: a command in front of all others
fake() {
    printf '#!%s\n%s\n' "$bash" "$2" >"$bin/$1"
    chmod +x "$bin/$1"
}
# machine: nothing but the POSIX tools that the script itself needs, no root,
# and package lists that are fresh
machine() {
    rm -rf "$bin" && mkdir -p "$bin"
    : >"$calls"
    for tool in env grep printf uname cat; do ln -s "$(command -v "$tool")" "$bin/$tool"; done
    fake id 'echo 1000'
    fake apt-cache 'exit 0'
}
deps() { PATH=$bin "$bash" tools/deps.sh "$@" 2>&1 </dev/null; }

machine
fake id 'echo 0'
fake cc 'exit 0'
fake apt-get "echo \"\$*\" >>$calls"
said=$(deps build)
has "it says what and why" "$said" "libjansson-dev: reads and writes JSON"
same "one command installs what is missing and no more" "$(cat "$calls")" \
    "install -y --no-install-recommends pkg-config libjansson-dev libxxhash-dev libpcre2-dev"
has "testing adds what only tests need" "$(deps build test)" "libcmocka-dev: runs the unit tests"

: >"$calls"
fake strace 'exit 0'
fake pkg-config '[ "$2" != libxxhash ]'
deps build test >"$TMPDIR/said"
same "only the missing one is installed" "$(cat "$calls")" "install -y --no-install-recommends libxxhash-dev"
: >"$calls"
fake pkg-config 'exit 0'
same "where all is there it is silent" "$(deps build test)$(cat "$calls")" ""

fake pkg-config 'exit 1'
fake apt-get "echo \"\$1\" >>$calls; [ \"\$1\" = update ] || [ -f $TMPDIR/fresh ] || { : >$TMPDIR/fresh; exit 100; }"
check "stale package lists are renewed once" deps build
same "it tried, updated, and tried again" "$(tr '\n' ' ' <"$calls")" "install update install "
fake apt-get "echo \"\$1\" >>$calls"
fake apt-cache 'exit 100'
: >"$calls"
deps build >"$TMPDIR/said"
same "a machine that knows no packages gets its lists first" "$(tr '\n' ' ' <"$calls")" "update install "
fake apt-cache 'exit 0'
fake apt-get 'exit 100'
refuse "an install that fails is an error" deps build
has "and names the command to type" "$(deps build)" "type: apt-get install -y"

fake id 'echo 1000'
refuse "without root and sudo it stops" deps build
has "and gives the exact command" "$(deps build)" \
    "    apt-get update && apt-get install -y --no-install-recommends libjansson-dev libxxhash-dev libpcre2-dev"
fake apt-get "echo \"\$*\" >>$calls"
fake sudo 'echo sudo; [ "$1" = -n ] && exit 0; exec "$@"'
: >"$calls"
has "sudo is used where it is possible" "$(deps build)" "sudo"
has "for the install itself" "$(cat "$calls")" "libjansson-dev"

machine
fake cc 'exit 0'
fake brew "echo \"brew \$*\" >>$calls"
check "Homebrew needs no root" deps build test
same "and has its own names" "$(cat "$calls")" "brew install pkgconf jansson xxhash pcre2 cmocka"
fake clang 'exit 1'
for tool in llvm-ar clang-format git ls; do fake $tool 'exit 0'; done
: >"$calls"
check "what can be done without does not stop it" deps check
same "and is not asked for where it cannot be had" "$(cat "$calls")" "brew install lld"

machine
fake cc 'exit 0'
refuse "without a package manager it stops" deps build
has "and lists what is needed" "$(deps build)" "  jansson: reads and writes JSON"
