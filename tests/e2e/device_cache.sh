#!/usr/bin/env bash
# Compiled programs are kept from one command to the next, on the fake framework
# with its service's memory in a folder; what is kept can be seen and removed.
. tests/e2e/lib/common.sh

fake=$B/libfakeane.so
[ -f "$fake" ] || {
    skip "programs that are kept" "the fake framework stands in on Linux only"
    exit
}
mkdir -p "$TMPDIR/service"

# told ROUTE: what the fake counted while the command asked about the device
told() {
    FAKE_ANE="daemon=$TMPDIR/service;tell=$TMPDIR/told" \
        "$ANNEAL" device info "ane:$1,lib=$fake" >"$TMPDIR/said" 2>&1
    grep -E "^(compiles|recalled) " "$TMPDIR/told" | tr '\n' ' '
}
for route in memory client; do
    first=$(told "$route")
    has "$route: the first command tries it" "$(cat "$TMPDIR/said")" \
        "programs were loaded without compiling here"
    has "$route: it loads what it compiled" "$first" "recalled 1"
    same "$route: the second compiles nothing" "$(told "$route")" "compiles 0 recalled 1 "
done
said=$("$ANNEAL" device cache ls)
has "what is kept is listed" "$said" "2 programs, "
same "one of each route" "$(printf '%s\n' "$said" | grep -cE '  (client|memory) ')" 2
has "a URI picks a route" "$("$ANNEAL" device cache ls ane:memory --json)" '"route":"memory"'
has "and clears it" "$("$ANNEAL" device cache clear ane:memory)" "1 programs removed"
same "what was removed is compiled and tried again" "$(told memory)" "compiles 1 recalled 1 "
has "all of it is cleared" "$("$ANNEAL" device cache clear --json)" '"removed":2'
has "nothing is left" "$("$ANNEAL" device cache ls)" "0 programs"
told client >/dev/null
for f in "$XDG_CACHE_HOME"/anneal/ane/programs/*.entry; do echo torn >"$f"; done
told client >/dev/null
has "a torn entry is no error" "$(cat "$TMPDIR/said")" "on: "
"$ANNEAL" device cache ls emu:m4 >"$TMPDIR/said" 2>&1
same "a device that keeps nothing says so" $? 3
"$ANNEAL" device cache empty >"$TMPDIR/said" 2>&1
same "a word that does not exist" $? 2
