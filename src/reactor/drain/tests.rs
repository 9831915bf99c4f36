use super::*;
use crate::reactor::connection::Generation;

fn keys(count: u32) -> Vec<ConnectionKey> {
    let key = |index| ConnectionKey::new(index, Generation::default());
    (0..count).map(key).collect()
}

/// When each of the clients has its turn, if the loop is woken when it asks for it.
fn times(drain: &mut Drain) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(due) = drain.next_due() {
        if due > drain.start {
            assert_eq!(drain.take(Time(due.0 - 1)), None, "too early");
        }
        let place = times.len();
        assert_eq!(drain.take(due).map(ConnectionKey::index), Some(place));
        times.push(due.0 - drain.start.0);
    }
    times
}

#[test]
fn clients_are_spread_evenly_and_in_order() {
    for (time, count) in [(2_000, 5), (2_000, 7_000), (600_000, 3), (0, 100), (1, 10)] {
        let mut drain = Drain::spread(Time(77), time);
        drain.begin(keys(count), false);
        let times = times(&mut drain);
        assert_eq!(times.len(), count as usize);
        assert_eq!(times[0], 0);
        let step = time / u64::from(count);
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(gap == step || gap == step + 1, "{gap} instead of {step}");
        }
        assert!(times.iter().all(|&at| at < time.max(1)));
        assert_eq!(drain.next(), Time(77 + time.max(ANSWERS)));
    }
}

#[test]
fn the_last_pass_takes_all_at_once_and_then_the_end_is_awaited() {
    let mut drain = Drain::spread(Time(10), 5_000);
    drain.begin(keys(4), false);
    drain.take(Time(10));
    assert_eq!(drain.next(), Time(10 + 1_250));
    assert!(!drain.begins_last(Time(10 + 4_999)));
    assert!(drain.begins_last(Time(10 + 5_000)));
    drain.begin(keys(3), true);
    assert!(!drain.begins_last(Time(10 + 5_000)));
    assert_eq!(times(&mut drain), [0, 0, 0]);
    assert_eq!(drain.next(), Time(10 + 5_000 + LAST_WORDS));
}

#[test]
fn without_nats_nobody_waits_for_an_answer() {
    let mut drain = Drain::lost(Time(10));
    assert!(drain.begins_last(Time(10)));
    assert_eq!(drain.end, Time(10 + LOST_TIME));
    drain = Drain::spread(Time(10), 600_000);
    drain.begin(keys(2), false);
    drain.hurry(Time(500));
    assert!(drain.begins_last(Time(500)));
    assert_eq!(drain.end, Time(500 + LOST_TIME));
}
