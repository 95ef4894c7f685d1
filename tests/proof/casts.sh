# That clang's checker of function types sees every row of the driver's tables:
# each row is made wrong in turn, and the driver built so must be stopped at
# its first call, with the row's function named. B is a build with
# SAN=function,undefined by the compiler in CC.
. tests/e2e/lib/common.sh
flags="-std=c11 -O0 -g0 -D_GNU_SOURCE -pthread -fPIC -fsanitize=function -fno-sanitize-recover=all -w"
# A wrong row makes C that compilers rightly refuse; here it has to compile.
flags="$flags -Wno-incompatible-function-pointer-types -Wno-incompatible-pointer-types -Wno-int-conversion"
libs=$(pkg-config --libs jansson libxxhash libpcre2-8 2>/dev/null || echo -ljansson -lxxhash -lpcre2-8)
life="$TMPDIR/life.o"
export CC flags libs life TMPDIR B

check "the program is compiled" $CC $flags -Isrc -Itests/fake -c tests/proof/life.c -o "$life"

# try NAME: build the driver with the tables in NAME/src and run it
cat >"$TMPDIR/try" <<'END'
dir=$TMPDIR/$1
mkdir -p "$dir/o"
for c in src/dev/ane/*.c; do
    $CC $flags -I"$dir/src" -Isrc -Iinclude -c "$c" -o "$dir/o/$(basename "$c").o" || exit 3
done
$CC $flags "$life" "$dir"/o/*.o "$B/libanneal.a" $libs -lm -ldl -o "$dir/life" || exit 3
mkdir "$dir/tmp" "$dir/home" "$dir/home/daemon" "$dir/home/staging"
TMPDIR="$dir/tmp" "$dir/life" "$B/libfakeane.so" "$dir/home" >"$dir/said" 2>&1
echo $? >"$dir/code"
rm -rf "$dir/o" "$dir/life" "$dir/tmp" "$dir/home"
END

# wrong NAME FILE AWK: a copy of the tables with FILE changed
wrong() {
    mkdir -p "$TMPDIR/$1/src/dev/ane"
    awk "$3" "src/dev/ane/$2" >"$TMPDIR/$1/src/dev/ane/$2"
    ! cmp -s "src/dev/ane/$2" "$TMPDIR/$1/src/dev/ane/$2" || echo "not ok - $1 changes nothing"
}

mkdir -p "$TMPDIR/as-it-is/src"
# A message: its second argument, the selector, becomes a text.
messages=$(sed -n 's/^SEL(\([a-z_]*\),.*/\1/p' src/dev/ane/selectors.def)
for id in $messages; do
    wrong "message-$id" selectors.def \
        "/^SEL\\($id,/ { on = 1 } on && sub(/\\(ane_id, ane_sel/, \"(ane_id, char *\") { on = 0 } { print }"
done
# A function: it returns something else. What the fake does not have (the
# system's and IOReport's) is stood in for by a unit test.
functions=$(sed -n 's/^SYM(\(OBJC\|CF\|NS\|SURFACE\), [A-Z]*, *[^,]*, *\([A-Za-z_]*\),.*/\2/p' src/dev/ane/symbols.def)
for name in $functions; do
    wrong "function-$name" symbols.def "
        /^SYM\\(/ && \$0 ~ /[ ,]$name, / {
            split(\$0, part, /, */)
            other = part[3] ~ /\\*|ane_(class|sel|method|imp|ref|string|data|number|array|dict|url|id|iosurface)\$/ ? \"char **\" : \"short\"
            if (part[3] == \"void\") other = \"int\"
            sub(/, *[^,]*, *$name, /, \", \" other \", $name, \")
        } { print }"
done
# Slips of the pen that were made in public programs.
wrong qos-is-long selectors.def '/^SEL\(memory_load,/ { on = 1 } on && sub(/ane_sel, unsigned,/, "ane_sel, unsigned long,") { on = 0 } { print }'
wrong surface-is-object selectors.def '/ane_sel, ane_iosurface/ { sub(/ane_sel, ane_iosurface/, "ane_sel, ane_id") } { print }'
wrong length-is-int symbols.def '/ CFDataCreate,/ { sub(/\*, long\)/, "*, int)") } { print }'
wrong options-are-wide symbols.def '/ IOSurfaceLock,/ { sub(/uint32_t,/, "uint64_t,") } { print }'

(cd "$TMPDIR" && ls -d as-it-is message-* function-* qos-* surface-* length-* options-*) |
    xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" sh "$TMPDIR/try" >"$TMPDIR/builds" 2>&1
same "every copy can be built" "$(cat "$TMPDIR/builds")" ""
same "with the tables as they are nothing is wrong" "$(cat "$TMPDIR/as-it-is/said")" ok
for dir in "$TMPDIR"/*-*/; do
    name=$(basename "$dir")
    [ "$name" = as-it-is ] || has "$name: the wrong type is found" "$(cat "$dir/said")" \
        "through pointer to incorrect function type"
done
