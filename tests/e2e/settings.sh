#!/usr/bin/env bash
# Words and settings: which wins, where they may stand, and what bad ones are
# told. Nothing trains but a run of one step.
. tests/e2e/lib/common.sh
root=$PWD
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
printf "a%.0s" $(seq 3000) >long.txt
complains "weights baked for no pass" 2 "'plan.bake_every' is from 1 to 65536, not 0" train tiny.conf plan.weights=baked plan.bake_every=0
complains "weights baked for longer than the run" 2 "plan.bake_every is 9, more than the 8 updates of the run" \
    train tiny.conf data.text=long.txt train.steps=8 plan.weights=baked plan.bake_every=9
complains "weights baked into more programs than may be compiled" 3 "rule 'compile_budget': the plan needs 6 programs, a process compiles 4" \
    train tiny.conf data.text=long.txt plan.weights=baked -d emu:m4,compiles=4
for weights in streamed baked resident; do
    complains "no compile at all, $weights" 3 "at least compiles=1" \
        train tiny.conf data.text=long.txt plan.weights=$weights -d emu:m4,compiles=0
    complains "a budget of one, $weights" 3 "programs, a process compiles 1" \
        train tiny.conf data.text=long.txt plan.weights=$weights -d emu:m4,compiles=1
    complains "one slot, $weights" 3 "programs, a process holds 1" \
        train tiny.conf data.text=long.txt plan.weights=$weights -d emu:m4,slots=1
done
check "AdamW on the engine is a program like others" \
    "$ANNEAL" explain tiny.conf plan.weights=resident -d emu:m4 --stage mil --program update.layer.fwd
complains "passes for weights that are not baked" 2 "plan.bake_every is 2, but plan.weights is auto" \
    train tiny.conf data.text=long.txt plan.bake_every=2
complains "gradients that do not stay where weights do" 2 "plan.dw=host, but plan.weights=resident" \
    train tiny.conf data.text=long.txt plan.weights=resident plan.dw=host
complains "a loss on the engine, with windows" 2 "plan.loss=engine, but with exponent windows" \
    train tiny.conf data.text=long.txt plan.loss=engine plan.window=on
complains "windows over weights that stay" 2 "these stay on the engine" \
    train tiny.conf data.text=long.txt plan.weights=resident plan.window=on
complains "passes that resident weights cannot add up" 2 "train.accum is 2, but resident weights are updated after each pass" \
    train tiny.conf data.text=long.txt plan.weights=resident train.accum=2
complains "text that is not there" 1 "gone.txt" train tiny.conf data.text=gone.txt
complains "device that does not exist" 3 "emu" explain tiny.conf -d warp:m4
complains "chip that does not exist" 3 "m4" explain tiny.conf -d emu:m44
[ "$(uname)" = Darwin ] || complains "a library that is not on this machine" 2 "the BLAS 'accelerate' is not on this machine" \
    explain tiny.conf device.blas=accelerate
complains "no such model" 1 "no run or model" eval nothing
complains "program that is not there" 1 "gone.mil" run gone.mil
printf 'device.uri = ane:lib=./mine.so\n' >lib.conf
complains "library in a recipe" 2 "lib.conf:1: a recipe may not name a device's library" explain lib.conf
complains "but on the command line" 3 "mine.so" explain tiny.conf -d ane:lib=./mine.so
check "help works" "$ANNEAL" help
check "help of a command works" "$ANNEAL" help train
check "every setting is listed" "$ANNEAL" help settings
same "no run was left behind" "$(ls runs)" ""

# resolved KEY WORDS...: the value a setting has in the end
resolved() {
    local key=$1
    shift
    "$ANNEAL" explain --stage config "$@" | sed -n "s/^$key = \([^ ]*\).*/\1/p"
}
printf 'model.layers = 2\nmodel.layers = 3   # again\ndevice.uri = null:m4\n' >twice.conf
same "a default" "$(resolved model.heads twice.conf)" 4
same "the recipe wins over the default, its last line over others" "$(resolved model.layers twice.conf)" 3
same "the command line wins over the recipe" "$(resolved model.layers twice.conf model.layers=5)" 5
same "the last word wins" "$(resolved model.layers twice.conf model.layers=5 model.layers=6)" 6
same "-d is device.uri" "$(resolved device.uri twice.conf -d null:m5)" null:m5
same "-d wins over the word" "$(resolved device.uri twice.conf device.uri=null:m1 -dnull:m5)" null:m5
same "a flag may stand first" "$(resolved model.layers --device=null:m5 twice.conf)" 3
same "-- ends the flags" "$(resolved model.layers -- twice.conf model.layers=7)" 7
same "a word after -- may look like a flag" "$("$ANNEAL" explain -- -x 2>&1 | head -n 1)" \
    "anneal: error: no recipe '-x'"
same "spaces around a value are none of it" "$(printf '  model.dim=  64  # wide \r\n' >s.conf && resolved model.dim s.conf)" 64
same "a recipe is found by its name" "$(cd "$root" && resolved train.seed demo)" 1
same "a resolved recipe resolves to itself" \
    "$("$ANNEAL" explain tiny.conf --stage config | tee once.conf | cksum)" \
    "$("$ANNEAL" explain once.conf --stage config | cksum)"

for i in $(seq 100); do echo "line $i of a text"; done >text.txt
mkdir -p b
check "a run under another folder" "$ANNEAL" train tiny.conf data.text=text.txt -n b --runs kept --stop-after 1 --show none
check "is there" test -d kept/b/step-00000001
check "and goes on by its name" "$ANNEAL" train b --runs kept --stop-after 1 --show none
check "and by its path" "$ANNEAL" train kept/b --stop-after=1 --show=none
check "and by its recipe and name" "$ANNEAL" train tiny.conf -nb --runs=kept --stop-after 1 --show none
check "with another rate" "$ANNEAL" train kept/b train.lr=1e-4 --stop-after 1 --show none
check "each went one step further" test -d kept/b/step-00000005
same "a folder of that name is no run" "$(ls b)" ""
complains "a name for a run that has one" 2 "--name is for new ones" train kept/b -n c
complains "nothing to go on with" 2 "no recipe or run 'b'" train b
check "starting over" "$ANNEAL" train kept/b --force --stop-after 1 --show none
same "drops what the run held" "$(ls kept/b | grep -c step-)" 1
same "no steps are two in the log" "$(grep -c '"kind":"step"' kept/b/events.jsonl)" 1
check "it can be used from elsewhere" sh -c "cd / && '$ANNEAL' eval '$TMPDIR/kept/b'"

