#!/usr/bin/env bash
# Restart in memory and runs that write nothing, through the command: the same
# process goes on with the same bits, nobody outside notices, no disk is written,
# and a run is saved when asked.
. tests/e2e/lib/common.sh
. tests/e2e/lib/training.sh
cd "$TMPDIR" || exit 1
unset XDG_RUNTIME_DIR

small_recipe 20 'data.text = stories.txt' >tiny.conf
stories 200000

# Events without clocks and restarts.
events() {
    grep -v '"kind":"restart"' "$1" |
        sed -E 's/"(t|ms|tok_s)":[0-9.e+-]+,?//g; s/"settings":.*//; s#runs/[a-z]+##g'
}
# The most compiles that a step alone takes.
loads=$("$ANNEAL" explain tiny.conf -d emu:m4 --json | sed -n 's/.*"loads":\([0-9]*\).*/\1/p')

# ---- the same bits ----
check "a run in one process" "$ANNEAL" train tiny.conf -n straight --show none
said=$("$ANNEAL" train tiny.conf -n often --show lines train.restart_every=3 2>&1)
has "a run that restarts says so" "$said" "restart step 3  in memory"
same "every 3 updates of 20" "$(grep -c '"kind":"restart"' runs/often/events.jsonl)" 6
same "and has the same weights" "$(weights often)" "$(weights straight)"
same "the same events" "$(events runs/often/events.jsonl)" "$(events runs/straight/events.jsonl)"
lines=$("$ANNEAL" train tiny.conf -n piped --show json train.restart_every=3 2>/dev/null | cat)
same "a pipe sees them all, once" "$(printf '%s\n' "$lines" | grep -c '"kind":"step"')" 20
same "and one start" "$(printf '%s\n' "$lines" | grep -c '"kind":"start"')" 1
check "a process that may compile no more than a step" \
    "$ANNEAL" train tiny.conf -n budget --show none -d "emu:m4,compiles=$loads"
same "evaluates in another image" "$(weights budget)" "$(weights straight)"
has "which is a restart" "$(cat runs/budget/events.jsonl)" '"memory":true'
check "weights that stay on the engine" \
    "$ANNEAL" train tiny.conf -n stays --show none plan.weights=resident
check "and leave it for a restart" \
    "$ANNEAL" train tiny.conf -n leaves --show none plan.weights=resident train.restart_every=3
same "are the same" "$(weights leaves)" "$(weights stays)"

# ---- what was told stays told ----
cp tiny.conf changing.conf
(
    wait_for runs/changing/events.jsonl '"kind":"restart"'
    echo 'model.dim = nonsense' >changing.conf
) &
check "a recipe that changes meanwhile is not asked again" \
    "$ANNEAL" train changing.conf -n changing --show none train.restart_every=2 train.restart_pause=0.05
wait
same "the run is as it was told" "$(weights changing)" "$(weights straight)"
check "--stop-after counts over restarts" \
    "$ANNEAL" train tiny.conf -n limited --show none train.restart_every=3 --stop-after 7
same "7 updates" "$(ls -d runs/limited/step-*)" "runs/limited/step-00000007"
check "--force starts over once" \
    "$ANNEAL" train tiny.conf -n limited --force --show none train.restart_every=3
same "not at every restart" "$(weights limited)" "$(weights straight)"

# ---- signals, the process, its lock ----
"$ANNEAL" train tiny.conf -n stopped --show none train.restart_every=2 train.restart_pause=0.3 \
    train.steps=100000 2>stopped.txt &
