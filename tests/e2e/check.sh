#!/usr/bin/env bash
# `device check` of a chip, its report, what becomes of it, and `auto`: on the
# fake framework, whose chip can be told to crash, to hang and to lie.
. tests/e2e/lib/common.sh
lib=$B/libfakeane.so
if [ "$(uname)" = Darwin ] || [ ! -f "$lib" ]; then
    skip "device check on the fake framework" "there is no fake framework here"
    exit 0
fi
chip=ane:lib=$lib
state=$TMPDIR/state
report=$state/ane/report.json
self=$state/ane/selfcheck.json
quick="device.check_pause=0 device.check_limit=20 device.state=$state"
system='sysctl=machdep.cpu.brand_string,Apple M4'

# check_chip WORDS [SETTING...]: told WORDS; leaves $said, $talk and $code
check_chip() {
    local words=$1
    shift
    said=$(FAKE_ANE=$words "$ANNEAL" device check "$chip" --json $quick "$@" 2>"$TMPDIR/talk")
    code=$?
    talk=$(cat "$TMPDIR/talk")
}
# rule NAME: the report's object of that rule or check, on one line
rule() {
    printf '%s' "$said" | tr '{' '\n' | grep -E "\"(name|check)\":\"$1\""
}
count() { printf '%s' "$said" | grep -o "$1" | wc -l | tr -d ' '; }

# ---- a chip that behaves ----
check_chip "$system;engine=emu:m4,exact,faithful,compiles=none"
same "every rule is answered once" "$(count '"name":')" "$(grep -c '^RULE(' src/dev/rules.def)"
same "every check is answered once" "$(count '"check":')" "$(grep -c '^CHECK(' src/dev/checks.def)"
has "the chip's contract and arithmetic are right" "$said" '"checks_failed":0'
has "a rule that the chip keeps is seen to hold" "$(rule mac_cliff)" '"holds":true'
has "one that it does not keep is seen not to" "$(rule gelu_refused)" '"holds":false'
has "more runs than the queue holds are put to the chip at once" "$(rule queue_depth)" \
    'on one program: all were taken, none refused; the framework calls its depth 127'
has "on several programs too" "$(rule queue_depth)" '160 runs at once on eight programs: all were taken'
has "a program is run on one surface by many at once" "$(rule one_in_flight)" '32 runs at once on one surface followed each other'
has "the chip refuses what our reader would" "$(rule surface_slots)" 'cannot compile the program: com.apple'
has "with its own words" "$(rule grouped_conv_limit)" 'ANECCompile() FAILED err=(InvalidMILProgram)'
has "a model in memory is asked to take two weight files" "$(rule two_files)" 'two weight files were taken, given as pairs'
has "and to sum products of int8" "$(rule int8_product)" '"verdict":"'
has "the way to the engine is told" "$said" '"route":"client"'
has "every method's types are told" "$said" \
    '"what":"-[_ANEClient loadModel:options:qos:error:]","expected":"B@:@@I^@","had":"B@:@@I^@","ok":true'
has "symbols are told" "$said" '"kind":"symbol","what":"IOSurfaceCreate"'
has "the chip's name is told" "$said" '"chip":"Apple M4"'
has "the compiles are counted" "$said" '"compiles":'
has "the report's path is told" "$said" "\"report\":\"$report\""
check "the report is there" test -s "$report"
has "and has the answers" "$(cat "$report")" '"mac_cliff"'
check "what is written is not left in pieces" test -z "$(ls "$state/ane" | grep tmp)"
has "the self-check is remembered" "$(cat "$self")" '"passed": true'
has "the chip's own probes are asked" "$(rule delta_reload)" '"detail":"a load without a compile gave'
has "so is the cache" "$(rule cache_reload)" 'without a compile in'

# ---- the oldest family: other rules, the older spelling of programs ----
check_chip "sysctl=machdep.cpu.brand_string,Apple M1;engine=emu:m1,exact,faithful,compiles=none"
has "an M1's contract and arithmetic are right in its own spelling" "$said" '"checks_failed":0'
has "its rules are those of its family" "$(rule slice_clamp)" '"holds":true'

