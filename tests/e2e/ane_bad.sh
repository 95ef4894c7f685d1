#!/usr/bin/env bash
# The Neural Engine is not as it should be: each time one clear error, exit
# code 3, nothing left staged, nothing of the framework's kept, and a training
# that goes on later to the bits of one that was never disturbed. The fake
# framework is told what to do by FAKE_ANE (tests/fake/told.c).
. tests/e2e/lib/common.sh
FAKE=$B/libfakeane.so
if [ ! -f "$FAKE" ]; then
    skip "a bad engine" "the fake framework is not built: make fake"
    exit 0
fi
here=$TMPDIR
root=$PWD
tmp=$here/tmp # where programs are staged
mkdir -p "$tmp" && cd "$here" || exit 1
export TMPDIR=$tmp XDG_CACHE_HOME=$here/cache

cat > tiny.conf <<'R'
model.layers = 2
model.dim = 32
model.heads = 2
model.seq = 32
train.steps = 8
plan.window = on
train.batch = 2
train.eval_every = 0
train.checkpoint_every = 0
R
for i in $(seq 400); do echo "line $i of a text that is long enough to learn from"; done >text.txt
sum() { cat "$@" | cksum; }
# train RUN DEVICE WORDS [ARG...]: said, code
train() {
    local run=$1 uri=$2 words=$3
    shift 3
    said=$(FAKE_ANE="tell=$here/told;$words" "$ANNEAL" train tiny.conf data.text=text.txt \
        -n "$run" -d "$uri" --show none "$@" 2>&1)
    code=$?
}
left() { ls -A "$tmp"; } # what is left staged

"$ANNEAL" train tiny.conf data.text=text.txt -n emu -d emu:m4 --show none
whole=$(sum runs/emu/step-00000008/{model,optim}.safetensors)
for route in client memory; do
    train $route "ane:$route,lib=$FAKE" ""
    same "$route: ends in the bits of the software engine" \
        "$code $(sum runs/$route/step-00000008/{model,optim}.safetensors)" "0 $whole"
    same "$route: keeps no object and no program" "$(head -n 2 told | tr '\n' ' ')" \
        "objects 0 loaded 0 "
    same "$route: is used as it should be" "$(grep misuses told)" "misuses 0 "
    same "$route: leaves nothing staged" "$(left)" ""
done

