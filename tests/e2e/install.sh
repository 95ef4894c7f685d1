# What `make install` puts in place can be found, linked and run.
. tests/e2e/lib/common.sh

root=$TMPDIR/root
prefix=/opt/anneal
at=$root$prefix
log=$TMPDIR/log
if make B="$B" PREFIX=$prefix DESTDIR="$root" install >"$log" 2>&1; then
    ok "make install succeeds"
else
    not_ok "make install succeeds" "$(tail -n 20 "$log")"
fi
version=$(sed -n 's/^.define ANNEAL_VERSION "\([^"]*\)".*/\1/p' include/anneal.h)
major=${version%%.*}
for f in bin/anneal include/anneal.h lib/libanneal.a lib/pkgconfig/anneal.pc; do
    check "$f is installed" test -s "$at/$f"
done
has "the command runs where it was put" "$("$at/bin/anneal" --version 2>&1)" "$version"
export PKG_CONFIG_PATH=$at/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
same "pkg-config knows the version" "$(pkg-config --modversion anneal)" "$version"

cat >"$TMPDIR/user.c" <<'END'
#include <stdio.h>
#include <anneal.h>
int main(void)
{
    anneal *a;
    if (anneal_new(&a) || anneal_set(a, "no.such", "1") != ANNEAL_E_SETTING) return 1;
    anneal_free(a);
    puts(anneal_version());
    return 0;
}
END
cc=${CC:-cc}
if $cc -std=c11 "$TMPDIR/user.c" -o "$TMPDIR/user" -I"$at/include" -L"$at/lib" -lanneal >"$log" 2>&1; then
    same "a program with the shared library runs" \
        "$(LD_LIBRARY_PATH=$at/lib DYLD_LIBRARY_PATH=$at/lib "$TMPDIR/user")" "$version"
else
    not_ok "a program with the shared library runs" "$(cat "$log")"
fi
# the sysroot prefix applies to our own paths only, so the .pc is asked for
# its private libraries without it
libs=$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --static --libs-only-l --libs-only-other anneal | sed 's/-lanneal//')
if $cc -std=c11 "$TMPDIR/user.c" -o "$TMPDIR/user_static" -I"$at/include" "$at/lib/libanneal.a" $libs \
    >"$log" 2>&1; then
    same "a program with the static library runs" "$("$TMPDIR/user_static")" "$version"
else
    not_ok "a program with the static library runs" "$(cat "$log")"
fi

# The examples, with what pkg-config says: train from C, then write from C.
export LD_LIBRARY_PATH=$at/lib DYLD_LIBRARY_PATH=$at/lib
# the sysroot is put in front of -I and -L by pkg-config; of -I also where it
# leaves a standard place out
flags="-I$at/include $(pkg-config --cflags --libs anneal)"
for example in train generate; do
    if $cc -std=c11 -Wall -Wextra -Werror examples/$example.c $flags -o "$TMPDIR/$example" >"$log" 2>&1; then
        ok "examples/$example.c compiles against what is installed"
    else
        not_ok "examples/$example.c compiles against what is installed" "$(cat "$log")"
    fi
done
for i in $(seq 400); do echo "the cat number $i sat on the mat"; done >"$TMPDIR/text.txt"
has "the example trains" "$(cd "$TMPDIR" && ./train text.txt run 2>&1)" "nats per byte on held-out text"
has "the example writes" "$(cd "$TMPDIR" && ./generate run "the cat" 2>&1)" "the cat"
has "the example passes an error on" "$(cd "$TMPDIR" && ./train gone.txt run2 2>&1)" \
    "train: cannot read gone.txt: no such file or directory"

so=$at/lib/libanneal.so.$major
if [ -f "$so" ]; then
    same "only anneal_* is visible" "$(nm -D --defined-only "$so" | awk '{ print $3 }' | grep -v '^anneal_')" ""
    has "the shared library has a soname" "$(readelf -d "$so")" "[libanneal.so.$major]"
else
    skip "only anneal_* is visible" "no ELF shared library here"
    skip "the shared library has a soname" "no ELF shared library here"
fi
