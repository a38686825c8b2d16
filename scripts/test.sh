#!/usr/bin/env bash
# Everything that `make test` runs, in order of how soon it fails. The closing lines are the runners' own.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
    # The end-to-end tests make network namespaces.
    exec sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME "$0" "$@"
fi

PROPTEST_CASES=1500 cargo nextest run --workspace --no-fail-fast
cargo test --workspace --doc --quiet
tests/vm/run.py --pollux "${CARGO_TARGET_DIR:-target}/debug/pollux"
RUSTFLAGS="--cfg loom" cargo test --release -p pollux-engine --lib --target-dir target/loom fdb::
if cargo +nightly --version >/dev/null 2>&1; then
    scripts/sanitize.sh
else
    echo "no nightly toolchain: the sanitizers are left out (\`make sanitize\` says how to get one)"
fi
