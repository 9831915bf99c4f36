#!/usr/bin/env bash
# Does to NATS servers, alone and in a cluster, whatever can happen to them, under load, and
# shows that no client of the gateway notices (chaos), or that nothing grows meanwhile (soak);
# kills and restarts three gateways and the three servers of their cluster, and shows that all
# clients agree in the end (cluster).
#
#   chaos.sh chaos ROUNDS [SEED]
#   chaos.sh soak MINUTES [SEED]
#   chaos.sh cluster ROUNDS [SEED]

SCRIPT="chaos"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

what=${1:-}
count=${2:-}
[[ $count =~ ^[1-9][0-9]*$ ]] || fail "${what:-chaos}: \"$count\" is not a number of rounds or minutes"
export CHAOS_SEED=${3:-1}

need_rust
need_nats
case $what in
chaos)
    say "$count rounds; $("$NATS_SERVER_BIN" --version) as the broker"
    CHAOS_ROUNDS=$count cargo test --test chaos -- --nocapture clients_stay
    ;;
cluster)
    say "$count rounds; $("$NATS_SERVER_BIN" --version) as the broker"
    CLUSTER_ROUNDS=$count cargo test --test chaos -- --nocapture clients_of_three_gateways
    ;;
soak)
    say "$count minutes; $("$NATS_SERVER_BIN" --version) as the broker"
    # Optimised: its figures are to mean something, and clients are to leave it time.
    SOAK_MINUTES=$count cargo test --profile trial --test chaos -- --nocapture nothing_grows
    ;;
*) fail "usage: chaos.sh chaos ROUNDS [SEED] | soak MINUTES [SEED] | cluster ROUNDS [SEED]" ;;
esac