pid=$!
wait_for runs/stopped/events.jsonl '"restarts":2'
same "another image is the same process" "$(cat /proc/$pid/comm 2>/dev/null || echo anneal)" anneal
refuse "the run stays locked between images" "$ANNEAL" train stopped --stop-after 1 --show none
kill -INT $pid
wait $pid
same "an interrupt stops it" $? 130
has "with its state saved" "$(cat stopped.txt)" "saved"
check "and it goes on" "$ANNEAL" train stopped --stop-after 2 --show none
"$ANNEAL" train tiny.conf -n broken --show json train.restart_every=1 train.steps=100000 2>/dev/null | head -n 5 >/dev/null
same "a closed pipe ends it" "${PIPESTATUS[0]}" 141
"$ANNEAL" train tiny.conf -n killed --show none train.restart_every=1 train.restart_pause=0.3 &
pid=$!
wait_for runs/killed/events.jsonl '"step":12,"loss"'
kill -9 $pid
wait $pid 2>/dev/null
check "killed among restarts it goes on" "$ANNEAL" train killed --show none train.restart_pause=0
same "with the same bits" "$(weights killed)" "$(weights straight)"

# ---- what cannot be ----
said=$("$ANNEAL" train tiny.conf -n one -d emu:m4,compiles=1 2>&1)
same "a budget of 1 is refused: exit code" $? 3
has "before the run begins" "$said" "a process compiles 1"
has "with what is enough" "$said" "compiles=$loads or more"
refuse "and leaves nothing" test -e runs/one
said=$("$ANNEAL" train tiny.conf -n none -d emu:m4,compiles=0 2>&1)
same "a budget of 0 is refused: exit code" $? 3
has "and not taken for no limit" "$said" "compiles=none"
refuse "before the run begins" test -e runs/none
said=$( (ulimit -f 64; "$ANNEAL" train tiny.conf -n small train.restart_every=3) 2>&1)
same "too little shared memory: exit code" $? 1
has "is told" "$said" "no shared memory of"
refuse "before the run begins" test -e runs/small
check "restarting after more updates than there are" \
    "$ANNEAL" train tiny.conf -n seldom --show none train.restart_every=1000000
same "is not restarting" "$(grep -c '"kind":"restart"' runs/seldom/events.jsonl)" 0
refuse "a negative number is refused" "$ANNEAL" train tiny.conf -n minus train.restart_every=-1
said=$(ANNEAL_AGAIN=0,-1,0,0 "$ANNEAL" train tiny.conf -n forged </dev/null 2>&1)
same "nothing is taken from elsewhere: exit code" $? 1
has "and it is said" "$said" "taking over the run"

# ---- nothing on a disk ----
"$ANNEAL" train tiny.conf -n tokens --show none --stop-after 1 >/dev/null 2>&1 # makes the tokens
before=$(find . | sort)
check "a run in memory" "$ANNEAL" train tiny.conf -n quiet --show none \
    train.memory_only=true train.restart_every=3
same "leaves no file" "$(find . | sort)" "$before"

head -c 150000 stories.txt >new.txt
before=$(find . | sort)
said=$("$ANNEAL" train tiny.conf -n quiet --show json data.text=new.txt train.memory_only=true \
    train.restart_every=6 2>&1)
if [ "$(uname -s)" = Linux ] && [ "${said#*memory file system}" = "$said" ]; then
    has "a new text becomes tokens in memory" "$said" '"kind":"done"'
    has "which go over restarts" "$said" '"restarts":3'
else
    has "a new text wants a memory file system" "$said" "anneal data"
fi
same "and nothing is left" "$(find . | sort)" "$before"

