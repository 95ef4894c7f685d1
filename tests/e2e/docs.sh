# Pages, man page and completion are made from the tables, and are as the tables
# say now.
. tests/e2e/lib/common.sh

check "the pages of docs/ are not stale" make B="$B" check-docs
gen=$B/gen
if command -v groff >/dev/null; then
    same "the man page has no faults" "$(groff -man -Tutf8 -ww -z "$gen/man/anneal.1" 2>&1)" ""
    page=$(groff -man -Tascii "$gen/man/anneal.1" | sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g')
    has "it names a flag as it is typed" "$page" "--stop-after"
    has "and a setting" "$page" "train.lr"
else
    skip "the man page has no faults" "groff is not installed"
fi

# completes WORD...: what bash offers for the last word
completes() {
    bash -c '. "$0"; COMP_WORDS=(anneal "$@"); COMP_CWORD=$#; _anneal; printf "%s\n" "${COMPREPLY[@]}"' \
        "$gen/completions/anneal.bash" "$@" | tr '\n' ' '
}
same "a command is completed" "$(completes tra)" "train "
has "flags are offered" "$(completes train --st)" "--stop-after "
same "of that command only" "$(completes eval --st)" " "
has "settings are offered" "$(completes train train.wa)" "train.warmup= "
has "files are offered" "$(completes train README)" "README.md"
if command -v zsh >/dev/null; then
    check "the completion of zsh can be read" zsh -n "$gen/completions/_anneal"
else
    skip "the completion of zsh can be read" "zsh is not installed"
fi
