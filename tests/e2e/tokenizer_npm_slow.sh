# A tokenizer.json that we write gives the same ids in another reader, the npm
# package @huggingface/tokenizers, on 1 MB of Chinese, emoji and much else.
#
# Bytes that are not UTF-8 cannot be compared directly: a JavaScript text has
# U+FFFD in their place, where we keep the bytes. So for these the ids must
# spell the file byte for byte, and the text with U+FFFD in it is compared.
. tests/e2e/lib/common.sh
name="our tokenizer.json in @huggingface/tokenizers"
why=
command -v npm >/dev/null && command -v node >/dev/null || why="npm is not installed"
[ -n "$why" ] || "$ANNEAL" data --help >/dev/null 2>&1 || why="this build has no 'anneal data'"
if [ -z "$why" ]; then
    mkdir -p "$TMPDIR/npm"
    (cd "$TMPDIR/npm" && npm install --silent --no-audit --no-fund --prefix . \
        --cache "$TMPDIR/cache" --fetch-retries 1 --fetch-timeout 20000 \
        @huggingface/tokenizers@0.2.0) >"$TMPDIR/npm.log" 2>&1 ||
        why="the npm registry cannot be had"
fi
if [ -n "$why" ]; then
    skip "$name" "$why"
    exit 0
fi

lib=$TMPDIR/npm/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs
peer() { node tests/e2e/lib/tokenizer_npm.mjs "$lib" "$@"; }
tokens() { # TEXT TOKENIZER SET
    "$ANNEAL" data "$1" -o "$3" --tokenizer "$2" --held-out 0
}
check "the texts are made" peer write "$TMPDIR"
check "a BPE is trained on 1 MB" tokens "$TMPDIR/valid.txt" bpe:8000 "$TMPDIR/bpe"
check "BPE ids are the same on 1 MB of many scripts" peer check "$TMPDIR/bpe" "$TMPDIR/valid.txt"
check "BPE ids spell the text" peer bytes "$TMPDIR/bpe" "$TMPDIR/valid.txt"
check "byte ids are written" tokens "$TMPDIR/valid.txt" byte "$TMPDIR/byte"
check "byte ids are the same" peer check "$TMPDIR/byte" "$TMPDIR/valid.txt"
check "a BPE is trained on invalid UTF-8" tokens "$TMPDIR/broken.txt" bpe:4000 "$TMPDIR/broken"
check "ids of invalid UTF-8 spell its bytes" peer bytes "$TMPDIR/broken" "$TMPDIR/broken.txt"
check "its tokenizer reads the replaced text" \
    tokens "$TMPDIR/replaced.txt" "$TMPDIR/broken/tokenizer.json" "$TMPDIR/replaced"
check "ids of the replaced text are the same" peer check "$TMPDIR/replaced" "$TMPDIR/replaced.txt"

forms=$(peer vary "$TMPDIR/bpe" "$TMPDIR/forms")
for form in $forms; do
    check "a file in the form of $form is read" \
        tokens "$TMPDIR/valid.txt" "$TMPDIR/forms/$form" "$TMPDIR/$form"
    check "ids by a file in the form of $form are the same" \
        peer check "$TMPDIR/$form" "$TMPDIR/valid.txt"
done
