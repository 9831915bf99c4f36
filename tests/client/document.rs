//! docs/CLI.md: each command in it is run, in order, and says what is written there.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

use crate::*;

/// A block of the document: commands with what they say, or one that runs until Ctrl-C.
struct Block {
    steps: Vec<(String, String)>,
    is_ended: bool,
}

fn blocks() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CLI.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let blocks = text.split("```console\n").skip(1).map(|rest| {
        let (block, _) = rest.split_once("```").expect("an end");
        let mut steps: Vec<(String, String)> = Vec::new();
        let mut is_ended = false;
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push((command.to_owned(), String::new())),
                None if line == "^C" => is_ended = true,
                None => {
                    let (_, said) = steps.last_mut().expect("a command");
                    said.push_str(line);
                    said.push('\n');
                }
            }
        }
        Block { steps, is_ended }
    });
    blocks.collect()
}

/// A text with the time of its lines, and the version of the server, left out.
fn timeless(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let digits = line.get(..12).unwrap_or_default().bytes();
        let is_time = digits.clone().filter(u8::is_ascii_digit).count() == 9;
        let line = if is_time { &line[12..] } else { line };
        let words: Vec<&str> = line.split(' ').collect();
        let is_version = |at: usize| at > 0 && words[at - 1] == "nats-server";
        let words = (0..words.len())
            .filter(|at| !is_version(*at))
            .map(|at| words[at]);
        out.push_str(&words.collect::<Vec<_>>().join(" "));
        out.push('\n');
    }
    out
}

#[test]
fn each_command_of_the_document_says_what_is_written_there() {
    let stack = Stack::start(&["--reqtimeout", "60000"]);
    let (sender, stop) = channel::<()>();
    let service = stack.service("todo");
    let serving = std::thread::spawn(move || todo(&service, &stop));
    let free = free_port().to_string();
    let here = |text: &str| {
        // By way of names, since one port may look like a part of another.
        text.replace("localhost:8080", "GATEWAY")
            .replace("127.0.0.1:4222", "BROKER")
            .replace("8081", "FREE")
            .replace("GATEWAY", &stack.gateway.addr)
            .replace("BROKER", &stack.broker.addr)
            .replace("FREE", &free)
    };
    let url = format!("ws://{}/", stack.gateway.addr);
    let folder = Path::new(env!("CARGO_BIN_EXE_tidegate"))
        .parent()
        .expect("a folder");
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").expect("a path")
    );
    let mut watching = None;
    let mut exports = String::new();
    let mut count = 0;
    for block in blocks() {
        if block.is_ended {
            let (command, expected) = &block.steps[0];
            let args: Vec<&str> = command.split(' ').skip(1).collect();
            let run = Program::start_in(&[("TIDEGATE_URL", &url)], &args);
            let first = run.line();
            watching = Some((run, first, expected.clone()));
            count += 1;
            continue;
        }
        for (command, expected) in block.steps {
            if command.starts_with("export ") {
                exports.push_str(&format!("{command}\n"));
                continue;
            }
            let output = Command::new("sh")
                .args([
                    "-c",
                    &format!("{exports}{} 2>&1", here(&command).replace("; ", " 2>&1; ")),
                ])
                .env("PATH", &path)
                .env("TIDEGATE_URL", &url)
                .output()
                .expect("sh starts");
            let said = String::from_utf8(output.stdout).expect("text");
            assert_eq!(timeless(&said), timeless(&here(&expected)), "{command}");
            count += 1;
        }
    }
    let (run, first, expected) = watching.expect("it is in the document");
    let mut said = first + "\n";
    for _ in 1..expected.lines().count() {
        said.push_str(&(run.line() + "\n"));
    }
    assert_eq!(timeless(&said), timeless(&expected));
    run.signal(rustix::process::Signal::INT);
    assert_eq!(run.end().code, Some(0));
    assert_eq!(count, 15, "commands were run");
    drop(sender);
    serving.join().expect("the service answers");
}

/// What docs/SERVICES.md has, as far as the document needs it.
fn todo(service: &Service, stop: &std::sync::mpsc::Receiver<()>) {
    use std::sync::mpsc::TryRecvError::Disconnected;
    let mut items = vec![(1, "Write a service".to_owned(), false)];
    let model = |(id, text, done): &(u32, String, bool)| {
        format!(r#"{{"model":{{"id":{id},"text":"{text}","done":{done}}}}}"#)
    };
    let mut last = 1;
    while stop.try_recv() != Err(Disconnected) {
        let Some(request) = service.try_next(std::time::Duration::from_millis(20)) else {
            continue;
        };
        let subject = request.subject().to_owned();
        let (kind, rest) = subject.split_once('.').expect("a kind");
        let id = rest.split('.').nth(2).and_then(|id| id.parse::<u32>().ok());
        let place = items.iter().position(|item| Some(item.0) == id);
        match (kind, rest, place) {
            ("access", ..) if request.member("token") == "null" => {
                request.result(r#"{"get":true}"#);
            }
            ("access", ..) => request.grant(),
            ("auth", "todo.session.login", _) => {
                let cid = request.member("cid");
                service.publish(&format!("conn.{cid}.token"), r#"{"token":{"user":"me"}}"#);
                request.result("null");
            }
            ("get", "todo.items", _) => {
                let rids = items
                    .iter()
                    .map(|(id, ..)| format!(r#"{{"rid":"todo.item.{id}"}}"#));
                let rids = rids.collect::<Vec<_>>().join(",");
                request.result(&format!(r#"{{"collection":[{rids}]}}"#));
            }
            ("get", _, Some(place)) => request.result(&model(&items[place])),
            ("call", "todo.items.add", _) => {
                last += 1;
                let text = member(&request.member("params"), "text");
                items.push((last, text, false));
                let (at, rid) = (items.len() - 1, format!(r#"{{"rid":"todo.item.{last}"}}"#));
                service.event(
                    "todo.items.add",
                    &format!(r#"{{"idx":{at},"value":{rid}}}"#),
                );
                request.respond(&format!(r#"{{"resource":{rid}}}"#));
            }
            ("call", "todo.items.remove", _) => {
                let id = member(&request.member("params"), "id");
                let place = items.iter().position(|item| item.0.to_string() == id);
                let place = place.expect("it is there");
                items.remove(place);
                service.event("todo.items.remove", &format!(r#"{{"idx":{place}}}"#));
                request.result("null");
            }
            ("call", _, Some(place)) => {
                items[place].2 = true;
                let item = format!("todo.item.{}.change", items[place].0);
                service.event(&item, r#"{"values":{"done":true}}"#);
                request.result("null");
            }
            _ => request.error("system.notFound", "Not found"),
        }
    }
}
