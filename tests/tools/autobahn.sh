#!/usr/bin/env bash
# autobahn.sh [CASES]: the Autobahn testsuite against an echo server made of the
# library's WebSocket code. CASES is a list as the suite takes it, divided by commas;
# without it all are run, which takes about a quarter of an hour.
#
# The suite (autobahntestsuite 25.10.1 from PyPI) needs CPython 2.7: PYTHON27, or
# python2.7 on the path or in pyenv. Where it cannot be installed, nothing is run.
# The report is in artifacts/autobahn.

SCRIPT="autobahn"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

SUITE=25.10.1
ENV=$TOOLS/autobahn-$SUITE

skip() {
    say "skipped: $*"
    exit 0
}

find_python27() {
    local python
    for python in "${PYTHON27:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python; do
        if [ -n "$python" ] && "$python" -c 'import sys; assert sys.version_info[:2] == (2, 7)' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}

install_suite() {
    local python
    python=$(find_python27) ||
        skip "no CPython 2.7 (set PYTHON27, or: pyenv install 2.7.18)"
    say "installing autobahntestsuite $SUITE into .tools"
    rm -rf "$ENV" "$ENV.tool"
    {
        "$python" -m pip install --disable-pip-version-check --target "$ENV.tool" \
            virtualenv==20.15.1 &&
            PYTHONPATH=$ENV.tool "$python" -m virtualenv --no-download "$ENV" &&
            "$ENV/bin/pip" install --disable-pip-version-check "autobahntestsuite==$SUITE"
    } >"$ENV.log" 2>&1 || skip "the suite cannot be installed, see $ENV.log"
    rm -rf "$ENV.tool"
}

need_rust
mkdir -p "$TOOLS" artifacts/autobahn
[ -x "$ENV/bin/wstest" ] && "$ENV/bin/wstest" -a >/dev/null 2>&1 || install_suite

cargo build --release -p ws-echo
coproc ECHO { exec "${CARGO_TARGET_DIR:-target}/release/ws-echo" 0; }
echo_pid=$ECHO_PID
trap 'kill "$echo_pid" 2>/dev/null' EXIT
read -r address <&"${ECHO[0]}" || fail "the echo server does not start"

cases=${1:-*}
spec=artifacts/autobahn/spec.json
cat >"$spec" <<JSON
{
  "outdir": "artifacts/autobahn",
  "servers": [{"agent": "tidegate", "url": "ws://$address"}],
  "cases": ["${cases//,/\",\"}"],
  "exclude-cases": [],
  "exclude-agent-cases": {}
}
JSON
rm -f artifacts/autobahn/*.json.bak artifacts/autobahn/index.json
"$ENV/bin/wstest" -m fuzzingclient -s "$spec" >artifacts/autobahn/log 2>&1 ||
    fail "the suite failed, see artifacts/autobahn/log"
"$ENV/bin/python" tests/autobahn/judge.py artifacts/autobahn/index.json
