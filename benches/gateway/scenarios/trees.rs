//! Trees of resources, and large ones: what a subscribe request brings.

use serde_json::{Map, Value, json};

use super::fetch::Fetch;
use super::join::Join;
use super::{Goal, Row, Scale, Scenario};
use crate::fault::Fault;
use crate::load::Net;
use crate::services::Services;
use crate::subject::{PEAK_GROWTH, Sample, Subject};

/// A collection of references, and a large model.
pub const SCENARIOS: &[Scenario] = &[TREES, LARGE];

const TREES: Scenario = Scenario {
    rows: &[
        Row {
            id: "tree-cold",
            in_flight: None,
            title: "subscribe to a collection of 1,000 references, cold, per tree",
            floor_us: None,
            goals: &[Goal::CpuPeer(5.0)],
        },
        Row {
            id: "tree-cached",
            in_flight: None,
            title: "further clients subscribe to such a tree, per client",
            floor_us: None,
            goals: &[Goal::CpuPeer(20.0)],
        },
    ],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: trees,
};

const LARGE: Scenario = Scenario {
    rows: &[Row {
        id: "large-model",
        in_flight: None,
        title: "100 clients subscribe to a model of 1 MiB, per subscribe",
        floor_us: None,
        goals: &[Goal::CpuPeer(4.0), Goal::GrowthTotal(4.0)],
    }],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: large,
};

fn trees(subject: &mut Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let leaves = scale.count(1_000);
    let trees = scale.count(50);
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| match name.split('.').nth(1) {
        Some("leaf") => format!(r#"{{"model":{}}}"#, leaf(name)),
        _ => {
            let refs = (0..leaves).map(|at| format!(r#"{{"rid":"{}"}}"#, leaf_name(name, at)));
            format!(r#"{{"collection":[{}]}}"#, Vec::from_iter(refs).join(","))
        }
    });
    Services::listen(&mut net)?;
    let set = |tree: &str| {
        let names = (0..leaves).map(|at| leaf_name(tree, at));
        let refs: Vec<Value> = names.clone().map(|name| json!({"rid": name})).collect();
        let models: Map<String, Value> = names.map(|name| (name.clone(), leaf(&name))).collect();
        json!({"collections": {tree: refs}, "models": models})
    };
    let clients = scale.count(500);
    Join::new(&mut net, subject, 1 + clients, &mut services, None).run(&mut net)?;
    // One tree more, so that code and connections are warm.
    Fetch::new(&mut services, &set, [(0, "bench.tree.warm".to_owned())], 1).run(&mut net)?;

    let gets = services.gets;
    let requests = (0..trees).map(|tree| (0, format!("bench.tree.{tree}")));
    let window = subject.begin()?;
    let mut fetch = Fetch::new(&mut services, &set, requests, 1);
    fetch.run(&mut net)?;
    let mut cold = subject.end(window, trees as u64)?;
    cold.latency = fetch.latency;
    let asked = (services.gets - gets) as usize;
    if asked != trees * (leaves + 1) {
        return Err(Fault::Surprise(format!("{asked} get requests")));
    }

    let gets = services.gets;
    let requests = (1..=clients).map(|client| (client, "bench.tree.0".to_owned()));
    let window = subject.begin()?;
    let mut fetch = Fetch::new(&mut services, &set, requests, usize::MAX);
    fetch.run(&mut net)?;
    let mut cached = subject.end(window, clients as u64)?;
    cached.latency = fetch.latency;
    if services.gets != gets {
        return Err(Fault::Surprise("what is cached was asked for".to_owned()));
    }
    Ok(vec![cold, cached])
}

/// `bench.tree.<tree>` has `bench.leaf.<tree>.<number>`.
fn leaf_name(tree: &str, number: usize) -> String {
    let tree = tree.trim_start_matches("bench.tree.");
    format!("bench.leaf.{tree}.{number}")
}

fn leaf(name: &str) -> Value {
    let number = name.rsplit('.').next().unwrap_or_default();
    json!({"name": format!("leaf {number}"), "on": true})
}

/// Properties of the large model and bytes of each; the broker takes 1 MiB in all.
const PROPERTIES: usize = 1_024;
const PROPERTY: usize = 1_008;

fn large(subject: &mut Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let clients = scale.count(100);
    let model: Map<String, Value> = (0..PROPERTIES)
        .map(|at| {
            let letter = char::from(b'a' + (at % 26) as u8);
            let fill = String::from(letter).repeat(PROPERTY - 8);
            (format!("p{at:04}"), json!(fill))
        })
        .collect();
    let text = json!({"model": model}).to_string();
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| text.clone());
    Services::listen(&mut net)?;
    Join::new(&mut net, subject, clients, &mut services, None).run(&mut net)?;
    let set = |name: &str| json!({"models": {name: model}});
    let requests = (0..clients).map(|client| (client, "bench.large".to_owned()));
    let peak = subject.peak()?;
    let window = subject.begin()?;
    let mut fetch = Fetch::new(&mut services, &set, requests, usize::MAX);
    fetch.run(&mut net)?;
    let mut sample = subject.end(window, clients as u64)?;
    sample.latency = fetch.latency;
    let growth = (subject.peak()? - peak) as f64 / 1048576.0;
    sample.extra.push((PEAK_GROWTH, growth, ""));
    Ok(vec![sample])
}
