#!/usr/bin/env bash
# run.sh [PART...] - the trainings that docs/numerics.md reports, and their tables.
#
#   grid     three widths in five arithmetics: same seed, data order and recipe
#   seeds    the two smaller again from other weights and in another order: what is
#            chance
#   widths   smaller ones, fewer updates, and fewer tokens an update: from where on
#            the accumulator hurts, and which products it drops (counting them
#            changes no bit)
#   sums     one product against fp64, over how long its sums are
#   tables   docs/numerics/*.csv and *.svg from what there is (needs Python 3)
#
# All of it in this order without a PART. What is done is kept in STUDY (default
# .cache/study) and not done again; a run that was stopped goes on, so the
# script can be stopped and started at will. JOBS runs at a time, one thread each.
set -u
cd "$(dirname "$0")/../.." || exit 2
anneal=${B:-build}/anneal
study=${STUDY:-.cache/study}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
export anneal study

# name | device | settings: what differs between arithmetics, and nothing else
arithmetics='
wide|emu:m4,wide|train.loss_scale=256
fast|emu:m4,fast|train.loss_scale=256
bare|emu:m4,exact|plan.window=off train.loss_scale=1
scaled|emu:m4,exact|plan.window=off train.loss_scale=256
dynamic|emu:m4,exact|plan.window=off
window|emu:m4,exact|plan.window=on train.loss_scale=256
'

data() {
    [ -d "$study/data" ] && return 0
    tools/fetch_text.sh .cache/sotu >&2 || exit 1
    "$anneal" data .cache/sotu -o "$study/data" --tokenizer byte --held-out 0.02 >&2
}

# one PART WIDTH ARITHMETIC DEVICE SETTING...: train it, or go on with it, unless done
one() {
    local runs=$study/$1 name=$2-$3 width=$2 device=$4 begin=$SECONDS
    shift 4
    [ -f "$runs/$name.json" ] && return 0
    "$anneal" train bench/study/study.conf -n "$name" --runs "$runs" -d "$device" --show none \
        "data.dir=$study/data" "model.dim=$width" "model.heads=$((width > 64 ? width / 64 : 1))" "$@" \
        >"$runs/$name.log" 2>&1 || { echo "run.sh: $name failed, see $runs/$name.log" >&2; return 1; }
    # the same text judged in fp32: what training lost, without what judging loses
    "$anneal" eval "$name" --runs "$runs" -d emu:m4,wide --json >"$runs/$name.json.part" &&
        mv "$runs/$name.json.part" "$runs/$name.json" &&
        echo "$runs/$name: done after $((SECONDS - begin)) s"
}
export -f one

# lines of work: what ARITHMETIC... WIDTH..., the longest first
work() { # PART "WIDTHS" "ARITHMETICS" SETTING...
    local part=$1 widths=$2 which=$3
    shift 3
    mkdir -p "$study/$part"
    for width in $widths; do
        for name in $which; do
            printf '%s\n' "$arithmetics" | while IFS='|' read -r a device settings; do
                [ "$a" = "$name" ] && echo "$part $width $a $device $settings $*"
            done
        done
    done
}
all() { xargs -P "$jobs" -I{} bash -c 'one {}'; }

grid() { work grid "512 256 128" "window dynamic scaled bare wide fast" | all; }
seeds() {
    for seed in 2 3 4; do
        work "seed$seed" "256 128" "window wide fast" "train.seed=$seed"
    done | all
}
widths() {
    for batch in 16 4 1; do
        work "batch$batch" "128 64 32 16" "bare scaled dynamic window wide" model.layers=2 \
            train.batch=$batch train.steps=100 train.eval_every=0 train.checkpoint_every=0
    done | sed 's/emu:m4,exact/&,count/' | all
}
sums() { "${B:-build}/sums_bench" >"$study/sums.csv.part" && mv "$study/sums.csv.part" "$study/sums.csv"; }
tables() { python3 bench/study/tables.py "$study" docs/numerics; }

parts=${*:-grid seeds widths sums tables}
for part in $parts; do
    case $part in
    grid | seeds | widths | sums | tables) ;;
    *) echo "run.sh: no part $part: grid, seeds, widths, sums, tables" >&2; exit 2 ;;
    esac
done
mkdir -p "$study" && data || exit 1
for part in $parts; do $part || exit 1; done
