//! Judgement and documents, on samples made up here.

use std::time::Duration;

use crate::fault::Fault;
use crate::process::Memory;
use crate::report::Results;
use crate::report::markdown::replace;
use crate::scenarios::{GROUPS, Goal, Row, SWEEPS, Scale, Scenario, Sweep};
use crate::stats::Histogram;
use crate::subject::{Kind, Sample, Subject};

const GOALS: &[Goal] = &[
    Goal::CpuFloor(1.5),
    Goal::CpuPeer(10.0),
    Goal::Resident(6.0),
    Goal::Extra("gets", 1.0),
];

/// A scenario that is never run.
fn scenario(rows: &'static [Row]) -> Scenario {
    fn run(_: &mut Subject, _: Scale) -> Result<Vec<Sample>, Fault> {
        Ok(Vec::new())
    }
    Scenario {
        rows,
        floor: None,
        flags: &[],
        without: &[],
        others: false,
        run,
    }
}

const fn row(id: &'static str) -> Row {
    Row {
        id,
        in_flight: Some(8),
        title: "",
        floor_us: Some(2.0),
        goals: GOALS,
    }
}

const ROW: &[Row] = &[row("row")];

/// A thousand operations in a second, each with so much CPU time.
fn sample(cpu_us: f64) -> Sample {
    let mut latency = Histogram::default();
    latency.add(Duration::from_millis(2), 1_000);
    let memory = |mib: u64| Memory {
        rss: mib << 20,
        pss: mib << 20,
        anonymous: 0,
    };
    Sample {
        ops: 1_000,
        wall: Duration::from_secs(1),
        cpu_ns: (cpu_us * 1e6) as u64,
        driver: 0.5,
        broker: 0.5,
        syscalls: None,
        before: memory(4),
        after: memory(5),
        latency,
        extra: vec![("gets", 1.0, "requests")],
    }
}

/// Results of one row with the CPU times of each subject by round.
fn results(tidegate: &[f64], peer: &[f64], floor: &[f64]) -> Results {
    let mut results = Results::default();
    let scenario = scenario(ROW);
    let subjects = [
        (Kind::Tidegate, tidegate),
        (Kind::Peer, peer),
        (Kind::Floor, floor),
    ];
    for (kind, rounds) in subjects {
        for (round, cpu) in rounds.iter().enumerate() {
            results.add(&scenario, kind, round, vec![sample(*cpu)]);
        }
    }
    results
}

fn is_met(results: &Results) -> Vec<bool> {
    let verdicts = results.verdicts(&ROW[0]);
    verdicts.iter().map(|verdict| verdict.is_met()).collect()
}

#[test]
fn goals_are_met_up_to_their_limit() {
    assert_eq!(is_met(&results(&[3.0], &[30.0], &[2.0])), [true; 4]);
    let missed = results(&[3.1], &[30.0], &[2.0]);
    assert_eq!(is_met(&missed), [false, false, true, true]);
}

#[test]
fn ratios_are_those_of_one_round() {
    // The machine became twice as slow; the ratio is 2 in each round.
    let results = results(&[2.0, 4.0, 20.0], &[], &[1.0, 2.0, 10.0]);
    let found = results.verdicts(&ROW[0])[0].found;
    assert_eq!((found.low, found.value, found.high), (2.0, 2.0, 2.0));
}

#[test]
fn what_was_not_measured_is_not_judged() {
    let verdicts = results(&[1.0], &[], &[]).verdicts(&ROW[0]);
    let names: Vec<&str> = verdicts.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(names, ["RSS MiB", "gets"]);
}

#[test]
fn a_slow_floor_is_noticed() {
    assert!(results(&[1.0], &[], &[2.8]).slow_floors().is_empty());
    let slow = results(&[1.0], &[], &[2.9]).slow_floors();
    assert_eq!(slow.len(), 1);
    assert!(slow[0].starts_with("row: 2.90 us where 2.00 "), "{slow:?}");
}

