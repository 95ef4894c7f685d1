# What the driver gets from Core Foundation it gives back, once, on every path:
# clang's analyzer, for macOS, with Apple's functions called by name. It knows
# them by name, so it reads a copy of the driver in which `a->CFRelease(x)` is
# written `CFRelease(x)`, each file together with cf.c, through whose functions
# references come and go. That it would find a fault is shown on copies with one.
. tests/e2e/lib/common.sh
checks=core,unix,security,osx.coreFoundation,osx.cocoa.RetainCount
# Annex K of C11, which it would have us use, is in no system we build for.
not=security.insecureAPI.DeprecatedOrUnsafeBufferHandling
# Calls by name leave the pointer to the table without a use.
not=$not,deadcode.DeadStores
export checks not TMPDIR
mkdir "$TMPDIR/include"
for dir in $(pkg-config --variable=includedir libxxhash) /usr/include; do
    [ ! -f "$dir/xxhash.h" ] || ln -sf "$dir/xxhash.h" "$TMPDIR/include/xxhash.h"
done

# read_copy DIR: the analyzer's reports on the copy in DIR
cat >"$TMPDIR/analyze" <<'END'
file=$1
unit=$(dirname "$file")/unit_$(basename "$file")
echo '#include "cf.c"' >"$unit"
case $file in */cf.c) ;; *) echo "#include \"$(basename "$file")\"" >>"$unit" ;; esac
clang --analyze -target arm64-apple-macos13.0 -isysroot tools/macos/sdk -std=c11 -w \
    -D_GNU_SOURCE -DXXH_STATIC_LINKING_ONLY -include tests/proof/ownership.h -Itests/fake \
    -I"${file%/dev/ane/*}" -Isrc -Iinclude -I"$TMPDIR/include" \
    -Xclang -analyzer-inline-max-stack-depth -Xclang 12 -Xclang -analyzer-opt-analyze-headers \
    -Xclang -analyzer-checker=$checks -Xclang -analyzer-disable-checker=$not -Xclang -analyzer-output=text "$unit" -o /dev/null 2>&1 |
    grep -E '(warning|error):'
END
# copy NAME: the driver with calls by name. A structure of function pointers makes
# the analyzer give up on whatever is passed beside it, as they may do anything;
# in the copy the table has none.
names=$(sed -n 's/^SYM([^,]*,[^,]*,[^,]*, *\([A-Za-z_]*\),.*/\1/p' src/dev/ane/symbols.def | tr '\n' '|')
names=${names%|}
copy() {
    mkdir -p "$TMPDIR/$1/dev"
    cp -r src/dev/ane "$TMPDIR/$1/dev/ane"
    for f in "$TMPDIR/$1"/dev/ane/*.[ch]; do
        sed -E "s/[a-z_]+((->|\.)[a-z_]+)*(->|\.)(($names)\()/\4/g
            s/ret\(\*name\) types;/void *name;/
            s/static inline ret ane_msg_##id params/OWNED_##result ret ane_msg_##id params; static inline ret sent_##id params/" \
            "$f" >"$f.new"
        mv "$f.new" "$f"
    done
}
# reports NAME [FILE...]
reports() {
    local name=$1
    shift
    (cd "$TMPDIR/$name/dev/ane" && ls "${@:-.}" | grep '\.c$') | sed "s|^|$TMPDIR/$name/dev/ane/|" |
        xargs -n 1 -P 2 sh "$TMPDIR/analyze"
}
# fault NAME FILE SED REPORT: a copy with a fault in FILE, which must be reported
fault() {
    local file=$TMPDIR/fault/dev/ane/$2
    rm -rf "$TMPDIR/fault"
    copy fault
    cp "$file" "$TMPDIR/good"
    sed -E "$3" "$TMPDIR/good" >"$file"
    if cmp -s "$TMPDIR/good" "$file"; then
        not_ok "$1: there is nothing to change in $2"
    else
        has "$1 is found" "$(reports fault "$2")" "$4"
    fi
}

copy driver
same "every call is made by name" "$(grep -hE "(->|\.)($names)\(" "$TMPDIR"/driver/dev/ane/*.[ch])" ""
has "and what a message gives is owned" "$(cat "$TMPDIR/driver/dev/ane/apple.h")" "OWNED_##result"
has "and the table holds no functions" "$(cat "$TMPDIR/driver/dev/ane/apple.h")" "void *name;"
same "the analyzer finds nothing" "$(reports driver)" ""

lost="Potential leak of an object"
fault "a text that is not given back" error.c 's/if \(said\) CFRelease\(said\);//' "$lost"
fault "a value made and not dropped" cf.c '/name = NULL|ane_ref v = /,/^}/ s/ane_drop\(a, name\);//' "$lost"
fault "a key of weights not dropped" weights.c 's/ane_drop\(a, key\);//' "$lost"
fault "a name of a model not dropped" route.c 's/ane_drop\(a, url\);//' "$lost"
fault "a message's result not dropped" route.c 's/ane_drop\(a, descriptor\);//' "$lost"
fault "a value dropped twice" route.c 's/ane_drop\(a, url\);/ane_drop(a, url); ane_drop(a, url);/' "after it is released"
fault "a difference of samples not given back" report.c 's/release\(r->a, difference\);|release\(a, difference\);//' "$lost"
