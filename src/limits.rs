//! The documents' tables of limits are made of the constants that the code keeps to.

use crate::broker::limits as broker;
use crate::console::limits as console;
use crate::documents::{expect_table, markdown};
use crate::gateway::limits as gateway;
use crate::http::Limits;
use crate::reactor::limits as reactor;
use crate::res::{json, meta};
use crate::ws::deflate;

/// A number of bytes, in the largest unit that leaves no rest.
fn bytes(number: usize) -> String {
    const MEBI: usize = 1 << 20;
    const KIBI: usize = 1 << 10;
    match number {
        0..KIBI => format!("{number} bytes"),
        _ if number.is_multiple_of(MEBI) => format!("{} MiB", count(number / MEBI)),
        _ if number.is_multiple_of(KIBI) => format!("{} KiB", count(number / KIBI)),
        _ => format!("{} bytes", count(number)),
    }
}

/// A number, its thousands divided by commas.
fn count(number: impl TryInto<u64>) -> String {
    let Ok(number) = number.try_into() else {
        panic!("no limit is as large");
    };
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something, or so many bytes.
fn either(number: usize, size: usize) -> String {
    format!("{} or {}", count(number), bytes(size))
}

/// A time in microseconds.
fn micros(number: u64) -> String {
    format!("{} ms", number as f64 / 1_000.0)
}

/// What a kind of input may take of a turn.
fn share(share: reactor::Share, times: u32) -> String {
    format!(
        "{} units or {}",
        count(share.units * times),
        micros(share.micros)
    )
}

/// A time in milliseconds.
fn time(ms: u64) -> String {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    match ms {
        DAY => "a day".to_owned(),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}

fn rows<const N: usize>(rows: [(&str, String, &str); N]) -> [[String; 3]; N] {
    rows.map(|(what, limit, then)| [what.to_owned(), limit, then.to_owned()])
}

/// Which clients there may be, and how active.
fn crowds() -> [[String; 3]; 4] {
    rows([
        (
            "connections, in all and of an address",
            "`maxConnections`, `maxConnectionsPerAddress`: none".to_owned(),
            "503 or 429",
        ),
        (
            "requests of a client in a second",
            "`maxRequestsPerSecond`: none".to_owned(),
            "`common.tooActive`; over HTTP 429, by address",
        ),
        (
            "direct subscriptions of a client",
            "`maxSubscriptions`: none".to_owned(),
            "`system.subscriptionLimitExceeded`",
        ),
        (
            "what a trusted proxy says before a connection",
            format!("`headTimeout`, {}", bytes(crate::proxy::HEADER_MAX)),
            "connection closed",
        ),
    ])
}

/// What clients may ask and send.
fn clients() -> [[String; 3]; 9] {
    let Limits { head, fields, body } = Limits::default();
    rows([
        (
            "output waiting for a client",
            format!(
                "{}; or without progress {} for {}, any for {}",
                bytes(reactor::HARD_LIMIT),
                bytes(reactor::SOFT_LIMIT),
                time(reactor::STALL_TIME),
                time(reactor::UNREAD_TIME)
            ),
            "the client is closed",
        ),
        (
            "input that is not complete and output of all clients",
            "`maxBuffers`: 256 MiB".to_owned(),
            "those that take most for longest are closed",
        ),
        (
            "requests of a client in flight",
            count(gateway::MAX_IN_FLIGHT),
            "it is not read until some are answered",
        ),
        (
            "resource IDs, queries and parameters of a client's open requests",
            bytes(gateway::MAX_WAITING),
            "it is not read until some are answered",
        ),
        (
            "message from a client",
            format!(
                "{}, within {}",
                bytes(reactor::MESSAGE_MAX),
                time(reactor::MESSAGE_TIME)
            ),
            "close code 1009 or 1008",
        ),
        (
            "TLS handshake",
            format!(
                "{} from the client, within {}",
                bytes(reactor::RECORD_MAX),
                time(reactor::HEAD_TIME)
            ),
            "connection closed",
        ),
        (
            "head of an HTTP request",
            format!(
                "{}, {} fields, within {}",
                bytes(head),
                count(fields),
                time(reactor::HEAD_TIME)
            ),
            "431, 414 or 408, connection closed",
        ),
        (
            "body of an HTTP request",
            format!("{}, within {}", bytes(body), time(reactor::BODY_TIME)),
            "413 or 408, connection closed",
        ),
        (
            "wait of a GET for a change (`Prefer: wait`)",
            time(1_000 * u64::from(reactor::WAIT_MAX)),
            "304",
        ),
    ])
}

/// What clients may say that they have.
fn haves() -> [[String; 3]; 2] {
    rows([
        (
            "what a client names in `have`",
            format!(
                "{} of resource IDs, for {} or more",
                either(gateway::MAX_NAMED, gateway::MAX_NAMED_BYTES),
                time(gateway::HAD_FOR)
            ),
            "the rest is sent as if it were not named",
        ),
        (
            "the same of all clients",
            bytes(gateway::MAX_HAD),
            "what others name means nothing",
        ),
    ])
}

/// What services may answer and cause.
fn services() -> [[String; 3]; 6] {
    rows([
        (
            "answer to a GET, with all that is nested in it",
            "`apiMaxBytes`, `apiMaxResources`".to_owned(),
            "500 in its place",
        ),
        (
            "cached resources, and their JSON",
            "`maxCachedResources`, `maxCachedBytes`: none".to_owned(),
            "unused ones go, oldest first; then `system.serviceUnavailable`",
        ),
        (
            "header fields that services set in an answer",
            format!("{}, {}", count(meta::MAX_FIELDS), bytes(meta::MAX_SIZE)),
            "the rest is left out",
        ),
        (
            "nesting of JSON",
            format!("{} levels", count(json::MAX_DEPTH)),
            "the message is refused",
        ),
        (
            "requests caused by resets, query events and access checks, open at once",
            count(gateway::MAX_BACKGROUND),
            "the others wait",
        ),
        (
            "time-out that a pre-response sets",
            time(gateway::MAX_TIMEOUT),
            "that",
        ),
    ])
}

/// What waits for services, and what waits of what they say.
fn waiting() -> [[String; 3]; 6] {
    let queues = gateway::QueueLimits::default();
    rows([
        (
            "events that wait at one subscription, for references or access",
            either(queues.updates, queues.bytes),
            "they are dropped, and the difference takes their place; custom events are lost; \
             counted",
        ),
        (
            "the same at all subscriptions together",
            either(queues.all_updates, queues.all_bytes),
            "each may have a 1,024th of its own limit",
        ),
        (
            "inputs of one name that wait for the answers to a query event",
            either(gateway::MAX_INBOX, gateway::MAX_INBOX_SIZE),
            "the query resources are fetched whole",
        ),
        (
            "reset events that wait",
            either(gateway::MAX_RESETS, gateway::MAX_RESETS_SIZE),
            "they become one about everything",
        ),
        (
            "input from NATS that waits to be looked at",
            format!(
                "{} for {}, or {}",
                bytes(reactor::BACKLOG_HIGH),
                time(reactor::PATIENCE),
                bytes(reactor::BACKLOG_MAX)
            ),
            "the busiest names lose their events and are fetched again",
        ),
        (
            "warnings about services",
            format!(
                "one for a name and kind in {}, for {} names of a kind",
                time(gateway::WARNING_PERIOD),
                count(gateway::MAX_WARNED_NAMES)
            ),
            "counted, in the next one of the kind; shown by `--debug`",
        ),
    ])
}

/// What services are asked at once.
fn windows() -> [[String; 3]; 2] {
    rows([
        (
            "requests of clients and of the background to one service, open at once",
            format!(
                "{} at first, {} ({} if it is only slow) to {} as it answers; each counts for {} at most",
                count(gateway::WINDOW as usize),
                count(gateway::WINDOW_MIN as usize),
                count(gateway::WINDOW_SLOW as usize),
                count(gateway::WINDOW_MAX as usize),
                time(gateway::PLACE_TIME)
            ),
            "the others wait, clients in turn; after three time-outs without an answer to the same client `system.timeout`",
        ),
        (
            "what waits for one service, and for all",
            format!(
                "{}, and {}",
                bytes(gateway::WAITING_BYTES),
                bytes(gateway::WAITING_BYTES_ALL)
            ),
            "further requests that would have to wait get `system.serviceUnavailable`; those of other services go on",
        ),
    ])
}

/// What services may do with the broker inside.
fn inside() -> [[String; 3]; 9] {
    rows([
        (
            "with `--broker`: message of a service, with its headers",
            "`brokerMaxPayload`".to_owned(),
            "`-ERR 'Maximum Payload Violation'`, closed",
        ),
        (
            "line of a service behind its verb",
            bytes(broker::CONTROL_LINE_MAX),
            "`-ERR 'maximum control line exceeded'`, closed",
        ),
        (
            "services that are connected",
            "`brokerMaxConnections`".to_owned(),
            "`-ERR 'maximum connections exceeded'`, closed",
        ),
        (
            "time for a service to show who it is, TLS included",
            time(broker::CONNECT_TIME),
            "`-ERR 'Authentication Timeout'`, closed",
        ),
        (
            "output of one service, and without a byte leaving",
            format!(
                "{}, {}",
                bytes(broker::PENDING_MAX),
                time(broker::WRITE_TIME)
            ),
            "closed, counted, logged",
        ),
        (
            "output of all services, and their input that is not complete",
            "`maxBuffers` each".to_owned(),
            "those with most of it are closed, counted, logged",
        ),
        (
            "memory of the subscriptions of one service, and of all",
            format!(
                "{}, {}",
                bytes(broker::COST_OF_ONE),
                bytes(broker::COST_MAX)
            ),
            "`-ERR 'maximum subscriptions exceeded'`",
        ),
        (
            "silence of a service",
            format!(
                "{}, {} times with a `PING`",
                time(broker::PING_TIME),
                count(broker::PINGS_MAX as usize)
            ),
            "`-ERR 'Stale Connection'`, closed",
        ),
        (
            "users, subjects in a list of permissions, and answers that one connection may owe",
            format!(
                "{}, {}, {}",
                count(broker::USERS_MAX),
                count(broker::PATTERNS_MAX),
                count(broker::REPLIES_MAX)
            ),
            "refused at the start; the oldest are forgotten",
        ),
    ])
}

#[test]
fn the_readme_has_the_limits() {
    let table = [
        &crowds()[..],
        &clients()[..],
        &haves(),
        &windows()[..],
        &services()[..],
        &waiting(),
        &inside()[..],
        &looks()[..],
    ]
    .concat();
    let head = ["What", "Limit", "Consequence"];
    expect_table("README.md", "limits", &markdown(head, &table));
}

/// What the console shows.
fn looks() -> [[String; 3]; 3] {
    rows([
        (
            "with `--console`: rows of a list, and seconds that are kept",
            format!("{}, {}", count(console::ROWS), count(console::KEPT)),
            "`next` says where the list goes on; the oldest second is forgotten",
        ),
        (
            "names of the console that are looked at again in two seconds",
            count(console::REFRESHED_MAX),
            "others have their turn the next time",
        ),
        (
            "clients that are traced, for how long, frames of one in a second, and what is shown of one",
            format!(
                "{}, {}, {}, {}",
                count(console::TRACED_MAX),
                time(console::TRACE_MAX),
                count(console::FRAMES_MAX),
                bytes(console::FRAME_MAX)
            ),
            "refused; ended; counted; cut",
        ),
    ])
}

/// What is bounded in a turn of the loop.
fn turn() -> [[String; 3]; 10] {
    rows([
        (
            "NATS input of a turn",
            format!(
                "{}, {}, or `bufferSize` messages",
                share(reactor::NATS, 1),
                bytes(reactor::BROKER_BUDGET)
            ),
            "clients have their turn",
        ),
        (
            "client input of a turn",
            share(reactor::CLIENTS, 1),
            "the next turn goes on",
        ),
        (
            "the same of clients that used up their share when they were last served",
            share(reactor::BUSY, 1),
            "the next turn goes on",
        ),
        (
            "input of one client",
            format!(
                "{} messages or requests, {}, or {} units",
                count(reactor::VISIT_STEPS),
                bytes(reactor::READ_MAX),
                count(reactor::VISIT_UNITS)
            ),
            "others have their turn, and first those that left some of theirs",
        ),
        (
            "deadlines that are due",
            share(reactor::TIMERS, 1),
            "the next turn goes on",
        ),
        (
            "flush of a turn",
            format!(
                "{}, {} for a client, long queues last",
                micros(reactor::FLUSH_TIME),
                bytes(reactor::WRITE_MAX)
            ),
            "the next turn goes on, in order",
        ),
        (
            "messages compressed in a turn",
            format!(
                "{}, and what one input more leads to",
                bytes(reactor::TURN_BUDGET)
            ),
            "the next turn goes on",
        ),
        (
            "work that earlier inputs have left over",
            share(reactor::LEFT, reactor::LEFT_STEPS),
            "the next turn goes on, by client and name in turn",
        ),
        (
            "unwritten output for writable sockets, each text once",
            bytes(reactor::OUTPUT_BUDGET),
            "neither NATS nor busy clients nor those with 64 KiB of it are read until it is written",
        ),
        (
            "the same for one client, shared texts included",
            bytes(reactor::LONG),
            "NATS is not read until it is written",
        ),
    ])
}

/// What the broker inside and the console do in a turn.
fn inside_turn() -> [[String; 3]; 3] {
    rows([
        (
            "with `--broker`: input of one service while others wait",
            format!(
                "{} operations or {}",
                count(reactor::VISIT),
                bytes(reactor::VISIT_BYTES)
            ),
            "others have their turn",
        ),
        (
            "deliveries of one message to services",
            either(broker::FANOUT, broker::FANOUT_BYTES),
            "the publisher's next turn goes on",
        ),
        (
            "with `--console`: what it is asked, and has to say",
            share(reactor::CONSOLE, 1),
            "the next turn goes on",
        ),
    ])
}

/// How much output may wait.
fn output() -> [[String; 3]; 10] {
    let soft = bytes(reactor::SOFT_LIMIT);
    let stalled = format!(
        "the same, without a byte leaving for {}",
        time(reactor::STALL_TIME)
    );
    rows([
        (
            "output of one client",
            format!(
                "{}, checked before a piece is added",
                bytes(reactor::HARD_LIMIT)
            ),
            "reset, counted, logged",
        ),
        (
            &stalled,
            format!("{soft} beside the piece being written"),
            "reset, counted, logged",
        ),
        (
            "any output without a byte leaving",
            time(reactor::UNREAD_TIME),
            "reset, counted, logged",
        ),
        (
            "input that is not complete and output of all clients",
            "`maxBuffers`, each text once".to_owned(),
            "the largest and oldest go first: close 1013, 503, or reset; counted",
        ),
        (
            "output of a client above which it is not read",
            format!("{soft} (HTTP: {})", bytes(reactor::PIPELINE_MAX)),
            "read again when enough has left",
        ),
        (
            "output to NATS above which clients are not read",
            bytes(reactor::OUTPUT_HIGH),
            "read again when it has left",
        ),
        (
            "what waits until NATS has taken subscriptions, or is there again, above which clients are not read",
            bytes(reactor::PACED_HIGH),
            "read again when it has left",
        ),
        (
            "`SUB`s, `UNSUB`s and background messages that NATS has not confirmed",
            format!(
                "{}, {} and {}",
                crate::nats::SUBSCRIBES_MAX,
                crate::nats::UNSUBSCRIBES_MAX,
                crate::nats::BACKGROUND_MAX
            ),
            "the others wait, clients in turn",
        ),
        (
            "input from NATS that is not parsed yet",
            bytes(reactor::BACKLOG_MAX),
            "nothing more is read",
        ),
        (
            "output to NATS",
            bytes(reactor::OUTPUT_MAX),
            "the connection counts as lost",
        ),
    ])
}

/// How much a peer may send.
fn input() -> [[String; 3]; 8] {
    let Limits { head, fields, body } = Limits::default();
    rows([
        (
            "client message",
            format!("{}, compressed or not", bytes(reactor::MESSAGE_MAX)),
            "close 1009",
        ),
        (
            "blocks of a compressed message that call themselves the last",
            format!(
                "{}, and one for each {}",
                count(deflate::ENDS),
                bytes(deflate::END_SIZE)
            ),
            "close 1007",
        ),
        (
            "message that is compressed for a client",
            format!("{}, about 3 ms", bytes(*reactor::LENGTHS.end())),
            "it is sent as it is",
        ),
        (
            "what a client's messages grow by when they are inflated, beyond 20 times",
            format!(
                "{}, and {} each second",
                bytes(reactor::EXCESS_MAX),
                bytes(reactor::EXCESS_RATE)
            ),
            "close 1008",
        ),
        (
            "connections of the metrics port",
            format!(
                "{}; {} for a request, {} between two",
                count(reactor::CONNECTIONS_MAX),
                time(reactor::REQUEST_TIME),
                time(reactor::IDLE_TIME)
            ),
            "closed; of too many the longest idle one",
        ),
        (
            "refused connections whose client may still read why",
            format!(
                "{}, {}",
                count(reactor::LINGERING_MAX),
                time(reactor::LINGER_TIME)
            ),
            "closed at once",
        ),
        (
            "HTTP head, fields, body",
            format!("{}, {}, {}", bytes(head), count(fields), bytes(body)),
            "431 or 414, 431, 413, closed lingeringly",
        ),
        (
            "TLS handshake",
            format!(
                "{} and {}; {} of a turn for all",
                bytes(reactor::RECORD_MAX),
                time(reactor::HEAD_TIME),
                micros(reactor::HANDSHAKES.micros)
            ),
            "closed with an alert where TLS has one",
        ),
    ])
}

/// How long a peer may take.
fn times() -> [[String; 3]; 5] {
    rows([
        (
            "time for a head, a body",
            format!(
                "`headTimeout`, {}; {}",
                time(reactor::HEAD_TIME),
                time(reactor::BODY_TIME)
            ),
            "408; without a word if nothing was sent",
        ),
        (
            "time for the rest of a WebSocket message",
            time(reactor::MESSAGE_TIME),
            "close 1008",
        ),
        (
            "kept connection without a request; answer that stands still",
            format!(
                "`httpKeepAlive`, {}; {}",
                time(reactor::KEPT_TIME),
                time(reactor::LAST_TIME)
            ),
            "closed",
        ),
        (
            "WebSocket client that sends no message",
            "`wsIdleTimeout`: none".to_owned(),
            "close 1000",
        ),
        (
            "close handshake, lingering",
            format!(
                "{}, {}; over as soon as both close frames were sent",
                time(reactor::CLOSE_TIME),
                time(reactor::LINGER_TIME)
            ),
            "closed",
        ),
    ])
}

/// How long NATS may take, and how many servers there may be.
fn broker_times() -> [[String; 3]; 6] {
    rows([
        (
            "time to connect to one NATS address, greeting included",
            time(reactor::CONNECT_TIMEOUT),
            "the next one, then an error",
        ),
        (
            "NATS without a byte",
            format!(
                "`natsPingInterval`, 10 s, and until the next `PING` is due; half of it if {} requests \
                 in a row were not answered",
                reactor::SILENT_REQUESTS
            ),
            "the connection counts as lost",
        ),
        (
            "pause between two rounds through all NATS servers",
            format!(
                "{} to {}",
                time(reactor::PAUSE_MIN),
                time(reactor::PAUSE_MAX)
            ),
            "they are tried again, until `natsReconnect` is over",
        ),
        (
            "NATS servers that others tell of",
            count(reactor::TOLD_MAX as u64),
            "the rest is left out",
        ),
        (
            "time to look a name up, where there are other servers",
            time(reactor::LOOK_UP_TIME),
            "the next one is tried",
        ),
        (
            "names being looked up",
            "1".to_owned(),
            "the next one waits",
        ),
    ])
}

/// When connections end that nothing is wrong with, and the process.
fn ends() -> [[String; 3]; 4] {
    rows([
        (
            "WebSocket of which nothing is heard",
            format!(
                "`pingInterval`, 25 s, {} at least: a ping; twice that",
                time(reactor::INTERVAL_MIN)
            ),
            "close 1008, counted",
        ),
        (
            "age of a WebSocket",
            format!(
                "`maxAge`, {} at least, a tenth more or less; with open requests a tenth longer",
                time(reactor::MAX_AGE_MIN)
            ),
            "close 1001, counted",
        ),
        (
            "answers to web requests that are open when a signal comes",
            format!("`drainTime`, {} at least", time(reactor::ANSWERS)),
            "503",
        ),
        (
            "last words then, and all of the end when NATS is lost",
            format!(
                "{}, {}",
                time(reactor::LAST_WORDS),
                time(reactor::LOST_TIME)
            ),
            "the process ends",
        ),
    ])
}

#[test]
fn the_map_has_the_budgets() {
    let turns = [&turn()[..], &inside_turn()].concat();
    let times = [&times()[..], &broker_times(), &ends()].concat();
    let table = [&turns[..], &output(), &input(), &times].concat();
    let head = ["what", "limit", "then"];
    expect_table("docs/ARCHITECTURE.md", "limits", &markdown(head, &table));
}

#[test]
fn numbers_are_written_as_people_do() {
    for (number, text) in [
        (0, "0 bytes"),
        (48, "48 bytes"),
        (1_025, "1,025 bytes"),
        (20 << 10, "20 KiB"),
        (1 << 20, "1 MiB"),
        (3 << 19, "1,536 KiB"),
    ] {
        assert_eq!(bytes(number), text);
    }
    assert_eq!(count(1_234_567_u64), "1,234,567");
    assert_eq!(time(1_500), "1500 ms");
    assert_eq!(time(150_000), "150 s");
}
