# golden.sh - texts compared with files of the tree: . tests/e2e/lib/golden.sh
# before leaving the root of the tree.
#   golden NAME TEXT     tests/golden/cli/NAME.exact, letter for letter;
#                        GOLDEN=write makes it anew: look at the difference
#   golden_glob NAME TEXT  NAME.glob, line by line; a line may hold * ? [...]
golden_dir=$PWD/tests/golden/cli
golden() {
    local file=$golden_dir/$1.exact
    if [ "${GOLDEN:-}" = write ]; then printf '%s\n' "$2" >"$file"; fi
    if [ "$2" = "$(cat "$file")" ]; then
        ok "golden $1"
    else
        printf '%s\n' "$2" >"$TMPDIR/golden.had"
        not_ok "golden $1" "$(diff -u "$file" "$TMPDIR/golden.had")"
    fi
}
golden_glob() {
    local file=$golden_dir/$1.glob bad= line want n=0
    printf '%s\n' "$2" >"$TMPDIR/golden.had"
    while IFS= read -r want <&3; do
        n=$((n + 1))
        IFS= read -r line <&4 || { bad="line $n is missing, wanted: $want" && break; }
        # shellcheck disable=SC2053
        [[ $line == $want ]] || { bad="line $n, had:    $line
line $n, wanted: $want" && break; }
    done 3<"$file" 4<"$TMPDIR/golden.had"
    if [ -z "$bad" ] && [ "$(wc -l <"$TMPDIR/golden.had")" -gt $n ]; then
        bad="more than $n lines: $(tail -n +$((n + 1)) "$TMPDIR/golden.had" | head -n 3)"
    fi
    if [ -z "$bad" ]; then ok "golden $1"; else not_ok "golden $1" "$bad"; fi
}
