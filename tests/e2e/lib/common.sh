# common.sh - for the scripts beside it: . tests/e2e/lib/common.sh
#
# A script starts in the root of the tree with ANNEAL (the command), B (the
# build folder) and TMPDIR (its own folder, removed afterwards); run by hand it
# gets the usual ones. It reports through these, one line a test:
#   check "what it proves" COMMAND...     ok if the command succeeds
#   refuse "what it proves" COMMAND...    ok if it fails
#   same "what it proves" HAD WANTED      ok if the texts are equal
#   has "what it proves" TEXT PART        ok if PART is in TEXT
#   skip "what" "why not"
set -u
B=${B:-$PWD/build}
ANNEAL=${ANNEAL:-$B/anneal}
if [ -z "${TMPDIR:-}" ]; then
    TMPDIR=$(mktemp -d /tmp/anneal-e2e.XXXXXX) || exit 1
    trap 'rm -rf "$TMPDIR"' EXIT
fi
# what the command remembers of a machine stays with the test
export XDG_CACHE_HOME=$TMPDIR/cache
n_tests=0

ok() { n_tests=$((n_tests + 1)); echo "ok $n_tests - $1"; }
not_ok() {
    n_tests=$((n_tests + 1))
    echo "not ok $n_tests - $1"
    [ $# -lt 2 ] || printf '%s\n' "$2" | sed 's/^/# /'
}
skip() { n_tests=$((n_tests + 1)); echo "ok $n_tests - $1 # SKIP $2"; }

check() {
    local name=$1 said code
    shift
    said=$("$@" 2>&1)
    code=$?
    if [ $code = 0 ]; then ok "$name"; else not_ok "$name" "$* ended with $code: $said"; fi
}
refuse() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then not_ok "$name" "$* succeeded: $said"; else ok "$name"; fi
}
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "had: $2
wanted: $3"; fi
}
has() {
    case $2 in
    *"$3"*) ok "$1" ;;
    *) not_ok "$1" "wanted '$3' in: $2" ;;
    esac
}
