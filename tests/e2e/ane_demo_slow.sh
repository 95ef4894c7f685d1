#!/usr/bin/env bash
# The demo's first fifty updates by the driver for the Neural Engine, on the
# fake framework: the losses and the weights of the software engine, bit for bit.
. tests/e2e/lib/common.sh
FAKE=$B/libfakeane.so
if [ ! -f "$FAKE" ]; then
    skip "the demo on the fake framework" "it is not built: make fake"
    exit 0
fi
cd "$TMPDIR" || exit 1
mkdir tmp
TMPDIR=$TMPDIR/tmp
export TMPDIR

losses() { sed -n 's/.*"kind":"step",\("step":[0-9]*,"loss":[^,]*\),.*/\1/p' "$1/events.jsonl"; }
demo() { "$ANNEAL" demo --embedded --stop-after 50 --show none -d "$2" --runs ../"$1" >/dev/null 2>&1; }
cd tmp || exit 1
demo emu emu:m4
same "on the software engine" "$? $(losses ../emu/demo | wc -l | tr -d ' ')" "0 50"
for route in client memory; do
    FAKE_ANE="tell=../told" demo $route "ane:$route,lib=$FAKE"
    same "$route: ends well" $? 0
    same "$route: the same losses" "$(losses ../$route/demo)" "$(losses ../emu/demo)"
    for file in model optim; do
        check "$route: the same $file" \
            cmp ../emu/demo/step-00000050/$file.safetensors ../$route/demo/step-00000050/$file.safetensors
    done
    has "$route: nothing of the framework's is kept" "$(tr '\n' ' ' <../told)" "objects 0 loaded 0 "
    has "$route: no misuse" "$(cat ../told)" "misuses 0"
    [ "$(awk '$1 == "evaluations" { print $2 }' ../told)" -ge 1000 ] &&
        ok "$route: the engine did the work" || not_ok "$route: the engine did the work" "$(cat ../told)"
    same "$route: nothing is left staged" "$(ls -A)" ""
done
