#!/usr/bin/env bash
# A chip's driver, on the fake framework: a run that restarts in memory has the
# bits of one that does not, and a run that writes nothing has the driver write
# nothing either, whether the chip is named or `auto` takes it.
. tests/e2e/lib/common.sh
lib=$B/libfakeane.so
if [ "$(uname)" = Darwin ] || [ ! -f "$lib" ]; then
    skip "restarts on a chip's driver" "there is no fake framework here"
    exit 0
fi
. tests/e2e/lib/training.sh
cd "$TMPDIR" || exit 1
mkdir tmp
export TMPDIR=$TMPDIR/tmp # where the driver stages programs
export FAKE_ANE='sysctl=machdep.cpu.brand_string,Apple M4'

cat >tiny.conf <<'R'
model.layers = 1
model.dim = 32
model.heads = 2
model.seq = 32
data.text = text.txt
train.steps = 8
train.batch = 2
train.eval_every = 4
train.restart_pause = 0.01
R
for i in $(seq 3000); do echo "line $i of a text"; done >text.txt
check "a run on the software engine" "$ANNEAL" train tiny.conf -n soft --show none
for route in client memory; do
    said=$("$ANNEAL" train tiny.conf -n $route -d "ane:$route,lib=$lib" --show json train.restart_every=3 2>&1)
    same "$route: a run that restarts" "$(printf '%s\n' "$said" | grep -c '"kind":"restart"')" 2
    same "$route: has the same weights" "$(weights $route)" "$(weights soft)"
done
check "weights that stay on the software engine" \
    "$ANNEAL" train tiny.conf -n stay --show none plan.weights=resident
for route in client memory; do # where all surfaces of a program have one size
    check "$route: weights that stay on the chip, but for restarts" "$ANNEAL" train tiny.conf -n "stay-$route" \
        -d "ane:$route,lib=$lib" --show none plan.weights=resident train.restart_every=3
    same "$route: have the same bits" "$(weights "stay-$route")" "$(weights stay)"
done
at=$("$ANNEAL" train tiny.conf -n paced -d "ane:lib=$lib" --show json train.restart_every=4 train.restart_pause=0 |
    sed -n 's/.*"t":\([0-9]*\).*"kind":"step","step":5,.*/\1/p')
check "two seconds and more are between two restarts of a chip" test "${at:-0}" -ge 2

if ! strace -qq -o /dev/null true 2>/dev/null; then
    skip "a run in memory writes nothing" "strace is not installed, or may not trace"
    exit 0
fi
# touched NAME URI: what was written, while the run in memory went on
touched() {
    strace -f -s 4096 -o trace \
        -e trace=open,openat,creat,mkdir,mkdirat,symlink,symlinkat,link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate,mknod \
        "$ANNEAL" train tiny.conf -n "$1" -d "$2" --show json train.memory_only=true train.restart_every=3 >"$1.jsonl" 2>"$1.txt"
    grep -v ' = -1 ' trace |
        grep -E '^[0-9]+ +(open|openat)\(.*O_(WRONLY|RDWR|CREAT)|^[0-9]+ +(creat|mkdir|symlink|link|rename|unlink|rmdir|truncate|mknod)' |
        grep -oE '"[^"]*"' | tr -d '"' | grep -vE '^(/dev/|/proc/self/)' | sort -u | head -n 5
}
"$ANNEAL" device info "auto:lib=$lib" >/dev/null 2>&1 # the self-check, remembered
for uri in "ane:client,lib=$lib" "ane:memory,lib=$lib" "auto:lib=$lib"; do
    all=$(touched quiet "$uri")
    has "${uri%%lib=*}: a run in memory" "$(cat quiet.jsonl quiet.txt)" '"kind":"done"'
    has "${uri%%lib=*}: is on the chip" "$(cat quiet.jsonl)" '"device":"ane:'
    same "${uri%%lib=*}: writes nothing, nor does the driver" "$all" ""
done
rm -rf cache/anneal
all=$(touched quiet "auto:lib=$lib")
same "a chip that nobody has checked is not checked by a run that writes nothing" "$all" ""
has "which says so" "$(cat quiet.txt)" "no self-check of its engine was made yet"
hide="mount -t proc none /dev/shm"
if unshare -m bash -c "$hide" 2>/dev/null; then
    "$ANNEAL" data text.txt -o data >/dev/null 2>&1
    said=$(unshare -m bash -c "$hide; \"$ANNEAL\" train tiny.conf -n quiet -d 'ane:lib=$lib' --show json \
        train.memory_only=true data.text= data.dir=data" 2>&1)
    has "without a file system in memory a note says what the driver writes" "$said" \
        '"kind":"note","step":0,"text":"the driver stages programs in the temporary folder'
else
    skip "without a file system in memory a note says what the driver writes" "nothing may be mounted here"
fi
