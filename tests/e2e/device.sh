#!/usr/bin/env bash
# Which devices there are, what is known of one, and whether it keeps its rules.
. tests/e2e/lib/common.sh

said=$("$ANNEAL" device ls)
has "ls names the drivers" "$said" "emu"
has "ls names the chips" "$said" "m5pro"
said=$("$ANNEAL" device info emu:m1 --json)
has "info gives a known number" "$said" '"dispatch_us":190'
has "info says whose arithmetic was measured" "$said" '"exact":"measured"'
has "and whose was not" "$("$ANNEAL" device info emu:m1max,exact --json)" '"exact":"assumed"'
said=$("$ANNEAL" device info null:m3ultra --json)
case $said in
*'"dispatch_us"'*) not_ok "info leaves out what nobody has measured" "$said" ;;
*) ok "info leaves out what nobody has measured" ;;
esac

said=$("$ANNEAL" device check emu:m4 --json)
same "check ends well" $? 0
has "check fails nothing" "$said" '"failed":0'
has "check says that a rule holds" "$said" '"name":"mac_cliff"'
same "check answers every rule once" "$(printf '%s' "$said" | grep -o '"name"' | wc -l | tr -d ' ')" \
    "$(grep -c '^RULE(' src/dev/rules.def)"
said=$("$ANNEAL" device check emu:m1,faithful)
same "check of a faithful engine ends well" $? 0
has "check tells what a faithful engine does" "$said" "status=0x1d"
has "check ends with a count" "$said" " passed, 0 failed, "
# Disputed rules are warned of wherever their programs are planned or loaded.
rope=(model.layers=1 model.dim=64 model.heads=4 model.seq=64 train.batch=2 train.eval_every=0)
printf 'train.steps = 1\n' >"$TMPDIR/one.conf"
for i in $(seq 300); do echo "line $i of a text"; done >"$TMPDIR/text.txt"
has "a plan names a disputed rule that it breaks" \
    "$("$ANNEAL" explain "$TMPDIR/one.conf" "${rope[@]}" -d emu:m1)" "note: rule concat_refused is disputed"
said=$("$ANNEAL" train "$TMPDIR/one.conf" "${rope[@]}" data.text="$TMPDIR/text.txt" -d emu:m1 \
    --runs "$TMPDIR/runs" --show lines 2>&1)
same "a training warns of it once" "$(printf '%s\n' "$said" | grep -c "rule 'concat_refused' (disputed)")" 1
"$ANNEAL" explain "$TMPDIR/one.conf" "${rope[@]}" -d emu:m1 --save "$TMPDIR/step" >/dev/null
mil=$(grep -l 'concat(' "$TMPDIR"/step/*.mil | head -n 1)
said=$("$ANNEAL" run "$mil" --weights "${mil%.mil}.weights" -d emu:m1 2>&1)
has "a program that is run is warned of" "$said" "anneal: note: rule 'concat_refused' (disputed)"

"$ANNEAL" device check emu:m44 > /dev/null 2>&1
same "a chip that does not exist" $? 3
"$ANNEAL" device chek > /dev/null 2>&1
same "a word that does not exist" $? 2
