//! Micro-benchmarks: parsers and writers, content of resources, and the heart between
//! virtual clients and services.
//!
//! ```text
//! cargo bench --bench micro -- [--short] [part of a name]
//! ```
//!
//! What is measured is checked too, and a wrong result ends the run with an error; a slow
//! one never does. `--short` runs everything in small sizes, to see that it works.

mod calls;
mod content;
// What is not used here serves the tests.
#[allow(dead_code)]
#[path = "../../tests/world/driver.rs"]
mod driver;
mod fanout;
mod http;
mod memory;
mod messages;
mod million;
mod nats;
mod references;
mod resets;
mod runner;
mod world;
mod ws;

use runner::Runner;

fn main() {
    let (mut short, mut filter) = (false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            memory::OPTION => {
                let (name, clients) = (arguments.next(), arguments.next());
                let clients = clients.and_then(|clients| clients.parse().ok());
                return memory::run_case(&name.unwrap_or_default(), clients.unwrap_or(1));
            }
            million::OPTION => {
                let clients = arguments.next().and_then(|clients| clients.parse().ok());
                return million::run_case(clients.unwrap_or(1));
            }
            // Cargo says what it runs this for.
            "--bench" => {}
            "--short" => short = true,
            other if other.starts_with('-') => {
                eprintln!("unknown option {other}; there is --short, and part of a name");
                std::process::exit(2);
            }
            other => filter = Some(other.to_owned()),
        }
    }
    let mut runner = Runner::new(filter, short);
    // First, while nothing else has used the heap.
    memory::run(&mut runner);
    million::run(&mut runner);
    nats::run(&mut runner);
    http::run(&mut runner);
    ws::run(&mut runner);
    messages::run(&mut runner);
    content::run(&mut runner);
    fanout::run(&mut runner);
    references::run(&mut runner);
    calls::run(&mut runner);
    resets::run(&mut runner);
}
