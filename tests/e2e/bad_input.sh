# Bad input gets a clear error with a hint, and nothing is lost: texts, tokens,
# checkpoints, models, programs, disks, devices, runs in use.
. tests/e2e/lib/common.sh
. tests/e2e/lib/npy.sh
cd "$TMPDIR" || exit 1

# complains NAME CODE PART... -- ARGS...: ends with CODE, says each PART on
# stderr and nothing on stdout
complains() {
    local name=$1 code=$2 said had parts=()
    shift 2
    while [ "$1" != -- ]; do parts+=("$1") && shift; done
    shift
    "$ANNEAL" "$@" >out.txt 2>err.txt
    had=$?
    said=$(cat err.txt)
    same "$name: exit code" $had "$code"
    for part in "${parts[@]}"; do has "$name: says '$part'" "$said" "$part"; done
    same "$name: nothing on stdout" "$(cat out.txt)" ""
}

cat >tiny.conf <<'R'
model.layers = 2
model.dim = 64
model.heads = 4
model.kv_heads = 2
model.seq = 64
train.steps = 6
train.batch = 4
train.warmup = 0
train.eval_every = 0
train.checkpoint_every = 2
train.keep = 3
train.eval_windows = 4
R
for i in $(seq 600); do echo "the cat number $i sat on the mat and saw $((i * 7 % 100)) rats"; done >good.txt

# ---- settings ----
printf 'model.layers = 2\n\ntrain.wramup = 3\n' >bad.conf
printf 'model.dim = wide\n' >word.conf
printf 'model.dim 64\n' >line.conf
complains "unknown setting" 2 "bad.conf:3: no setting 'train.wramup'; did you mean 'train.warmup'?" -- \
    train bad.conf data.text=good.txt
complains "setting out of range" 2 "'train.batch' is from 1 to 65536, not 0" -- train tiny.conf train.batch=0
complains "setting that is no number" 2 "word.conf:1: setting 'model.dim' is a whole number, not 'wide'" -- \
    explain word.conf
complains "line that is no setting" 2 "line.conf:1: wanted 'section.key = value'" -- explain line.conf
complains "heads not divisible by kv heads" 2 "model.heads 4 is not divisible by model.kv_heads 3" "hint:" -- \
    train tiny.conf data.text=good.txt model.kv_heads=3
complains "odd head size" 2 "model.head_dim 15" "hint: try model.head_dim=16" -- \
    explain tiny.conf model.head_dim=15

# ---- texts ----
: >empty.txt
printf ' \n\t\n' >blank.txt
printf 'hello\0world' >binary.txt
echo "too short" >short.txt
ln -s nothing dangling.txt
mkdir nothing_in && printf 'a\0b' >only_binary && mkdir binaries && cp only_binary binaries/
complains "empty text" 1 "text is empty: empty.txt" "hint: name a file, or a folder" -- train tiny.conf data.text=empty.txt
complains "blank text" 1 "text is empty: blank.txt" "hint: name a file, or a folder" -- train tiny.conf data.text=blank.txt
complains "binary text" 1 "binary.txt is not text: byte 5 is zero" "hint: wanted plain text" -- \
    train tiny.conf data.text=binary.txt
complains "text shorter than a window" 2 "one window wants 65" "hint: give more text, or a shorter model.seq" -- \
    train tiny.conf data.text=short.txt
complains "unreadable text" 1 "cannot read dangling.txt" -- train tiny.conf data.text=dangling.txt
complains "folder without text" 1 "nothing_in" -- train tiny.conf data.text=nothing_in
complains "folder of binaries" 1 "binaries/only_binary is not text" "hint: name a file, or a folder" -- train tiny.conf data.text=binaries
long=$(printf '%0400d' 0) # no system takes a name as long
complains "dataset where none can be" 1 "cannot make folder $long: " -- data good.txt -o "$long"
complains "picture where none can be" 1 "cannot write $long: " -- \
    explain tiny.conf model.vocab=257 --svg "$long"
