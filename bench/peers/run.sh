#!/usr/bin/env bash
# run.sh [ROUNDS] - anneal against PyTorch on this machine, in turns, so that a
# drift of the machine's speed meets both. Run by hand, on an idle machine.
#
# Distribution BLAS builds fall back to slow kernels on processors they do not
# know (a fifth of the speed), so PyTorch gets the best of several choices, and
# jemalloc where it is installed.
set -u
cd "$(dirname "$0")/../.." || exit 2
rounds=${1:-5}
python=${PYTHON:-python3}
for p in "$python" /usr/bin/python3; do "$p" -c 'import torch' 2>/dev/null && python=$p && found=1 && break; done
[ -n "${found:-}" ] || { echo "run.sh: needs PyTorch: apt-get install python3-torch" >&2; exit 2; }
jemalloc=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null | head -n 1)

torch() { # KERNELS WHAT...
    local kernels=$1
    shift
    env LD_PRELOAD="${jemalloc:-}" ${kernels:+OPENBLAS_CORETYPE=$kernels} "$python" bench/peers/pytorch.py "$@"
}
field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }
median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }

compare() { # NAME ANNEAL-ARGS -- TORCH-ARGS
    local name=$1 ours= theirs= best= least=
    shift
    local mine=()
    while [ "$1" != -- ]; do mine+=("$1"); shift; done
    shift
    for kernels in "" SkylakeX Zen Haswell; do
        t=$(torch "$kernels" "$@" --repeat 3 2>/dev/null | field ms)
        [ -n "$t" ] || continue
        if [ -z "$least" ] || awk "BEGIN{exit !($t < $least)}"; then least=$t best=$kernels; fi
    done
    for _ in $(seq "$rounds"); do
        ours="$ours$(build/anneal bench "${mine[@]}" --json | field ms)
"
        theirs="$theirs$(torch "$best" "$@" | field ms)
"
    done
    a=$(printf %s "$ours" | median) b=$(printf %s "$theirs" | median)
    awk -v n="$name" -v a="$a" -v b="$b" -v k="${best:-as installed}" \
        'BEGIN {printf "%-6s anneal %8.1f ms   PyTorch %8.1f ms (BLAS kernels: %s)   ratio %.2f\n", n, a, b, k, b / a}'
}

make -s all || exit 1
compare layer layer --dim 768 --hidden 2048 --heads 12 --seq 512 -- layer --dim 768 --hidden 2048 --heads 12 --seq 512
compare step step --repeat 5 -- step --layers 12 --dim 768 --hidden 2048 --heads 12 --seq 256 --vocab 32000 --repeat 5
