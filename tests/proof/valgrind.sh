# A short training by the driver on the fake framework under valgrind, which has
# no AVX-512, so this is also the other set of kernels; and that valgrind reports
# here what it is asked to find. UNDER is valgrind with its words.
. tests/e2e/lib/common.sh
check "a program with two faults is compiled" cc -g -O0 tests/proof/unwritten.c -o "$TMPDIR/unwritten"
said=$($UNDER "$TMPDIR/unwritten" 2>&1)
same "and fails" $? 9
has "for what was never written" "$said" "uninitialised"
has "for what is lost" "$said" "definitely lost"

small="model.layers=1 model.dim=32 model.heads=2 model.hidden=64 model.seq=32 model.vocab=300
    train.batch=1 train.eval_every=0"
for route in client memory; do
    mkdir "$TMPDIR/$route"
    check "two updates and a text, by route $route" env TMPDIR="$TMPDIR/$route" \
        $UNDER "$ANNEAL" demo --embedded --stop-after 2 --show none --runs "$TMPDIR/runs-$route" \
        -d "ane:$route,lib=$B/libfakeane.so" $small
done