complains "loss scale beyond fp16" 2 "train.loss_scale is 131072, wanted above 0, at most 65536" -- \
    train tiny.conf data.text=good.txt train.loss_scale=131072
complains "data.dir that is none" 1 "nothing_in is not a dataset" "hint: anneal data PATH -o DIR" -- \
    train tiny.conf data.dir=nothing_in
complains "device that does not exist" 3 "no device 'enu:m4'" "there are: auto, " "emu:MODEL" "did you mean 'emu:m4'?" -- \
    train tiny.conf data.text=good.txt -d enu:m4
complains "chip that does not exist" 3 "no chip 'm44'" "did you mean 'emu:m4'?" -- train tiny.conf data.text=good.txt -d emu:m44
complains "instruction set that is not here" 3 "this processor has no instruction set 'sse9'" -- \
    train tiny.conf data.text=good.txt -d emu:m4,isa=sse9
complains "model that does not fit in memory" 1 "the plan needs 5.8 MB, the limit is 1.0 MB" "hint:" -- \
    train tiny.conf data.text=good.txt plan.memory_gb=0.001
same "a start that failed leaves no run" "$(ls runs)" ""
check "and the corrected command trains" "$ANNEAL" train tiny.conf data.text=good.txt --show none

# ---- tokens ----
int32 1 2 3 257 | npy beyond.npy '<i4' '(1, 4)'
int32 1 2 -3 4 | npy below.npy '<i4' '(1, 4)'
int32 1 2 3 4 | npy good.npy '<i4' '(1, 4)'
int32 1 2 3 4 | npy real.npy '<f4' '(1, 4)'
int32 1 2 3 4 | npy flat.npy '<i4' '(4,)'
int32 1 | npy torn.npy '<i4' '(1, 4)'
check "tokens of the vocabulary are fine" "$ANNEAL" grad tiny --tokens good.npy
complains "token beyond the vocabulary" 2 "beyond.npy: id 257 at 3 is beyond the vocabulary of 257" -- \
    grad tiny --tokens beyond.npy
complains "negative token" 2 "below.npy: id -3 at 2" -- grad tiny --tokens below.npy
complains "tokens of another type" 2 "real.npy: wanted int32 [B,T+1], had <f4" -- grad tiny --tokens real.npy
complains "tokens of another rank" 2 "flat.npy: wanted int32 [B,T+1]" -- grad tiny --tokens flat.npy
complains "torn array" 1 "torn.npy" -- grad tiny --tokens torn.npy
complains "no tokens" 2 "wanted --tokens IDS.npy" -- grad tiny
check "a dataset with more tokens" "$ANNEAL" data good.txt -o bpe --tokenizer bpe:300
complains "data beyond the model's vocabulary" 2 "model.vocab is 257, the data has 300 token ids" "hint: model.vocab=300" -- \
    train tiny.conf data.dir=bpe model.vocab=257 -n v

# ---- checkpoints ----
newest=runs/tiny/step-00000006
keep() { rm -rf kept && cp -R runs/tiny kept; }
again() { rm -rf runs/tiny && cp -R kept runs/tiny; }
keep
printf X | dd of=$newest/model.safetensors bs=1 seek=5000 conv=notrunc 2>/dev/null
complains "wrong checksum, named" 1 "the checksum of $newest/model.safetensors" -- sample $newest
for verb in "eval tiny" "sample tiny --tokens 2" "grad tiny --tokens good.npy" "train tiny train.steps=7"; do
    said=$("$ANNEAL" $verb 2>&1)
    same "wrong checksum: $verb falls back" $? 0
    has "wrong checksum: $verb says so" "$said" "note    $newest cannot be used: the checksum"
done
again
head -c 1000 kept/step-00000006/model.safetensors >$newest/model.safetensors
said=$("$ANNEAL" eval tiny 2>&1)
has "truncated checkpoint is passed over" "$said" "model.safetensors is 1000 bytes"
echo "no model at all" >$newest/model.safetensors
said=$("$ANNEAL" train tiny train.steps=7 2>&1)
has "foreign file is passed over" "$said" "note    $newest cannot be used"
again
for s in 2 4 6; do printf x >>runs/tiny/step-0000000$s/optim.safetensors; done
complains "no checkpoint is whole" 1 "none of the 3 checkpoints in runs/tiny is whole" "hint: --force" -- \
    train tiny train.steps=7 --show none
