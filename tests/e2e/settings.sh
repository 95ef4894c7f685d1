#!/usr/bin/env bash
# Bad words and settings: exit code, what was had, and a hint. Nothing trains.
. tests/e2e/lib/common.sh
cd "$TMPDIR" || exit 1

# complains NAME CODE PART ARGS...: ends with CODE and says PART on stderr
complains() {
    local name=$1 code=$2 part=$3 said had
    shift 3
    said=$("$ANNEAL" "$@" 2>&1 >/dev/null)
    had=$?
    same "$name: exit code" $had "$code"
    has "$name: says so" "$said" "$part"
}

printf 'model.layers = 2\ntrain.wramup = 3\n' > bad.conf
printf 'model.heads = 6\nmodel.kv_heads = 4\nmodel.dim = 48\n' > heads.conf
printf 'model.layers = 2\nmodel.dim = 64\nmodel.heads = 4\nmodel.seq = 64\n' > tiny.conf
printf 'hello\0world' > binary.txt
: > empty.txt
echo short > short.txt

complains "unknown command" 2 "did you mean 'train'" trian tiny.conf
complains "unknown flag" 2 "did you mean '--stop-after'" train tiny.conf --stop-aftr 3
complains "flag without its argument" 2 "wants N" train tiny.conf --stop-after
complains "no recipe" 2 "no recipe or run 'nothing.conf'" train nothing.conf
complains "unknown setting in a recipe" 2 "bad.conf:2: no setting 'train.wramup'; did you mean 'train.warmup'?" train bad.conf
complains "unknown setting on the line" 2 "did you mean 'model.layers'" train tiny.conf model.layer=3
complains "out of range" 2 "'model.layers' is from 1 to 1024, not 0" train tiny.conf model.layers=0
complains "nothing to learn from" 2 "data.text" train tiny.conf
complains "heads not divisible" 2 "kv_heads" explain heads.conf
complains "empty text" 1 "empty.txt" train tiny.conf data.text=empty.txt
complains "binary text" 1 "binary.txt" train tiny.conf data.text=binary.txt
complains "text shorter than a window" 2 "the text has 6 tokens to train on, one window wants 65" train tiny.conf data.text=short.txt
complains "text that is not there" 1 "gone.txt" train tiny.conf data.text=gone.txt
complains "device that does not exist" 3 "emu" explain tiny.conf -d warp:m4
complains "chip that does not exist" 3 "m4" explain tiny.conf -d emu:m44
complains "no such model" 1 "no run or model" eval nothing
complains "program that is not there" 1 "gone.mil" run gone.mil
check "help works" "$ANNEAL" help
check "help of a command works" "$ANNEAL" help train
check "every setting is listed" "$ANNEAL" help settings
same "no run was left behind" "$(ls runs)" ""
