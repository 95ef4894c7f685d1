# arm64.sh - for scripts that compile for arm64 Linux and run under an emulator
# of the user's side of that processor: . tests/e2e/lib/arm64.sh

# arm64_lacks: why that cannot be done here; nothing if it can.
arm64_lacks() {
    local tool
    for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
        command -v $tool >/dev/null || {
            echo "$tool is not installed"
            return
        }
    done
    flock "$B/arm64.lock" tools/macos/arm64_libs.sh "$B/arm64" |
        sed '1s/^/no libraries for arm64: /' | tr '\n' ' '
}

# arm64_make TARGET WORD...: a make of its own that nothing else disturbs; the
# results stay in B, since compiling all of it takes a minute.
arm64_make() {
    flock "$B/arm64.lock" env -u MAKEFLAGS -u MFLAGS make B="$B" WERROR=1 "$@"
}