same "and none is touched" "$(ls runs/tiny | grep -c step-)" 3
again

mkdir model && cp $newest/config.json $newest/model.safetensors model/
complains "model without tokenizer: sample" 1 "the model in model has no tokenizer.json" "hint:" -- sample model
complains "model without tokenizer: eval" 1 "the model in model has no tokenizer.json" -- eval model --text good.txt
complains "model without held-out text" 2 "model is no run's checkpoint" "hint: name one with --text PATH" -- eval model
check "but its gradients need none" "$ANNEAL" grad model --tokens good.npy
sed 's/"num_hidden_layers": *2/"num_hidden_layers": 3/' $newest/config.json >model/config.json
complains "model with too few tensors" 1 "model has no tensor model.layers.2." -- grad model --tokens good.npy
sed 's/"intermediate_size": *[0-9]*/"intermediate_size": 64/' $newest/config.json >model/config.json
complains "tensor of another shape" 2 "mlp.gate_proj.weight is [" "wanted [64,64]" -- grad model --tokens good.npy
sed 's/LlamaForCausalLM/GPT2LMHeadModel/' $newest/config.json >model/config.json
complains "foreign model" 1 "the model is a GPT2LMHeadModel" -- grad model --tokens good.npy
complains "no model" 1 "no run or model at runs/nothing" "hint: " -- eval nothing
complains "folder that is no model" 1 "nothing_in is neither a run nor a model" -- eval nothing_in
complains "model.init of another shape" 2 "model.layers is 3, but the model in" "has 2" "hint: leave model.layers out" -- \
    train tiny.conf data.text=good.txt -n other model.init=tiny model.layers=3
complains "model.init of another vocabulary" 2 "model.vocab is 257, the data has 300 token ids" \
    "hint: take the model's own tokenizer" -- train tiny.conf data.dir=bpe -n other model.init=tiny
same "and no run is made" "$(ls runs)" tiny

# ---- full disks, runs in use, bad numbers ----
said=$( (ulimit -f 300 && "$ANNEAL" train tiny.conf data.text=good.txt -n full train.seed=2 --show none) 2>&1)
same "a file that cannot grow: exit code" $? 1
has "and the error names it" "$said" "cannot write runs/full/.new-00000002/model.safetensors"
check "with room again the same command trains" "$ANNEAL" train tiny.conf data.text=good.txt -n full train.seed=2 --show none
complains "output to a full disk" 1 "cannot write /dev/full" "hint: make room there" -- grad tiny --tokens good.npy -o /dev/full
"$ANNEAL" explain tiny.conf >/dev/full 2>err.txt
same "stdout that is full: exit code" $? 1
has "and it is said" "$(cat err.txt)" "standard output"

"$ANNEAL" train tiny.conf data.text=good.txt -n busy train.steps=100000 --show none 2>/dev/null &
pid=$!
for _ in $(seq 200); do [ -d runs/busy/step-00000002 ] && break; sleep 0.05; done
complains "second training of one run" 1 "the run runs/busy is in use by another training" "hint: " -- train busy --show none
complains "also to start it over" 1 "in use by another training" -- train busy --force --show none
has "it is seen to be running" "$("$ANNEAL" runs)" "busy                 running"
kill -INT $pid
wait $pid
same "an interrupt ends with 130" $? 130
check "and the run goes on" "$ANNEAL" train busy --stop-after 1 --show none

"$ANNEAL" train tiny.conf data.text=good.txt -n wild --stop-after 2 --show none
complains "loss that goes to infinity" 4 "the loss is not finite since step 4" "the first infinity is made in" \
    "largest weight is" "model." "hint: the last good checkpoint is runs/wild/step-00000002" "try a smaller train.lr" -- \
    train wild train.lr=1e6 train.checkpoint_every=1 train.steps=100 --show none
