#!/usr/bin/env bash
# twin.sh RECIPE OUT [key=value...] - PyTorch's training beside ours (twin.py):
# fp32 against fp32, and then PyTorch again with each known mistake. The recipe
# names its text as data.dir. Run by hand; what OUT has already is not made again.
#
#   twin.sh bench/study/study.conf build/twin data.dir=DATA model.dim=128 model.heads=4 model.kv_heads=2
#
# Prints a row a training: name, held-out loss, how far it is above the first.
# The mistake `heads` is none where every query head has a key head of its own.
set -u
[ $# -ge 2 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../.." && pwd)
anneal=${ANNEAL:-$root/build/anneal} recipe=$1 out=$2 threads=${THREADS:-1}
shift 2
python=
for p in "${PYTHON:-python3}" /usr/bin/python3; do "$p" -c 'import torch' 2>/dev/null && python=$p && break; done
[ -n "$python" ] || { echo "twin.sh: needs PyTorch: apt-get install python3-torch" >&2; exit 2; }
# large blocks are given back and taken again each step otherwise
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=2000000000

ours() { # NAME ARGS...
    local name=$1
    shift
    "$anneal" train "$recipe" -n "$name" --runs "$out" --show none device.threads="$threads" "$@" || exit 1
}
theirs() { # NAME ARGS...: complete, or made again
    local file=$out/$1.jsonl
    shift
    [ -s "$file" ] && return
    "$python" "$here/twin.py" "$recipe" --start "$out/start/step-00000001" --threads "$threads" \
        --against "$out/wide/events.jsonl" "$@" >"$file.part" || exit 1
    mv "$file.part" "$file"
}
held() { sed -n 's/.*"held_out": *\([^,]*\), "windows.*/\1/p' "$out/$1.jsonl"; }
row() { # NAME HELD-OUT
    awk -v n="$1" -v h="$2" -v base="$(held twin)" \
        'BEGIN {if (h !~ /^[0-9]/) printf "%-12s not finite\n", n
                else printf "%-12s %.4f  %+.2f %%\n", n, h, 100 * (h / base - 1)}'
}

mkdir -p "$out" || exit 1
[ -d "$out/start/step-00000001" ] || ours start "$@" train.lr=0 train.min_lr=0 --stop-after 1
ours wide "$@" -d emu:m4,wide
theirs twin "$@"
theirs half --half "$@"
theirs double --double "$@"
row twin "$(held twin)"
row wide "$(sed -n 's/.*"kind":"done".*"held_out":\([0-9.]*\).*/\1/p' "$out/wide/events.jsonl" | tail -n 1)"
for name in half double; do row $name "$(held $name)"; done
for name in $("$python" "$here/twin.py" --mistakes | cut -f 1); do
    theirs "$name" --mistake "$name" "$@"
    row "$name" "$(held "$name")"
done
echo
for name in twin half double; do printf '%s: ' $name; tail -n 1 "$out/$name.jsonl"; done
