# training.sh - a small training, for scripts beside it, after common.sh; what is
# written lies in the current folder.
#
#   small_recipe STEPS [LINE...]    a recipe on stdout, with these lines too
#   stories BYTES                   the start of the built-in stories, stories.txt
#   weights RUN                     a checksum of the weights of its last step
#   wait_for FILE TEXT              until it is there, 15 seconds at most
small_recipe() {
    cat <<R
model.layers = 2
model.dim = 64
model.heads = 4
model.kv_heads = 2
model.seq = 64
train.steps = $1
train.batch = 4
train.warmup = 5
train.lr = 3e-3
train.eval_every = 10
train.checkpoint_every = 10
R
    shift
    [ $# = 0 ] || printf '%s\n' "$@"
}

stories() {
    "$ANNEAL" demo --embedded --stop-after 1 --show none >/dev/null 2>&1
    check "the built-in stories were written" test -s runs/.data/stories.txt
    head -c "$1" runs/.data/stories.txt >stories.txt
    rm -rf runs
}

weights() {
    local last
    last=$(find "runs/$1" -name 'step-*' | sort | tail -n 1)
    cksum <"$last/model.safetensors"
}

wait_for() {
    local i
    for i in $(seq 300); do
        grep -q "$2" "$1" 2>/dev/null && return 0
        sleep 0.05
    done
    return 1
}
