#!/usr/bin/env bash
# staging=ram: every file that is opened for writing, made, linked, renamed or
# removed while programs run on the fake engine lies in memory. Without it
# the same watch sees the temporary folder, so that it would see a slip.
. tests/e2e/lib/common.sh
export TMPDIR

fake=$B/libfakeane.so
if [ ! -f "$fake" ] || ! strace -o /dev/null true 2>/dev/null; then
    skip "nothing on a disk" "the fake framework or strace is not there"
    exit
fi
# touched URI: the folders of what was written, while the program ran there
touched() {
    strace -f -y -s 4096 -o "$TMPDIR/trace" \
        -e trace=open,openat,creat,mkdir,mkdirat,symlink,symlinkat,link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate,mknod \
        "$ANNEAL" bench step --dim 32 --hidden 64 --heads 2 --layers 1 --seq 32 --vocab 64 \
        --repeat 1 -d "$1" >"$TMPDIR/said" 2>&1 || {
        echo failed
        cat "$TMPDIR/said"
    }
    grep -v ' = -1 ' "$TMPDIR/trace" |
        grep -E '^[0-9]+ +(open|openat)\(.*O_(WRONLY|RDWR|CREAT)|^[0-9]+ +(creat|mkdir|symlink|link|rename|unlink|rmdir|truncate|mknod)' |
        grep -oE '"[^"]*"' | tr -d '"' | sort -u
}
for route in memory client; do
    all=$(touched "ane:$route,lib=$fake,compiles=none")
    has "$route: the watch sees the temporary folder" "$all" "$TMPDIR/"
    all=$(touched "ane:$route,staging=ram,lib=$fake,compiles=none")
    has "$route: programs are staged in memory" "$all" "/dev/shm/"
    same "$route: nothing else is written" "$(printf '%s\n' "$all" | grep -v '^/dev/')" ""
done