# ---- children that do not survive ----
check_chip "$system;crash=gelu(;hang=rsqrt(" device.check_limit=2
has "a crash is the answer, not the end" "$(rule gelu_refused)" 'ended by signal 11'
has "and holds as a rule" "$(rule gelu_refused)" '"holds":true'
has "a hang is ended after its time" "$(rule rsqrt_refused)" 'not answered after 2 s'
has "questions after it are asked" "$(rule tile_poison)" '"verdict":"ok"'
has "the report says what the process did" "$(cat "$report")" 'signal 11'

# ---- a chip that cannot be opened ----
rm -rf "$state"
check_chip "absent"
same "no engine: exit code" $code 3
has "no engine: says so" "$talk" "this machine has no Neural Engine"
has "no engine: the report has the reason" "$(cat "$report")" "it is a virtual machine"
check_chip "pause=load,600000" device.check_limit=1
same "a chip that hangs as it is opened: exit code" $code 3
has "a chip that hangs as it is opened: says so" "$talk" "not answered after 1 s, and was ended"
check_chip "recode=loadModel:options:qos:error:,B@:@@@^@;hide=_ANEInMemoryModel"
same "a changed method and a missing class: exit code" $code 3
has "the changed method is told with its types" "$said" '"had":"B@:@@@^@","ok":false'
has "the missing class is told" "$said" '"kind":"class","what":"_ANEInMemoryModel","expected":"there","had":"","ok":false'
check_chip "" device.check_compiles=9
has "no more compiles are asked for than allowed" "$(rule tile_poison)" "device.check_compiles were asked for"
same "a library that is not there: exit code" \
    "$("$ANNEAL" device check ane:lib=/no/such.so $quick >/dev/null 2>&1; echo $?)" 3

check_chip "$system" device.check_compiles=3 device.state=/proc/none
same "a report that cannot be written: exit code" $code 1
has "a report that cannot be written: says so" "$talk" "/proc/none"
has "and the answers are told all the same" "$said" '"rules":[{'

# ---- the report becomes a profile ----
plan() {
    FAKE_ANE=$1 "$ANNEAL" explain model.conf -d "$chip" device.state="$state" 2>&1
}
info() {
    FAKE_ANE=$1 "$ANNEAL" device info "$chip" device.state="$state" 2>&1
}
printf 'model.layers = 1\nmodel.dim = 64\nmodel.heads = 4\nmodel.seq = 64\ntrain.batch = 2\n' >"$TMPDIR/model.conf"
cd "$TMPDIR" || exit 1
rm -rf "$state"
before=$(plan "$system")
(cd "$OLDPWD" && FAKE_ANE="$system;crash=concat(" "$ANNEAL" device check "$chip" $quick >/dev/null 2>&1)
has "device info says where its rules are from" "$(info "$system")" "rules from the report of 20"
after=$(plan "$system")
case $before in
*concat_refused*) not_ok "by the tables a plan joins values" "$before" ;;
*) ok "by the tables a plan joins values" ;;
esac
has "a plan keeps what was seen on this machine" "$after" "concat_refused x"
has "by the tables surfaces have their minimum" "$before" "surface_minimum x"
case $after in
*surface_minimum*) not_ok "and saves what was seen not to be needed" "$after" ;;
*) ok "and saves what was seen not to be needed" ;;
esac
has "another system's report is put aside" "$(info "$system M5")" "another chip (Apple M4, this is"
has "another build's, too" "$(info "sysctl=kern.osversion,24D70")" "the report of an earlier check is of another"
cp "$report" report.whole
head -c 700 report.whole >"$report"
has "a torn report is put aside" "$(info "$system")" "the report of an earlier check is damaged"
same "and is not fatal" "$(info "$system" >/dev/null; echo $?)" 0
cp report.whole "$report"
sed -i 's/"anneal": "[^"]*"/"anneal": "0.0.0"/' "$report"
has "another version's report is put aside" "$(info "$system")" "another version of anneal (0.0.0"

