# Nothing bypasses MIL: each run of each program of a training step, saved by
# `explain --save`, gives the same bits when `anneal run` repeats it alone from
# the text, the weight files and the inputs.
. tests/e2e/lib/common.sh
cd "$TMPDIR" || exit 1

cat >tiny.conf <<'R'
model.layers = 2
model.dim = 64
model.heads = 4
model.kv_heads = 2
model.seq = 32
train.batch = 2
R

# repeat CALL_FOLDER: 0 if every output has the saved bits
repeat() {
    local call=$1 name program words=() f port
    name=${call##*/call-}
    program=${call%/*}/${name#*-}
    for f in "$call"/in.*.npy; do port=${f##*/in.}; words+=(--in "${port%.npy}=$f"); done
    for f in "$call"/out.*.npy; do port=${f##*/out.}; words+=(--out "${port%.npy}=$f.again"); done
    "$ANNEAL" run "$program.mil" --weights "$program.weights" "${words[@]}" -d "$2" >/dev/null || return 1
    for f in "$call"/out.*.npy; do cmp "$f" "$f.again" || return 1; done
}
# whole NAME DEVICE SETTING...: all calls of a step
whole() {
    local name=$1 device=$2 call n=0
    shift 2
    rm -rf step
    check "$name: a step is saved" "$ANNEAL" explain tiny.conf -d "$device" --save step "$@"
    for call in step/call-*; do
        check "$name: ${call##*/} gives the same bits alone" repeat "$call" "$device"
        n=$((n + 1))
    done
    same "$name: as many runs as the plan has launches" $n \
        "$("$ANNEAL" explain tiny.conf -d "$device" --json "$@" | sed 's/.*"launches_per_step":\([0-9]*\).*/\1/')"
}

whole "half-split, host dW" emu:m4
for p in step/*.mil; do
    name=${p##*/}
    same "${name%.mil} is the text of explain --stage mil" "$(cat "$p")" \
        "$("$ANNEAL" explain tiny.conf -d emu:m4 --stage mil --program "${name%.mil}")"
done
whole "interleaved, engine dW, untied, q/k norm" emu:m4 model.rope=interleaved plan.dw=engine \
    model.tied=false model.qk_norm=true
whole "a loss on the engine" emu:m4 plan.loss=engine
whole "older spelling of the M1" emu:m1
said=$("$ANNEAL" explain tiny.conf -d null:m4 --save none 2>&1)
same "a device that computes nothing keeps no step: exit code" $? 3
has "and says so" "$said" "null:m4 computes nothing"