has "it is an event" "$(tail -n 1 runs/wild/events.jsonl)" '"kind":"failed"'
check "the last good checkpoint is good" "$ANNEAL" eval wild
check "and with a smaller rate the run goes on" "$ANNEAL" train wild train.lr=1e-3 --stop-after 1 --show none

# ---- programs ----
complains "program budget used up" 3 "compile" "hint:" -- train tiny.conf data.text=good.txt -n budget -d emu:m4,compiles=2
same "leaves no checkpoint" "$(ls runs/budget 2>/dev/null | grep -c step-)" 0
check "a program to spoil" "$ANNEAL" explain tiny.conf --save step
mil=step/layer.fwd.mil
in=()
for f in step/call-000-layer.fwd/in.*.npy; do port=${f##*/in.}; in+=(--in "${port%.npy}=$f"); done
# spoilt NAME CODE SED PART...: the program after SED is refused with PARTs
spoilt() {
    local name=$1 code=$2 edit=$3
    shift 3
    sed "$edit" $mil >spoilt.mil
    complains "$name" "$code" "$@" -- run spoilt.mil --weights step/layer.fwd.weights "${in[@]}"
}
check "it runs unspoilt" "$ANNEAL" run $mil --weights step/layer.fwd.weights "${in[@]}"
spoilt "unknown op" 1 '0,/reduce_max(/s//reduce_mox(/' "no op 'reduce_mox' is known" "spoilt.mil:" "^" "did you mean 'reduce_max'?"
spoilt "unknown type" 1 '0,/tensor<fp16/s//tensor<fp17/' "spoilt.mil:4:" "no type is called 'fp17'" "^"
spoilt "wrong type" 1 '0,/> abs_0/s/\[1, 64, 1, 256\]> abs_0/[1, 64, 1, 255]> abs_0/' "is declared as tensor<fp16, [1, 64, 1, 255]>" "^"
spoilt "name that is not defined" 1 '0,/abs(x = i000)/s//abs(x = i999)/' "'i999' is not defined before it is used"
spoilt "size of 2^63" 1 '0,/\[1, 64, 1, 256\]/s//[1, 9223372036854775808, 1, 256]/' "does not fit int64" "^"
spoilt "2^63 elements" 1 '0,/\[1, 64, 1, 256\]/s//[1, 9223372036854775807, 1, 256]/' "more than 2^63 elements" "^"
spoilt "offset past the end" 1 's/offset = uint64([0-9]*)/offset = uint64(64000000)/' "offset 64000000"
spoilt "offset of 2^64 - 1" 1 's/offset = uint64([0-9]*)/offset = uint64(18446744073709551615)/' "offset 18446744073709551615"
spoilt "weight file that is not there" 1 's/weight.bin/wait.bin/' "step/layer.fwd.weights/wait.bin" "no such file"
spoilt "weight file outside the folder" 1 's,weights/weight.bin,weights/../../secret,' "@model_path/weights/../../secret"
head -c 700 $mil >spoilt.mil
complains "cut text" 1 "spoilt.mil:" "the end of the text" "^" -- run spoilt.mil
complains "no weights folder" 1 "hint: name the folder with --weights DIR" -- run $mil "${in[@]}"
complains "input without value" 2 "input 'i000' has no value" "hint: --in i000=FILE.npy" -- \
    run $mil --weights step/layer.fwd.weights
complains "input of another size" 2 "good.npy: wanted" "for 'i000'" -- \
    run $mil --weights step/layer.fwd.weights --in i000=good.npy
complains "port that is none" 2 "the program has no input 'k'" "hint: there " -- \
    run $mil --weights step/layer.fwd.weights "${in[@]}" --in k=good.npy
complains "output of a device that computes nothing" 3 "null:m4 computes nothing" -- \
    run $mil -d null:m4 --weights step/layer.fwd.weights "${in[@]}" --out o000=x.npy
