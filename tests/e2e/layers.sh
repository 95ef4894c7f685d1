# The layer check finds each kind of breach, and the tree has none.
. tests/e2e/lib/common.sh

tree=$TMPDIR/tree
mkdir -p "$tree/tools"
cp tools/layers.sh "$tree/tools/"

# breach ROOM HEADER: what the check says of one such include
breach() {
    rm -rf "$tree/src"
    mkdir -p "$tree/src/$1"
    printf '/* x */\n  # include "%s"\n' "$2" >"$tree/src/$1/a.c"
    "$tree/tools/layers.sh"
}

check "the tree keeps its layers" tools/layers.sh
check "a room may include one to its left" breach plan ir/ir.h
check "a room may include itself" breach plan plan/plan.h
check "a driver may include its own parts" breach dev dev/emu/emu.h
check "api may include the public header" breach api anneal.h
refuse "a room may not include one to its right" breach ir dev/device.h
refuse "a driver may not be named outside dev" breach plan dev/emu/emu.h
refuse "model must not know devices" breach model dev/device.h
refuse "exec must not know files" breach exec base/file.h
refuse "watch must not know the trainer" breach watch train/train.h
refuse "the public header is for api and cli" breach train anneal.h
refuse "an include must name its room" breach plan plan.h
refuse "a folder that is no room is found" breach other base/err.h
has "the place is named" "$(breach ir dev/device.h)" "src/ir/a.c:2: room 'ir' may not include 'dev'"
