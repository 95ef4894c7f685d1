#!/bin/sh
# layers.sh - who may include whom. A room may include itself and the rooms to
# the left of it, but not what its job forbids it to know; only src/dev may
# name a driver; only api and cli know the public header.
cd "$(dirname "$0")/.." || exit 2

rooms="base kern ir mil dev plan exec model data gen dist train watch api cli"

# room: headers (beginnings) that it must not know though they are to its left
forbidden="
exec:  base/file.h
model: dev/ plan/ exec/
data:  kern/ ir/ mil/ dev/ plan/ exec/ model/
dist:  ir/ mil/ dev/ plan/ exec/ model/ data/ gen/
watch: dev/ plan/ exec/ model/ data/ gen/ dist/ train/
"

# Every include of ours as "file:line room header".
includes=$(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src |
    sed -E 's/^(src\/([a-z]+)\/[^:]*:[0-9]+):[^"]*"([^"]*)".*/\1 \2 \3/')

printf '%s\n' "$includes" | awk -v rooms="$rooms" -v forbidden="$forbidden" '
    BEGIN {
        n = split(rooms, list, " ")
        for (i = 1; i <= n; i++) place[list[i]] = i
        n = split(forbidden, row, "\n")
        for (i = 1; i <= n; i++) {
            colon = index(row[i], ":")
            if (colon) taboo[substr(row[i], 1, colon - 1)] = substr(row[i], colon + 1)
        }
    }
    NF < 3 { next }
    {
        where = $1; room = $2; header = $3
        used = header; sub(/\/.*/, "", used)
        if (header == "anneal.h") {
            if (room != "api" && room != "cli") complain("only api and cli may include anneal.h")
        } else if (!(room in place)) complain("\047" room "\047 is no room")
        else if (!(used in place)) complain("\"" header "\" is not named by its room")
        else if (place[used] > place[room])
            complain("room \047" room "\047 may not include \047" used "\047")
        n = split(taboo[room], word, " ")
        for (i = 1; i <= n; i++)
            if (index(header, word[i]) == 1)
                complain("room \047" room "\047 must not know " header)
        if (header ~ /^dev\/(ane|emu|null|onnx)\// && room != "dev")
            complain("only src/dev may name a driver")
    }
    function complain(what) { print where ": " what; bad = 1 }
    END { exit bad }'
