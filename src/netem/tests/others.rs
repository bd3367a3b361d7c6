//! Gateways, neighbours, and hints that lie.

use super::*;
use crate::model::QuotaHint;

fn server(hints: HintStyle) -> ServerSettings {
    ServerSettings { layers: vec![limit(log_of(10))], hints, ..ServerSettings::default() }
}

/// What is said of 10/s at ten requests, one every 50 ms.
fn told(server: ServerSettings) -> Vec<QuotaHint> {
    let mut world = World::new(7, still(), server);
    run(&mut world, 10, 50).into_iter().flat_map(|(_, answer)| answer.hints).collect()
}

fn remaining(hints: &[QuotaHint]) -> Vec<u64> {
    hints.iter().filter_map(|hint| hint.remaining).collect()
}

#[test]
fn honest_hints_count_down() {
    let hints = told(server(HintStyle::Honest));
    assert_eq!(remaining(&hints), (0..10).rev().collect::<Vec<_>>());
    assert!(hints.iter().all(|hint| hint.limit == Some(10)));
}

#[test]
fn frozen_hints_never_fall() {
    let hints = told(server(HintStyle::Frozen));
    assert_eq!(remaining(&hints), [10; 10]);
    assert!(hints.iter().all(|hint| hint.limit == Some(10)));
}

#[test]
fn inflated_hints_are_as_many_times_too_high() {
    let hints = told(server(HintStyle::Inflated(10)));
    assert_eq!(remaining(&hints), (0..10).rev().map(|n| n * 10).collect::<Vec<_>>());
    assert!(hints.iter().all(|hint| hint.limit == Some(100)));
}

#[test]
fn foreign_hints_go_their_own_way_within_a_limit_of_their_own() {
    let hints = told(server(HintStyle::Foreign));
    let limit = hints[0].limit.expect("a limit");
    assert!(limit >= 50, "not ours");
    assert!(hints.iter().all(|hint| hint.limit == Some(limit)));
    let walk = remaining(&hints);
    assert!(walk.iter().all(|left| *left <= limit));
    assert!(!walk.is_sorted_by(|a, b| a > b), "a walk that only falls is a count: {walk:?}");
}

#[test]
fn a_reset_is_told_in_whole_seconds_or_exactly() {
    let whole = told(server(HintStyle::Honest));
    assert!(whole.iter().all(|hint| hint.reset == Some(Duration::from_secs(1))));
    let layers = vec![limit(Kind::FixedWindow { limit: 10, window: ms(1_000), phase: ms(0) })];
    let exact = ServerSettings { layers, resets: ResetStyle::Exact, ..server(HintStyle::Honest) };
    assert_eq!(told(exact)[1].reset, Some(ms(930)), "arrived at 70 ms");
}

#[test]
fn every_gateway_keeps_a_record_of_its_own() {
    let mut world = World::new(1, still(), ServerSettings { shards: 3, ..server(HintStyle::None) });
    run(&mut world, 90, 1);
    let admitted = world.log().iter().filter(|a| a.admitted).count();
    assert_eq!((world.shards().len(), admitted), (3, 30));
    let used = |layers: &crate::limiter::Layers| {
        layers.quota(0, at(200), &Identity::default()).map(|quota| quota.remaining)
    };
    assert!(world.shards().iter().all(|layers| used(layers) == Some(0)));
}

#[test]
fn sharding_changes_no_other_draw() {
    let play = |shards| {
        let (network, server) = rough();
        let unlimited = ServerSettings { layers: Vec::new(), shards, ..server };
        run(&mut World::new(4, network, unlimited), 300, 3)
    };
    assert_eq!(play(1), play(3));
}

#[test]
fn a_place_goes_back_to_the_gateway_that_gave_it() {
    let layers = vec![limit(Kind::Concurrency { limit: 1 })];
    let service = ms(2);
    let server = ServerSettings { layers, shards: 2, service, ..ServerSettings::default() };
    let mut world = World::new(2, still(), server);
    run(&mut world, 200, 5);
    assert!(world.log().iter().all(|a| a.admitted));
}

fn neighbour(poisson: bool) -> Neighbour {
    Neighbour {
        rate: "5/s".parse().expect("a rate"),
        from: at(1_000),
        until: at(101_000),
        poisson,
        identity: Identity::default(),
    }
}

#[test]
fn a_neighbour_takes_its_part_of_the_limit_in_its_time() {
    let server = ServerSettings { neighbours: vec![neighbour(false)], ..server(HintStyle::None) };
    let network = NetworkSettings { jitter: ms(90), ..still() };
    let mut world = World::new(1, network, server);
    run(&mut world, 1_100, 100);
    assert_eq!(world.neighbours().arrived, 500);
    let admitted = |from: u64, to: u64| {
        let inside = |a: &&Arrival| a.admitted && a.at >= at(from) && a.at < at(to);
        world.log().iter().filter(inside).count()
    };
    // Of 15/s, 10/s pass; without jitter the first to come at an expiry would be the same for ever.
    let ours = admitted(1_000, 101_000);
    let sum = ours as u64 + world.neighbours().admitted;
    assert!(ours < 900 && (950..=1_005).contains(&sum), "{ours} ours of {sum}");
    let alone = (admitted(102_000, 109_000), admitted(50_000, 57_000));
    assert!(alone.0 > alone.1, "{alone:?}: alone again, it gets more");
}

#[test]
fn a_poisson_neighbour_keeps_its_rate() {
    let server = ServerSettings {
        layers: Vec::new(),
        neighbours: vec![neighbour(true)],
        ..ServerSettings::default()
    };
    let mut world = World::new(1, still(), server);
    run(&mut world, 1, 1);
    let count = world.neighbours();
    // 500 expected; five sigma either side.
    assert!((389..611).contains(&count.arrived), "{count:?}");
    assert_eq!(count.arrived, count.admitted);
}

#[test]
fn the_log_can_be_taken_away() {
    let mut world = World::new(0, still(), ServerSettings::default()).with_log_max(3);
    run(&mut world, 3, 1);
    assert_eq!(world.drain_log().count(), 3);
    assert_eq!((world.log().len(), world.arrivals()), (0, 3));
}