# ---- an engine that cannot be opened ----
cp -r runs/client runs/half
rm -r runs/half
train half "ane:lib=$FAKE" "" --stop-after 4
same "stops half-way" "$code" 0
before=$(sum runs/half/step-00000004/*)
# bad NAME DEVICE WORDS TEXT: refused with TEXT, and the run is as it was
bad() {
    train half "$2" "$3"
    same "$1: exit code" "$code" 3
    has "$1: says so" "$said" "$4"
    same "$1: the training's state is kept" "$(sum runs/half/step-00000004/*) $(ls -d runs/half/step-*)" \
        "$before runs/half/step-00000004"
    same "$1: nothing is left staged" "$(left)" ""
    [ -z "$3" ] || same "$1: nothing is kept" "$(head -n 2 told | tr '\n' ' ')" "objects 0 loaded 0 "
    rm -f told
}
bad "no such library" "ane:lib=no/such.so" "" "no/such.so"
[ "$(uname)" = Darwin ] || bad "no framework" ane "" "the Neural Engine's framework was not found"
bad "a class is gone" "ane:lib=$FAKE" "hide=_ANERequest" "no class '_ANERequest'"
bad "a route's class is gone" "ane:client,lib=$FAKE" "hide=_ANEClient" "no class '_ANEClient'"
bad "a method is gone" "ane:client,lib=$FAKE" "hide=evaluateWithModel:options:request:qos:error:" \
    "no method '-[_ANEClient evaluateWithModel:options:request:qos:error:]'"
bad "an encoding changed" "ane:memory,lib=$FAKE" "recode=loadWithQoS:options:error:,B@:@@^@" \
    "'-[_ANEInMemoryModel loadWithQoS:options:error:]' has changed: its types were 'B@:I@^@', now they are 'B@:@@^@'"
bad "an encoding of both routes changed" "ane:lib=$FAKE" "recode=objectWithIOSurface:,@@:@" \
    "'+[_ANEIOSurfaceObject objectWithIOSurface:]' has changed"
bad "no engine" "ane:lib=$FAKE" "absent" "this machine has no Neural Engine"
for call in compile load evaluate; do
    bad "a sandbox denies to $call" "ane:lib=$FAKE" "refuse=$call,denied" "NSCocoaErrorDomain, code 4099"
    has "a sandbox denies to $call: what that means" "$said" "a sandbox forbids it"
done
bad "no slot is free" "ane:lib=$FAKE" "refuse=load,no_slot" "code 6, status 0x50004"
has "no slot is free: what that means" "$said" "all program slots of the engine are taken"
bad "no slot for the next program" "ane:lib=$FAKE" "refuse=load,no_slot,4" "code 6, status 0x50004"
bad "no compile is left" "ane:memory,lib=$FAKE" "limits=3,128" "119 compiles"
# Without the cache of compiled programs, which needs no temporary folder.
export TMPDIR=$here/none
bad "no temporary folder" "ane:lib=$FAKE,cache=off" "" "$here/none"
touch "$here/file"
export TMPDIR=$here/file
bad "a file for a temporary folder" "ane:lib=$FAKE,cache=off" "" "$here/file"
export TMPDIR=$tmp

bad "no folder to stage in" "ane:lib=$FAKE,staging=$here/none" "" "$here/none"
# A disk that takes no byte: every write fails, and a training would have no
# log, so the engine is only opened.
said=$(trap '' XFSZ; ulimit -f 0; "$ANNEAL" device info "ane:lib=$FAKE,cache=off" 2>&1)
same "a full disk: exit code" $? 3
has "a full disk: says so" "$said" "staging the program in $tmp"
same "a full disk: nothing is left staged" "$(left)" ""
train half "ane:lib=$FAKE" ""
same "goes on after all of these" "$code" 0
same "to the same bits" "$(sum runs/half/step-00000008/{model,optim}.safetensors)" "$whole"

# ---- every command that computes ----
. "$root/tests/e2e/lib/npy.sh"
int32 $(seq 66) | npy ids.npy '<i4' '(2, 33)'
# verb NAME ARG...: loses the engine in its third run
verb() {
    local name=$1 route
    for route in client memory; do
        said=$(FAKE_ANE="tell=$here/told;refuse=evaluate,power_lost,6" "$ANNEAL" "$@" \
            -d "ane:$route,lib=$FAKE" 2>&1)
        same "$name, $route: exit code" $? 3
        has "$name, $route: says so" "$said" "code 23, status 0xe"
        same "$name, $route: nothing is kept" "$(head -n 2 told | tr '\n' ' ') $(left)" \
            "objects 0 loaded 0  "
        rm -f told
    done
}
verb eval emu
verb sample emu --tokens 20
verb grad emu --tokens ids.npy -o grads.safetensors
same "grad: no file of wrong gradients" "$(ls grads.safetensors 2>/dev/null)" ""
verb bench step --dim 32 --hidden 64 --heads 2 --layers 2 --seq 32 --batch 2 --vocab 64

# ---- an engine that goes away ----
for route in client memory; do
    uri=ane:$route,lib=$FAKE
    train lost$route "$uri" "refuse=evaluate,power_lost,100"
    same "$route: power lost: exit code" "$code" 3
    has "$route: power lost: says so" "$said" "code 23, status 0xe"
    has "$route: power lost: what that means" "$said" "it lost power"
    has "$route: power lost: the last step is kept" "$said" "is saved; the same command goes on"
    same "$route: power lost: nothing is kept" "$(head -n 2 told | tr '\n' ' ')" "objects 0 loaded 0 "
    same "$route: power lost: there is one checkpoint" \
        "$(ls -d runs/lost$route/step-* | wc -l | tr -d ' ')" 1
    train lost$route "$uri" ""
    same "$route: power is back: goes on to the same bits" \
        "$code $(sum runs/lost$route/step-00000008/{model,optim}.safetensors)" "0 $whole"

    # killed while it compiles its fourth program, then in a run
    train killed$route "$uri,cache=off" "kill=compile,4" train.checkpoint_every=2
    same "$route: killed while staging" "$code" 137
    [ -n "$(left)" ] && ok "$route: a staging folder was left" || not_ok "$route: a staging folder was left"
    train killed$route "$uri" "kill=evaluate,100" train.checkpoint_every=2
    same "$route: killed in a run" "$code" 137
    train killed$route "$uri" "" train.checkpoint_every=2
    same "$route: goes on to the same bits" \
        "$code $(sum runs/killed$route/step-00000008/{model,optim}.safetensors)" "0 $whole"
    same "$route: what was left was swept" "$(left)" ""

    # killed while it compiles a program that is to be kept
    "$ANNEAL" device cache clear "$uri" >/dev/null
    train kept$route "$uri" "kill=compile,3"
    same "$route: killed while keeping a program" "$code" 137
    train kept$route "$uri" ""
    same "$route: compiles it again, to the same bits" \
        "$code $(sum runs/kept$route/step-00000008/{model,optim}.safetensors)" "0 $whole"
    same "$route: nothing is left staged then" "$(left)" ""

    # two processes with the same programs, each compile long enough to meet
    "$ANNEAL" device cache clear "$uri" >/dev/null
    FAKE_ANE="pause=compile,30;pause=load,30" "$ANNEAL" train tiny.conf data.text=text.txt \
        -n one$route -d "$uri" --show none 2>one.said &
    one=$!
    train two$route "$uri" "pause=compile,30;pause=load,30"
    wait $one
    same "$route: two processes at once: the first" "$? $(cat one.said)" "0 "
    same "$route: two processes at once: the second" "$code" 0
    same "$route: two processes at once: the same bits" \
        "$(sum runs/one$route/step-00000008/{model,optim}.safetensors) $(sum runs/two$route/step-00000008/{model,optim}.safetensors)" \
        "$whole $whole"
    same "$route: two processes at once: nothing is left staged" "$(left)" ""
done
