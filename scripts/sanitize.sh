#!/usr/bin/env bash
# The relay's tests under AddressSanitizer and ThreadSanitizer. They need a nightly toolchain, whose
# runtimes the stable one lacks; the relay needs no DPDK, so nothing uninstrumented but std runs.
set -euo pipefail
cd "$(dirname "$0")/.."

target=x86_64-unknown-linux-gnu
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "sanitizers: there is no nightly toolchain; install one with \`rustup toolchain install nightly\`" >&2
    exit 3
fi
for sanitizer in address thread; do
    echo "relay under $sanitizer sanitizer" >&2
    export TSAN_OPTIONS="suppressions=$PWD/switch/engine/tsan.supp"
    # std isn't built with the sanitizer, which Rust calls another ABI; the tests share no such types with it.
    RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer" PROPTEST_CASES="${PROPTEST_CASES:-200}" \
        cargo +nightly nextest run -p pollux-engine --target "$target" --target-dir "target/$sanitizer" \
        -E 'not test(no_seed_makes)' # a count over many fills by one thread: minutes here, and nothing to find
done