# ---- auto ----
# auto WORDS: the lines on stderr
auto() {
    FAKE_ANE=$1 "$ANNEAL" device info "auto:lib=$lib" device.state="$state" 2>&1 >/dev/null
}
rm -rf "$state"
said=$(auto "$system")
has "auto tries a chip that is not known" "$said" "trying this machine's engine, once"
has "auto takes a chip that proved itself" "$said" "device  ane:client,lib=$lib: its self-check of 20"
said=$(auto "$system")
case $said in
*trying*) not_ok "and remembers it" "$said" ;;
*) has "and remembers it" "$said" "device  ane:client" ;;
esac
has "a chip that is gone meanwhile is said" "$(auto "absent;$system")" "device  emu:m4,fast: the engine does not open"
said=$(auto "$system M5")
has "another chip is tried anew" "$said" "trying this machine's engine, once"
rm -rf "$state"
said=$(auto "$system;wrong=4")
has "a chip with wrong numbers is not taken" "$said" "device  emu:m4,fast: its self-check of 20"
has "and the reason is said" "$said" "away from the software engine, at most 0.016 is right"
has "and remembered" "$(auto "$system")" "device  emu:m4,fast: its self-check of"
rm -rf "$state"
has "a chip that kills its process is not taken" "$(auto "$system;kill=evaluate,5")" "failed: ended by signal 9"
rm -rf "$state"
said=$(auto "absent;$system")
has "a chip that cannot be opened is said" "$said" "the engine was not tried: this machine has no Neural Engine"
check "and asked again next time" test ! -e "$self"
has "another maker's processor has no such engine" \
    "$(FAKE_ANE='sysctl=machdep.cpu.brand_string,Intel(R) Core' "$ANNEAL" device check "$chip" $quick 2>&1)" \
    "there is no Neural Engine beside a processor 'Intel(R) Core'"
same "and auto does not try" "$(auto 'sysctl=machdep.cpu.brand_string,Intel(R) Core')" ""
printf 'device.uri = auto:lib=%s\n' "$lib" >evil.conf
"$ANNEAL" explain evil.conf >/dev/null 2>evil.err
same "a recipe names no library, not for auto either: exit code" $? 2
has "and is told why" "$(cat evil.err)" "a recipe may not name a device's library"
for i in $(seq 300); do echo "line $i of a text"; done >text.txt
said=$(FAKE_ANE=$system "$ANNEAL" train model.conf data.text=text.txt train.steps=2 train.eval_every=0 \
    device.state="$state" -d "auto:lib=$lib" --show lines 2>&1)
has "a training by auto runs on the chip" "$said" "on ane:client"
case $(cat runs/model/recipe.conf) in
*"$lib"* | *"$state"*) not_ok "its recipe names neither library nor folder" "$(cat runs/model/recipe.conf)" ;;
*) ok "its recipe names neither library nor folder" ;;
esac

# ---- make mac-report ----
cd "$OLDPWD" || exit 1
said=$(env -u MAKEFLAGS -u MFLAGS B="$B" DEVICE= ANE_LIB= tools/mac_report.sh 2>&1)
same "mac-report elsewhere than on a Mac: exit code" $? 3
has "mac-report says what it needs" "$said" "it needs a Mac with Apple silicon"
said=$(FAKE_ANE="$system" B="$B" ANE_LIB="$lib" SETTINGS="$quick" tools/mac_report.sh 2>/dev/null)
same "mac-report on the fake: exit code" $? 0
has "mac-report says where the report is" "$said" "The report is $report"
has "and what to do with it" "$said" "attach it to a new report in the project's issue list"
said=$(FAKE_ANE="absent;$system" B="$B" ANE_LIB="$lib" SETTINGS="$quick" tools/mac_report.sh 2>/dev/null)
has "a chip that does not open is worth a report, too" "$said" "as welcome as any other"
