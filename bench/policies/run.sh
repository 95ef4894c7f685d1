#!/usr/bin/env bash
# run.sh [PART...] - the demo under each weight policy, for docs/weights.md.
#
#   whole    all 1600 updates of recipes/demo.conf, the text that `make demo` takes,
#            on emu:m4,fast
#   fast     its first 200 updates as a training of their own (the schedule ends
#            there, the file held out is shorter), on emu:m4,fast
#   exact    the same on the chip's arithmetic, which takes seven times as long
#   long     all 1600 updates on that; about 20 minutes of one core each
#   cpu      seconds of the processor for one update of each
#   table    one row for each run that there is (needs Python 3)
#
# All of it in this order without a PART. What is done is kept in POLICIES (default
# .cache/policies) and not done again; a run that was stopped goes on, so the script
# can be stopped and started at will. One run at a time, THREADS each (1).
#
# Baked weights keep the budget of compiles, so that those runs restart in memory
# again and again. Two more runs of `fast` are accumulation, which is what
# plan.bake_every is: ten passes an update, a tenth of the updates.
set -u
cd "$(dirname "$0")/../.." || exit 2
anneal=${B:-build}/anneal
out=${POLICIES:-.cache/policies}
text=${TEXT:-.cache/sotu}

# What the planner would weigh otherwise for one policy than for another.
same='plan.loss=host plan.tiles=1 plan.pack=none'

# one PART NAME SETTING...: train it, or go on with it, unless done. All are judged
# by the same arithmetic, so that what training lost is not mixed with what judging
# loses.
one() {
    local part=$1 name=$2 runs=$out/$1 device=emu:m4,exact
    shift 2
    case $part in whole | fast) device=emu:m4,fast ;; esac
    mkdir -p "$runs"
    [ -f "$runs/$name.json" ] && return 0
    "$anneal" train recipes/demo.conf -n "$name" --runs "$runs" -d "$device" --show none \
        "data.text=$text" "device.threads=${THREADS:-1}" $same "$@" >"$runs/$name.log" 2>&1 ||
        { echo "run.sh: $part/$name failed, see $runs/$name.log" >&2; return 1; }
    "$anneal" eval "$name" --runs "$runs" -d emu:m4,wide --json >"$runs/$name.json.part" &&
        mv "$runs/$name.json.part" "$runs/$name.json" && echo "$runs/$name: done"
}

whole() {
    one whole streamed plan.weights=streamed && one whole resident plan.weights=resident &&
        one whole baked plan.weights=baked
}

short='data.held_out=0.02 train.eval_every=0'
three() { # PART SETTING...
    local part=$1
    shift
    one "$part" streamed $short "$@" plan.window=off plan.weights=streamed &&
        one "$part" resident $short "$@" plan.weights=resident &&
        one "$part" baked $short "$@" plan.weights=baked
}
first200='train.steps=200 train.checkpoint_every=50'
fast() {
    local steps='train.steps=20 train.warmup=6 train.checkpoint_every=5'
    three fast $first200 && one fast streamed-10 $short $steps train.accum=10 plan.weights=streamed &&
        one fast baked-10 $short $steps plan.weights=baked plan.bake_every=10
}
exact() { three exact $first200; }
long() { three long; }
# Seconds of the processor that an update takes: 9 of them less 1. Other work on the
# machine stretches the clock, but hardly this.
used() { # UPDATES DEVICE POLICY
    rm -rf "$out/cpu"
    { TIMEFORMAT=%U; time "$anneal" train recipes/demo.conf -n cpu --runs "$out" -d "$2" \
        --show none --stop-after "$1" "data.text=$text" data.held_out=0.02 device.threads=1 \
        plan.window=off "plan.weights=$3" >/dev/null 2>&1; } 2>&1
}
cpu() {
    local device policy
    for device in emu:m4,fast emu:m4,exact; do
        for policy in streamed resident baked; do
            echo "$device $policy $(used 1 $device,compiles=none $policy) $(used 9 $device,compiles=none $policy)" |
                awk '{ printf "%s %s: %.2f s an update\n", $1, $2, ($4 - $3) / 8 }'
        done
    done | tee "$out/cpu.txt"
    rm -rf "$out/cpu"
}
table() { python3 bench/policies/table.py "$out"; }

for part in ${*:-whole fast exact long cpu table}; do
    case $part in
    whole | fast | exact | long | cpu | table) ;;
    *) echo "run.sh: no part $part: whole, fast, exact, cpu, table" >&2; exit 2 ;;
    esac
done
[ -d "$text" ] || tools/fetch_text.sh "$text" >&2 || exit 1
for part in ${*:-whole fast exact long cpu table}; do $part || exit 1; done
