#!/usr/bin/env bash
# Starts a broker, the gateway and the book-collection example, says where to look,
# and stops all of them on Ctrl-C or as soon as one of them ends.
#
# Environment: NATS_PORT (4222), GATEWAY_PORT (8080), EXAMPLE_PORT (8083);
# TIDEGATE_BIN runs another gateway binary than the one built here.

SCRIPT=run
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

NATS_PORT=${NATS_PORT:-4222}
GATEWAY_PORT=${GATEWAY_PORT:-8080}
EXAMPLE_PORT=${EXAMPLE_PORT:-8083}
LOGS=$ROOT/artifacts/run

# listening PORT: true if something accepts connections there.
listening() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# check_port NAME VARIABLE PORT: notes a taken port, and another to try.
taken=()
check_port() {
    if listening "$3"; then
        say "port $3 for $1 is taken"
        taken+=("$2=$(($3 + 10))")
    fi
}

check_port "the broker" NATS_PORT "$NATS_PORT"
check_port "the gateway" GATEWAY_PORT "$GATEWAY_PORT"
check_port "the page" EXAMPLE_PORT "$EXAMPLE_PORT"
[ ${#taken[@]} -eq 0 ] ||
    fail "stop what listens there, or choose other ports: make run ${taken[*]}"

need_rust
need_npm_packages
need_nats
say "building"
cargo build --release --bin tidegate
# The example needs no optimising, and linking it so would take the most time of all.
cargo build --example book-collection

names=()
pids=()

# gone PID: waits up to five seconds for a process to end.
# shellcheck disable=SC2329 # called by stop_all
gone() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    return 1
}

# The last started goes first: the gateway closes its clients while the broker lives.
# shellcheck disable=SC2329 # called by trap
stop_all() {
    trap '' INT TERM HUP
    local index
    for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
        kill "${pids[index]}" 2>/dev/null || continue
        gone "${pids[index]}" || kill -KILL "${pids[index]}" 2>/dev/null || true
    done
}
trap stop_all EXIT
trap 'echo >&2; say "stopping"; exit 0' INT TERM HUP

# start NAME PORT COMMAND...: starts it, waits until it listens on the port.
start() {
    local name=$1 port=$2
    shift 2
    "$@" >"$LOGS/$name.log" 2>&1 &
    names+=("$name")
    pids+=($!)
    local tries=0
    until listening "$port"; do
        kill -0 "${pids[-1]}" 2>/dev/null || ended
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "$name does not listen on port $port; see $LOGS/$name.log"
        # There is nothing to wait on: the port opens when it opens.
        sleep 0.05
    done
}

# Says which program ended, shows its last words, and ends the script.
ended() {
    local index
    for index in "${!pids[@]}"; do
        if ! kill -0 "${pids[index]}" 2>/dev/null; then
            [ "${names[index]}" != terminal ] || exit 0
            say "${names[index]} ended; the end of $LOGS/${names[index]}.log:"
            tail -n 15 "$LOGS/${names[index]}.log" >&2
        fi
    done
    exit 1
}

mkdir -p "$LOGS"
target=${CARGO_TARGET_DIR:-target}
start nats-server "$NATS_PORT" "$NATS_SERVER_BIN" --addr 127.0.0.1 --port "$NATS_PORT"
start tidegate "$GATEWAY_PORT" "${TIDEGATE_BIN:-$target/release/tidegate}" \
    --nats "nats://127.0.0.1:$NATS_PORT" --addr 127.0.0.1 --port "$GATEWAY_PORT"
start book-collection "$EXAMPLE_PORT" "$target/debug/examples/book-collection" \
    --nats "nats://127.0.0.1:$NATS_PORT" --port "$EXAMPLE_PORT" \
    --gateway "ws://127.0.0.1:$GATEWAY_PORT/"

cat <<END

  Open this in two windows:   http://127.0.0.1:$EXAMPLE_PORT/

  The same data as REST:      http://127.0.0.1:$GATEWAY_PORT/api/library/books
  Gateway (WebSocket):        ws://127.0.0.1:$GATEWAY_PORT/
  Broker:                     nats://127.0.0.1:$NATS_PORT
  Logs:                       artifacts/run/

  Ctrl-C stops everything.

END

# A terminal that is closed tells make, which tells nobody; its input ends, though.
if [ -t 0 ]; then
    cat <&0 >/dev/null &
    names+=(terminal)
    pids+=($!)
fi

wait -n "${pids[@]}" || true
ended
