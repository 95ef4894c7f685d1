#!/bin/sh
# mac_report.sh [need] - `make mac-report`: check the Neural Engine of this Mac and
# say where the report is and what to do with it. With `need` it only says
# whether that can be done here. DEVICE is asked (ane); ANE_LIB=PATH stands in
# for Apple's frameworks, to try all this elsewhere.
cd "$(dirname "$0")/.." || exit 2
B=${B:-build}
DEVICE=${DEVICE:-ane}
[ -z "${ANE_LIB:-}" ] || DEVICE=ane:lib=$ANE_LIB

case $(uname -s)-$(uname -m)-$DEVICE in
Darwin-arm64-* | *-*-*lib=*) ;;
*)
    {
        echo "mac-report: this is $(uname -s) on $(uname -m); it needs a Mac with Apple silicon and macOS 13 or later"
        echo "mac-report: to see what it does, on the fake framework: make fake mac-report ANE_LIB=$B/libfakeane.so"
    } >&2
    exit 3
    ;;
esac
[ "${1:-}" != need ] || exit 0

# macOS's own mktemp wants a template
out=$(mktemp "${TMPDIR:-/tmp}/anneal-report.XXXXXX") || exit 1
trap 'rm -f "$out"' EXIT
echo "Asking the engine some sixty questions, each in a process of its own, with"
echo "pauses, so that the system's compile service is not overrun: a few minutes."
{
    "$B/anneal" device check "$DEVICE" ${SETTINGS:-}
    echo $? >"$out.code"
} | tee "$out"
code=$(cat "$out.code")
rm -f "$out.code"
report=$(sed -n 's/^report  //p' "$out")
if [ -z "$report" ] || [ ! -s "$report" ]; then
    echo "mac-report: no report was written; what stands above says why" >&2
    exit $((code ? code : 1))
fi
echo
echo "The report is $report"
if [ $code = 3 ]; then
    echo "The engine could not be used here. The report says how far it came, and is"
    echo "as welcome as any other."
elif [ $code != 0 ]; then
    echo "Some answers differ from anneal's tables: that is what reports are for."
fi
of() { sed -n "s/^ \"$1\": \"\(.*\)\",*\$/\1/p" "$report" | head -n 1; }
echo "Please attach it to a new report in the project's issue list, with the title"
echo "\"device report: $(of chip), macOS $(of os) ($(of build))\". It holds the names of chip, model and"
echo "system, what the engine answered, and no text, model or program of yours; it"
echo "is plain JSON, so look at it first."
