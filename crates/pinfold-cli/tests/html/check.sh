#!/usr/bin/env bash
# The pages of `pinfold explain --html` and `matrix --html` in a real browser: at the width of a
# desk and of a phone, by keyboard, as assistive technology sees them, in light and dark. Ends
# with 4, the status of what is skipped, where there is no Chromium with its driver and Selenium for
# Python. With a directory as argument it leaves screenshots there.
set -euo pipefail
cd "$(dirname "$0")/../../../.."

python=python3
# Debian has its packages for its own interpreter.
/usr/bin/python3 -c "import selenium" 2>/dev/null && python=/usr/bin/python3
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null \
    || ! "$python" -c 'import selenium' 2>/dev/null; then
    printf '\nSKIP: no page was looked at, as Chromium, chromedriver or Selenium is missing\n'
    exit 4
fi

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
explain() {
    local code=0
    cargo run -q -p pinfold-cli -- explain "$1" --rules "$2" --html "$pages/$1.html" \
        >/dev/null || code=$?
    # 1 says that the execution breaks something, as all of these do.
    [ "$code" -eq 1 ]
}
explain bug-215616 5.16
explain torn-fork pinfold
explain thp-tail-get 3.1
# Of this one a CPU goes on with a translation that the entry no longer says.
explain local-flush-copy latest,flush-reach=this-cpu
cargo run -q -p pinfold-cli -- matrix rdma-fork torn-fork bug-215616 o-direct-fork \
    fork-races-fast-pin swap-out-races-pin --html "$pages/history.html" >/dev/null || exit 1
"$python" crates/pinfold-cli/tests/html/check.py "$pages" "$@"
