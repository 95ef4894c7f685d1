#!/bin/sh
# layers.sh - a room may include itself and the rooms to the left of it, and
# only src/dev may name a driver.
cd "$(dirname "$0")/.." || exit 2
rooms="base kern ir mil dev plan exec model data gen dist train watch api cli"
bad=0 left=
for room in $rooms; do
    left="$left $room"
    [ -d "src/$room" ] || continue
    found=$(grep -rnoE '^#include "[a-z]+/' "src/$room" |
        sed -E 's/^([^:]*:[0-9]+):#include "([a-z]+)\/$/\1 \2/')
    [ -n "$found" ] || continue
    while read -r where used; do
        case "$left " in
        *" $used "*) ;;
        *) echo "$where: room '$room' may not include '$used'"; bad=1 ;;
        esac
    done <<EOF
$found
EOF
done
if grep -rnE '#include "dev/(ane|emu|null)/' src | grep -v '^src/dev/'; then
    echo "only src/dev may name a driver"; bad=1
fi
exit $bad