# Where nothing may be written. For root, which may always, that is a user
# without rights, and a file system that is mounted to be read.
mkdir shut
cp tiny.conf stories.txt shut
data=$(ls -d "$PWD"/runs/.data/*/ | head -n 1)
cp -r "$data" shut/data
in_shut() {
    "$ANNEAL" train tiny.conf -n shut --show json data.dir=data data.text= device.threads=1 \
        train.memory_only=true train.restart_every=3 2>&1
}
export ANNEAL
export -f in_shut
chmod 755 . && chmod -R a+rX,a-w shut
if [ "$(id -u)" != 0 ]; then
    said=$(cd shut && in_shut)
    has "a run in a folder that may not be written" "$said" '"kind":"done"'
elif (cd shut && setpriv --reuid=65534 --regid=65534 --clear-groups "$ANNEAL" version) >/dev/null 2>&1; then
    said=$(cd shut && setpriv --reuid=65534 --regid=65534 --clear-groups bash -c in_shut)
    has "a run in a folder that may not be written" "$said" '"kind":"done"'
    has "with restarts" "$said" '"restarts":6'
else
    skip "a run in a folder that may not be written" "nobody else may run $ANNEAL"
fi
read_only="mount --bind shut shut && mount -o remount,bind,ro shut && cd shut"
if unshare -m bash -c "$read_only && ! touch x" >/dev/null 2>&1; then
    said=$(unshare -m bash -c "$read_only && in_shut")
    has "a run on a read-only file system" "$said" '"kind":"done"'
    has "with restarts" "$said" '"restarts":6'
else
    skip "a run on a read-only file system" "nothing may be mounted here"
fi
chmod -R u+w shut

# What the system is asked for. A line is one call, descriptors with their paths.
trace() { # FILE COMMAND...
    local file=$1
    shift
    strace -f -y -qq -s 0 -o "$file" \
        -e trace=open,openat,creat,write,writev,pwrite64,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,symlink,symlinkat,truncate,ftruncate,fallocate,rmdir,execve,memfd_create \
        "$@" >/dev/null 2>&1
}
# Calls that change something on a disk: not reading, not pipes, terminals,
# devices, sockets and nameless memory.
changes() {
    grep -v ' = -1 ' "$1" |
        grep -E '(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC)|^[0-9 ]*(creat|write|writev|pwrite64|rename|renameat2?|unlink|unlinkat|mkdir|mkdirat|rmdir|link|linkat|symlink|symlinkat|truncate|ftruncate|fallocate)\(' |
        grep -vE '"/dev/|</dev/|<pipe:|<socket:|<anon_inode:|memfd:|"/proc/'
}
if strace -qq -o /dev/null true 2>/dev/null; then
    trace quiet.trace "$ANNEAL" train tiny.conf -n quiet --show none \
        train.memory_only=true train.restart_every=3
    same "7 images are executed" "$(grep -c 'execve(.*) = 0' quiet.trace)" 7
    same "a run in memory changes nothing on a disk" "$(changes quiet.trace)" ""
    trace one.trace "$ANNEAL" train tiny.conf -n traced --show none
    cp -r runs/traced runs/first && rm -rf runs/traced
    trace many.trace "$ANNEAL" train tiny.conf -n traced --show none train.restart_every=3
    count() { # what is written and changed, opening apart
        changes "$1" | grep -vE 'open(at)?\(' | sed -E 's/^[0-9]+ +//; s/[0-9]+<//; s/ += .*//; s/, [0-9]+\)/)/' | sort
    }
    same "a run that restarts writes as often, and the same files" "$(count many.trace)" "$(count one.trace)"
    strace -f -qq -o /dev/null -e trace=execve -e inject=execve:signal=KILL:when=3 \
        "$ANNEAL" train tiny.conf -n between --show none train.restart_every=6 >/dev/null 2>&1
    same "killed while it starts again it has its checkpoint" "$(ls -d runs/between/step-*)" runs/between/step-00000010
    check "and goes on" "$ANNEAL" train between --show none
    same "to the same bits" "$(weights between)" "$(weights straight)"
    said=$(strace -f -qq -o /dev/null -e trace=memfd_create -e inject=memfd_create:error=EMFILE \
        "$ANNEAL" train tiny.conf -n refused --show none train.restart_every=6 2>&1)
    has "shared memory that is refused is told" "$said" "no shared memory of"
    refuse "before the run begins" test -e runs/refused
    said=$(strace -f -qq -o /dev/null -e trace=execve -e inject=execve:error=E2BIG:when=2 \
        "$ANNEAL" train tiny.conf -n unstarted --show none train.restart_every=6 2>&1)
    has "a next image that cannot be started is told" "$said" "restarting in memory at step"
    has "and the run is saved" "$said" "is saved; the same command goes on"
    check "to go on from there" "$ANNEAL" train unstarted --show none train.restart_every=0
    same "with the same bits" "$(weights unstarted)" "$(weights straight)"
