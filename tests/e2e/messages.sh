# What the command says, as a whole: help, errors, a run in plain lines.
. tests/e2e/lib/common.sh
. tests/e2e/lib/golden.sh
cd "$TMPDIR" || exit 1

# asked ARGS...: a transcript of one command, stderr after stdout
asked() {
    printf '$ anneal %s\n' "$*"
    "$ANNEAL" "$@" 2>err.txt </dev/null
    local code=$?
    printf '%s\n[%d]\n' "$(cat err.txt)" $code
}

golden help "$("$ANNEAL" help)"
golden help_train "$("$ANNEAL" help train)"
golden help_run "$("$ANNEAL" run --help)"
same "no words are the help too" "$("$ANNEAL" | head -n 1)" "$("$ANNEAL" help | head -n 1)"
same "--help of a verb is its help" "$("$ANNEAL" train --help)" "$("$ANNEAL" help train)"
for v in $("$ANNEAL" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    check "help of $v" "$ANNEAL" help "$v"
done

printf 'model.layers = 2\nmodel.dim = 64\nmodel.heads = 4\nmodel.seq = 32\ntrain.batch = 2\n' >tiny.conf
printf 'model.layers = two\n' >bad.conf
echo "some text that is far too short" >short.txt
golden messages "$(
    asked trian
    asked frobnicate
    asked help frobnicate
    asked train
    asked train tiny.conf --stop-aftr 3
    asked train tiny.conf --stop-after
    asked train tiny.conf --stop-after=soon
    asked train tiny.conf --show loud data.text=short.txt
    asked train tiny.conf --dry-run=yes
    asked train tiny.conf -x
    asked train nothing
    asked train bad.conf
    asked train tiny.conf
    asked train tiny.conf data.text=short.txt
    asked train tiny.conf data.txt=short.txt
    asked train tiny.conf data.text
    asked train tiny.conf model.heads=5
    asked train tiny.conf model.dim=63
    asked train tiny.conf train.schedule=cosin
    asked train tiny.conf data.tokenizer=bpe:5
    asked train tiny.conf train.loss_scale=0
    asked eval nothing
    asked eval
    asked eval a b
    asked sample nothing --temperature=-1
    asked explain tiny.conf --stage plam
    asked explain tiny.conf --stage mil --program none
    asked explain tiny.conf -d warp
    asked explain tiny.conf -d emu:m44
    asked device check emu:m4,exat
    asked device list
    asked bench tempo
    asked runs rm x
    asked runs show x
    asked checkpoint ls
    asked data
    asked data short.txt
    asked demo
    asked run nothing.mil
)"

for i in $(seq 300); do echo "the cat number $i sat on the mat and saw $((i * 7 % 100)) rats"; done >text.txt
said=$("$ANNEAL" train tiny.conf data.text=text.txt train.steps=20 train.eval_every=10 \
    train.checkpoint_every=10 --stop-after 15 2>&1)
golden_glob train "$said"
golden_glob train_again "$("$ANNEAL" train tiny train.lr=1e-4 2>&1)"
"$ANNEAL" train tiny.conf data.text=text.txt -n dry --dry-run >dry.conf 2>err.txt
golden_glob train_dry "$(tail -n 2 dry.conf && cat err.txt)"
check "what a dry run prints is a recipe" "$ANNEAL" explain dry.conf
same "a dry run makes no run" "$(ls runs)" tiny