#[test]
fn a_sweep_is_judged_by_all_its_rows() {
    const ROWS: &[Row] = &[row("few"), row("many"), row("most")];
    const SWEEP: Sweep = Sweep {
        id: "sweep",
        title: "t",
        along: "clients",
        points: &[(1, "few"), (10, "many"), (100, "most")],
        flat: 1.3,
    };
    let mut results = Results::default();
    let scenario = scenario(ROWS);
    let costs = |costs: [f64; 3]| costs.map(sample).to_vec();
    results.add(&scenario, Kind::Tidegate, 0, costs([2.0, 2.2, 5.0]));
    let found = results.flatness(&SWEEP).unwrap();
    assert!((found.found.value - 2.5).abs() < 1e-9 && !found.is_met());
    // Beside a floor that grows as well it is flat.
    results.add(&scenario, Kind::Floor, 0, costs([1.0, 1.0, 2.0]));
    let found = results.flatness(&SWEEP).unwrap();
    assert!((found.found.value - 1.25).abs() < 1e-9 && found.is_met());
    assert_eq!(results.draw(&SWEEP).len(), 3);
}

#[test]
fn one_row_is_no_sweep() {
    let sweep = Sweep {
        points: &[(1, "row"), (10, "other")],
        ..SWEEPS[0]
    };
    let results = results(&[1.0], &[], &[1.0]);
    assert!(results.flatness(&sweep).is_none());
    assert!(results.draw(&sweep).is_empty());
}

#[test]
fn every_row_of_a_sweep_is_a_row_of_a_group() {
    let ids: Vec<&str> = GROUPS
        .iter()
        .flat_map(|group| group.scenarios)
        .flat_map(|scenario| scenario.rows)
        .map(|row| row.id)
        .collect();
    for (_, id) in SWEEPS.iter().flat_map(|sweep| sweep.points) {
        assert!(ids.contains(id), "{id}");
    }
    for (index, id) in ids.iter().enumerate() {
        assert!(!ids[..index].contains(id), "{id} is there twice");
    }
}

/// Everything that there is, each row measured with all subjects.
fn everything() -> Results {
    let mut results = Results::default();
    for scenario in GROUPS.iter().flat_map(|group| group.scenarios) {
        for kind in [Kind::Tidegate, Kind::Peer, Kind::Floor] {
            for round in 0..2 {
                let samples = scenario.rows.iter().map(|_| sample(1.0 + round as f64));
                results.add(scenario, kind, round, samples.collect());
            }
        }
    }
    results
}

#[test]
fn every_line_of_a_table_has_its_columns() {
    let mut results = everything();
    let first = GROUPS[0].scenarios[0];
    results.add_failure(&first, Kind::Peer, "got a | b\nc".to_owned());
    let mut text = String::new();
    results.body(&mut text);
    let mut columns = 0;
    let mut tables = 0;
    for line in text.lines() {
        let found = line.matches('|').count();
        if columns > 0 && found > 0 {
            assert_eq!(found, columns, "{line}");
        }
        tables += usize::from(columns == 0 && found > 0);
        columns = found;
    }
    assert_eq!(tables, 3 * GROUPS.len());
    assert!(text.contains("failed: got a ' b c\n"), "{text}");
}

#[test]
fn the_limit_of_the_driver_is_marked() {
    let show = |driver: f64| {
        let mut results = Results::default();
        let first = GROUPS[0].scenarios[0];
        let sample = Sample {
            driver,
            ..sample(1.0)
        };
        results.add(&first, Kind::Tidegate, 0, vec![sample]);
        let mut text = String::new();
        results.body(&mut text);
        text
    };
    assert!(show(0.97).contains("| 1,000† | "));
    assert!(show(0.5).contains("| 1,000 | "));
}

#[test]
fn only_the_part_between_the_marks_is_replaced() {
    let text = "above\n<!-- results -->\nold\n<!-- end of results -->\nbelow\n";
    let once = replace(text, "new\n").unwrap();
    let wanted = "above\n<!-- results -->\n\nnew\n\n<!-- end of results -->\nbelow\n";
    assert_eq!(once, wanted);
    assert_eq!(replace(&once, "new\n").unwrap(), wanted);
    assert_eq!(replace("no marks", "new"), None);
    assert_eq!(
        replace("<!-- end of results -->\n<!-- results -->\n", "new"),
        None
    );
}