else
    skip "what a run asks of the system" "strace is not installed, or may not trace"
fi

# ---- saved when asked ----
living() { # NAME KEY=VALUE...: in the background, its process in pid
    local name=$1
    shift
    "$ANNEAL" train tiny.conf -n "$name" --show json train.memory_only=true train.steps=100000 \
        "$@" >"$name.jsonl" 2>"$name.txt" &
    pid=$!
    wait_for "$name.jsonl" '"step":4,"loss"'
}
living asked train.restart_every=5
if grep -q 'kill -USR1' asked.txt; then
    skip "a living run is found by its name" "no memory file system here"
else
    said=$("$ANNEAL" checkpoint save asked)
    same "a living run is found by its name" $? 0
    check "and is saved" test -f "$said/model.safetensors"
    check "as a run" "$ANNEAL" checkpoint show asked
    has "with the events until then" "$(head -n 1 runs/asked/events.jsonl)" '"kind":"start"'
    json=$("$ANNEAL" checkpoint save --pid $pid --json)
    has "or by its process" "$json" "\"pid\":$pid"
    refuse "another process is no run" "$ANNEAL" checkpoint save --pid $$
fi
kill -USR1 $pid
wait_for asked.jsonl '"kind":"checkpoint"'
n=$(grep -c '"kind":"checkpoint"' asked.jsonl)
check "a signal saves it" test "$n" -ge 1
n=$(wc -l <asked.jsonl) # some steps later, which are not saved
for _ in $(seq 200); do [ "$(wc -l <asked.jsonl)" -gt $((n + 3)) ] && break; sleep 0.05; done
kill -INT $pid
wait $pid
same "an interrupt stops it" $? 130
has "and says that nothing more is kept" "$(cat asked.txt)" "not saved"
refuse "a run that is over is not found" "$ANNEAL" checkpoint save asked
# What killed runs leave in the memory file system goes with the next run;
# what living ones have there stays.
if mkdir -p /dev/shm/anneal-swept.$$ 2>/dev/null; then
    export XDG_RUNTIME_DIR=/dev/shm/anneal-swept.$$
    place=$XDG_RUNTIME_DIR/anneal
    living dead
    kill -9 $pid
    wait $pid 2>/dev/null
    same "a run that was killed leaves its socket" "$(find "$place" -type s | wc -l)" 1
    mkdir "$place/data-$pid" "$place/data-$pid.tmp"
    head -c 100000 stories.txt >"$place/data-$pid.tmp/train.bin" # killed while it made tokens
    living there
    mkdir "$place/data-$pid"
    check "the next run" "$ANNEAL" train tiny.conf -n next --show none train.memory_only=true
    same "clears it away, with its tokens, and leaves what lives" \
        "$(find "$place" -mindepth 1 -printf '%f\n' | sed 's/^[0-9a-f]\{16\}-/socket-/' | sort | xargs)" \
        "data-$pid socket-$pid"
    check "nor was that one asked to save" test ! -e runs/there
    kill -INT $pid
    wait $pid
    rm -rf "$XDG_RUNTIME_DIR"
    unset XDG_RUNTIME_DIR
else
    skip "what killed runs leave is cleared away" "no memory file system here"
fi
living unasked
kill -INT $pid
wait $pid
refuse "who never asked has nothing" test -e runs/unasked
check "unless the end is to be kept" "$ANNEAL" train tiny.conf -n end --show none \
    train.memory_only=true train.save_end=true train.restart_every=6
same "with the same bits" "$(weights end)" "$(weights straight)"
