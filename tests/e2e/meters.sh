#!/usr/bin/env bash
# What is read of a machine and its engine reaches who asks: `device info`, the
# figures of `bench`, the events of a training. The machine is the fake one.
. tests/e2e/lib/common.sh
lib=$B/libfakeane.so
[ -f "$lib" ] || {
    skip "meters on the fake framework" "$lib is not built"
    exit 0
}
mac="sysctl=machdep.cpu.brand_string,Apple M1;sysctl=kern.osversion,24D70"
# on WORDS ARGS...: the command on the fake that is told WORDS
on() {
    export FAKE_ANE=$1
    shift
    "$ANNEAL" "$@" -d "ane:lib=$lib"
}

said=$(FAKE_ANE="meters=m1;$mac" "$ANNEAL" device info "ane:lib=$lib")
has "info names the chip as the system does" "$said" "chip             Apple M1"
has "info names the system's build" "$said" "build            24D70"
has "info names a meter and its unit" "$said" "watts: Energy Model: ANE0 (mJ)"
has "what is not known is not zero" "$said" "watts            unknown"
said=$(FAKE_ANE="meters=m6" "$ANNEAL" device info "ane:lib=$lib" --json)
has "a refused group is no meter" "$said" '"meters":[{"of":"gbs","channel":"PMP/DCS BW'
has "what the system does not answer is left out" "$said" '"machine":{}'
same "info works where there are no meters" \
    "$(FAKE_ANE='' "$ANNEAL" device info "ane:lib=$lib" --json | grep -c '"meters":\[\]')" 1

said=$(on "meters=m1" bench gemm --repeat 8000 --m 64 --n 512 --k 64 --json)
has "bench divides by the watts that were measured" "$said" '"watts_source":"measured"'
said=$(on "meters=m4" bench gemm --repeat 20 --m 64 --n 512 --k 64 --json)
has "a meter that stands still leaves the published power" "$said" '"watts_source":"published"'

printf 'model.layers = 1\nmodel.dim = 64\nmodel.heads = 4\nmodel.seq = 64\ntrain.steps = 2000\n' >"$TMPDIR/one.conf"
for i in $(seq 300); do echo "line $i of a text"; done >"$TMPDIR/text.txt"
on "meters=m1" train "$TMPDIR/one.conf" data.text="$TMPDIR/text.txt" train.batch=2 train.eval_every=0 \
    --runs "$TMPDIR/runs" --show json >"$TMPDIR/events" 2>"$TMPDIR/errors"
same "a training on metered hardware ends well" $? 0
check "its steps say what the engine drew" grep -q '"kind": *"step".*"watts":' "$TMPDIR/events"
check "and moved" grep -q '"kind": *"step".*"gbs":' "$TMPDIR/events"
on "" train "$TMPDIR/one.conf" data.text="$TMPDIR/text.txt" train.batch=2 train.eval_every=0 train.steps=3 \
    -n plain --runs "$TMPDIR/runs" --show json >"$TMPDIR/events" 2>>"$TMPDIR/errors"
refuse "without meters they say nothing" grep -q '"watts"' "$TMPDIR/events"
