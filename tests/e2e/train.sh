#!/usr/bin/env bash
# A tiny run through the command line: trains, stops, goes on, evaluates,
# writes text, explains itself, refuses what would spoil it.
. tests/e2e/lib/common.sh
root=$PWD
cd "$TMPDIR" || exit 1

field() { # JSON KEY: a number or text of a flat object
    printf '%s' "$1" | sed -n "s/.*\"$2\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

. "$root"/tests/e2e/lib/training.sh
small_recipe 30 >tiny.conf
stories 300000
text=stories.txt

lines=$("$ANNEAL" train tiny.conf data.text=$text -n a --stop-after 12 --show json 2>/dev/null)
same "stops after 12 updates" "$(printf '%s\n' "$lines" | grep -c '"kind":"step"')" 12
has "says what it really runs on" "$lines" '"device":"emu:'
check "the last step has a checkpoint" test -f runs/a/step-00000012/model.safetensors
config=$(cat runs/a/step-00000012/config.json)
has "the saved model says which token ends a text" "$config" '"eos_token_id": 256'
has "and that none begins one" "$config" '"bos_token_id": null'
check "the same command goes on" "$ANNEAL" train tiny.conf data.text=$text -n a --show none
check "to the end" test -d runs/a/step-00000030
check "a run's name goes on too" "$ANNEAL" train a --show none
check "trained in one go" "$ANNEAL" train tiny.conf data.text=$text -n b --show none
same "stopping and going on changes no bit" \
    "$(weights a)" "$(weights b)"
check "with one thread" "$ANNEAL" train tiny.conf data.text=$text -n c --show none device.threads=1
same "the number of threads changes no bit" \
    "$(cksum < runs/c/step-00000030/model.safetensors)" "$(cksum < runs/b/step-00000030/model.safetensors)"

check "a folder made by anneal data" "$ANNEAL" data $text -o folder
check "a run learns from it" "$ANNEAL" train tiny.conf data.dir=folder -n d --show none
said=$("$ANNEAL" eval d 2>&1)
has "and is judged by its held-out part" "$said" "held-out"
same "as one is that learned from the text itself" "$said" "$("$ANNEAL" eval b)"

"$ANNEAL" train tiny.conf data.text=$text -n k --show none train.checkpoint_every=5 train.steps=400 &
pid=$!
for _ in $(seq 200); do [ -d runs/k/step-00000010 ] && break; sleep 0.05; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
check "a killed run goes on" "$ANNEAL" train k --stop-after 3 --show none
has "from its last complete checkpoint" "$(cat runs/k/events.jsonl)" '"kind":"restart"'

said=$("$ANNEAL" train tiny.conf data.text=$text -n a model.dim=32 2>&1)
same "a run's model may not change: exit code" $? 2
has "and the setting is named" "$said" "model.dim"

json=$("$ANNEAL" eval a --json)
check "eval gives a loss" test -n "$(field "$json" held_out)"
check "and nats per byte" test -n "$(field "$json" nats_per_byte)"
check "eval on another text" "$ANNEAL" eval a --text tiny.conf
json=$("$ANNEAL" sample a --prompt "Once" --tokens 20 --seed 3 --json)
has "sample writes text" "$json" '"text":"'
same "the same seed writes the same" "$("$ANNEAL" sample a --prompt Once --tokens 20 --seed 3)" \
    "$("$ANNEAL" sample runs/a/step-00000030 --prompt Once --tokens 20 --seed 3)"
has "runs are listed" "$("$ANNEAL" runs)" "emu"
has "a run is shown" "$("$ANNEAL" runs show a)" "model.layers = 2"
has "checkpoints are listed" "$("$ANNEAL" checkpoint ls a)" "step-00000030"

dd if=/dev/zero of=runs/a/step-00000030/model.safetensors bs=1 seek=5000 count=8 conv=notrunc 2>/dev/null
has "damage is seen" "$("$ANNEAL" checkpoint ls a)" "damaged"
lines=$("$ANNEAL" train a train.steps=31 --show json 2>/dev/null)
has "a damaged checkpoint is passed over, and said" "$lines" '"kind":"note"'

json=$("$ANNEAL" explain tiny.conf --json)
has "the plan is JSON: programs" "$json" '"programs":[{'
for n in 12 24; do
    deep=$("$ANNEAL" explain "$root/recipes/stories-110m.conf" model.layers=$n -d emu:m4 --json)
    same "$n equal layers load as few programs" "$(field "$deep" loads)" 4
done
check "the plan counts loads" test "$(field "$json" loads)" -gt 0
check "and launches, no fewer" test "$(field "$json" launches_per_step)" -ge "$(field "$json" loads)"
check "the plan is drawn" "$ANNEAL" explain tiny.conf --svg plan.svg
same "with each launch" "$(grep -c 'fill="#4e79a7"' plan.svg)" "$(field "$json" launches_per_step)"
has "a pass is shown as lanes" "$("$ANNEAL" explain tiny.conf)" "  engine  C"
has "one layer a program while training" "$("$ANNEAL" explain tiny.conf)" "layers a program: 1 "
has "what eval runs is planned by its own time" "$("$ANNEAL" explain tiny.conf --forward)" "layers a program: 2 "
refuse "a published trainer's step is not drawn" "$ANNEAL" explain tiny.conf train.batch=1 --like seed --svg like.svg
refuse "a step of a forward pass is not saved" "$ANNEAL" explain tiny.conf --forward --save step
for stage in config forward grad plan mil; do
    check "explain --stage $stage" "$ANNEAL" explain tiny.conf --stage $stage
done
check "an interleaved model trains" "$ANNEAL" train tiny.conf data.text=$text -n i --show none model.rope=interleaved train.steps=3
check "a BPE tokenizer is learned" "$ANNEAL" train tiny.conf data.text=$text -n t --show none data.tokenizer=bpe:400 train.steps=3
check "fine-tuning starts from a model" "$ANNEAL" train tiny.conf data.text=$text -n f --show none model.init=runs/b train.steps=3
printf 'data.text = %s\nmodel.init = b\ntrain.steps = 2\n' $text >from.conf
has "a plan has the shape of the model it starts from" "$("$ANNEAL" explain from.conf --stage forward)" "[257,64]"
refuse "a plan wants the model it starts from" "$ANNEAL" explain from.conf model.init=nothing
check "a recipe need not say the model's shape" "$ANNEAL" train from.conf --show none
has "which the run's recipe says" "$(cat runs/from/recipe.conf)" "model.dim = 64 "
check "so the run goes on by its name" "$ANNEAL" train from --show none train.steps=3
check "and by its recipe" "$ANNEAL" train from.conf --show none train.steps=4
check "and its recipe runs as another" "$ANNEAL" train runs/from/recipe.conf -n from2 --stop-after 1 --show none
