# npy.sh - .npy files without Python: . tests/e2e/lib/npy.sh
#   npy FILE '<i4' '(1, 4)' <BYTES        header of 128 bytes, then the bytes
#   int32 1 2 3 | npy ids.npy '<i4' '(1, 3)'
npy() {
    {
        printf '\223NUMPY\001\000\166\000'
        printf '%-117s\n' "{'descr': '$2', 'fortran_order': False, 'shape': $3, }"
        cat
    } >"$1"
}
int32() {
    local v
    for v in "$@"; do
        # shellcheck disable=SC2059
        printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $((v & 255)) $((v >> 8 & 255)) \
            $((v >> 16 & 255)) $((v >> 24 & 255)))"
    done
}
