//! The world is the examiner of the engine, so it has an exam of its own.

mod others;

use std::time::Duration;

use super::*;
use crate::limiter::{Kind, Layer, LimiterSettings, Lockout};
use crate::model::{
    Advice, Answer, AttemptId, CredentialId, EndpointId, Factor, Failure, FailureKind, Identity,
    MessageId, Moment, Scope, SendOrder, SpanId, StreamId, Verdict,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Moment {
    Moment::ZERO + ms(n)
}

fn order(attempt: u64, now: Moment) -> SendOrder {
    SendOrder {
        attempt: AttemptId(attempt),
        stream: StreamId(0),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        token_generation: 0,
        message: MessageId(u128::from(attempt) + 1),
        sequence: attempt,
        resend: 0,
        span: SpanId(attempt + 1),
        due: now,
        first_due: now,
        ordered_at: now,
        resume: false,
    }
}

fn still() -> NetworkSettings {
    NetworkSettings { rtt: ms(40), jitter: Duration::ZERO, ..NetworkSettings::default() }
}

fn limit(kind: Kind) -> Layer {
    let scope = Scope::Shared([Factor::Tenant].into());
    Layer { name: "org.rate".into(), scope, limiter: LimiterSettings::plain(kind) }
}

fn log_of(limit: u64) -> Kind {
    Kind::SlidingLog { limit, window: Duration::from_secs(1) }
}

/// Sends one request every `gap_ms` and lets the world run to its end.
fn run(world: &mut World, count: u64, gap_ms: u64) -> Vec<(AttemptId, Answer)> {
    let mut answers = Vec::new();
    for i in 0..count {
        let now = at(i * gap_ms);
        while let Some(answer) = world.deliver(now) {
            answers.push(answer);
        }
        world.send(now, order(i, now), &Identity::default());
    }
    while let Some(next) = world.next_at() {
        answers.extend(world.deliver(next));
    }
    answers
}

fn verdicts(answers: &[(AttemptId, Answer)], wanted: Verdict) -> usize {
    answers.iter().filter(|(_, a)| a.verdict == wanted).count()
}

fn rough() -> (NetworkSettings, ServerSettings) {
    let network = NetworkSettings {
        jitter: ms(30),
        loss: 0.02,
        reset_before_write: 0.02,
        reset_after_write: 0.02,
        timeout: ms(500),
        ..still()
    };
    let server = ServerSettings {
        layers: vec![limit(log_of(50))],
        service_jitter: ms(5),
        server_error: 0.02,
        unauthorized: 0.02,
        hints: HintStyle::Honest,
        ..ServerSettings::default()
    };
    (network, server)
}

#[test]
fn a_seed_replays_the_world_and_another_gives_another() {
    let (network, server) = rough();
    let play = |seed| {
        let mut world = World::new(seed, network.clone(), server.clone());
        let answers = run(&mut world, 500, 7);
        (answers, world.log().to_vec())
    };
    assert_eq!(play(1), play(1));
    assert_ne!(play(1).1, play(2).1);
}

#[test]
fn every_order_is_answered_once_and_answers_come_in_order_of_time() {
    let (network, server) = rough();
    for seed in 0..50 {
        let mut world = World::new(seed, network.clone(), server.clone());
        let answers = run(&mut world, 200, 5);
        let mut ids: Vec<u64> = answers.iter().map(|(id, _)| id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..200).collect::<Vec<_>>());
        assert!(answers.is_sorted_by_key(|(_, a)| a.done_at));
    }
}

#[test]
fn jitter_lets_requests_overtake_and_the_server_decides_as_they_arrive() {
    let network = NetworkSettings { jitter: ms(50), ..still() };
    let server = ServerSettings { layers: vec![limit(log_of(5))], ..ServerSettings::default() };
    let mut world = World::new(3, network, server);
    run(&mut world, 20, 1);
    let log = world.log();
    assert!(log.is_sorted_by_key(|a| a.at));
    assert!(!log.is_sorted_by_key(|a| a.sent_at), "with 50 ms of jitter some must overtake");
    let admitted: Vec<bool> = log.iter().map(|a| a.admitted).collect();
    assert_eq!(admitted, [[true; 5].as_slice(), &[false; 15]].concat());
}

#[test]
fn an_answer_takes_the_round_trip_and_the_service_time() {
    let mut world = World::new(0, still(), ServerSettings::default());
    let answers = run(&mut world, 1, 1);
    let [(_, answer)] = answers.as_slice() else { panic!("one answer, not {answers:?}") };
    assert_eq!(answer.verdict, Verdict::Accepted);
    assert_eq!((answer.status, answer.headers_at), (Some(200), Some(answer.done_at)));
    assert_eq!(answer.done_at, at(45));
    assert_eq!(world.log()[0].at, at(20));
}

#[test]
fn a_loss_is_a_timeout_that_may_have_arrived() {
    let network = NetworkSettings { loss: 0.3, timeout: ms(300), ..still() };
    let mut world = World::new(9, network, ServerSettings::default());
    let answers = run(&mut world, 1_000, 1);
    let timeout = Failure { kind: FailureKind::Timeout, may_have_arrived: true };
    let timed_out = verdicts(&answers, Verdict::Failed(timeout));
    // One way or the other: 1 − 0.7² = 0.51; the request itself, 0.3. Five sigma either side.
    assert!((431..589).contains(&timed_out), "{timed_out}");
    assert!((628..772).contains(&world.log().len()), "{}", world.log().len());
    for (id, answer) in &answers {
        if answer.verdict == Verdict::Failed(timeout) {
            assert_eq!(answer.done_at, at(id.0) + ms(300));
        }
    }
}

#[test]
fn a_slow_server_times_out_though_it_serves() {
    let network = NetworkSettings { timeout: ms(50), ..still() };
    let server = ServerSettings { service: ms(100), ..ServerSettings::default() };
    let mut world = World::new(0, network, server);
    let answers = run(&mut world, 1, 1);
    let timeout = Failure { kind: FailureKind::Timeout, may_have_arrived: true };
    assert_eq!(verdicts(&answers, Verdict::Failed(timeout)), 1);
    assert!(world.log()[0].admitted);
}

#[test]
fn a_way_longer_than_the_timeout_still_arrives() {
    let network = NetworkSettings { timeout: ms(10), ..still() };
    let mut world = World::new(0, network, ServerSettings::default());
    let answers = run(&mut world, 1, 1);
    assert_eq!(answers[0].1.done_at, at(10));
    assert_eq!((answers.len(), world.log().len()), (1, 1));
}

#[test]
fn resets_tell_the_client_whether_it_had_written() {
    let play = |network| {
        let mut world = World::new(0, network, ServerSettings::default());
        let answers = run(&mut world, 20, 1);
        (answers, world.arrivals())
    };
    let (answers, arrivals) = play(NetworkSettings { reset_before_write: 1.0, ..still() });
    let before = Failure { kind: FailureKind::Connect, may_have_arrived: false };
    assert_eq!((verdicts(&answers, Verdict::Failed(before)), arrivals), (20, 0));
    let (answers, arrivals) = play(NetworkSettings { reset_after_write: 1.0, ..still() });
    let after = Failure { kind: FailureKind::Transport, may_have_arrived: true };
    assert_eq!((verdicts(&answers, Verdict::Failed(after)), arrivals), (20, 20));
}

#[test]
fn exact_advice_counted_from_the_headers_is_never_too_short() {
    for advice in [AdviceStyle::Exact, AdviceStyle::WholeSeconds] {
        let server =
            ServerSettings { layers: vec![limit(log_of(3))], advice, ..ServerSettings::default() };
        let network = NetworkSettings { jitter: ms(20), ..still() };
        let mut world = World::new(5, network, server);
        let answers = run(&mut world, 10, 1);
        let refused = answers.iter().filter(|(_, a)| a.verdict == Verdict::Throttled);
        let last = refused.max_by_key(|(_, a)| a.headers_at).map(|(_, a)| a.clone());
        let last = last.expect("seven were refused");
        let wait = last.advice.wait().expect("advice");
        let back_at = last.headers_at.expect("a response") + wait;
        world.send(back_at, order(99, back_at), &Identity::default());
        while let Some(next) = world.next_at() {
            world.deliver(next);
        }
        assert!(world.log().last().is_some_and(|a| a.admitted), "{advice:?}");
    }
}

#[test]
fn a_refusal_names_its_limit_and_hints_come_on_every_answer() {
    let server = ServerSettings {
        layers: vec![limit(log_of(1))],
        hints: HintStyle::Honest,
        ..ServerSettings::default()
    };
    let mut world = World::new(0, still(), server);
    let answers = run(&mut world, 2, 1);
    assert!(answers.iter().all(|(_, a)| a.hints.len() == 1));
    let refused = answers.iter().find(|(_, a)| a.verdict == Verdict::Throttled);
    let (_, refused) = refused.expect("one refusal");
    let named = refused.named_limit.as_deref().expect("named");
    assert_eq!((&*named.key, named.namespace.as_deref()), ("org.rate", Some("tenant")));
    assert_eq!(refused.hints[0].remaining, Some(0));
    assert!(matches!(refused.advice, Advice::Wait(..)));
}

#[test]
fn a_limit_changes_at_its_time() {
    let changes = vec![LimitChange { at: at(1_500), layer: 0, kind: log_of(2) }];
    let server =
        ServerSettings { layers: vec![limit(log_of(100))], changes, ..ServerSettings::default() };
    let mut world = World::new(0, still(), server);
    run(&mut world, 60, 50);
    let admitted = |from: u64, to: u64| {
        let inside = |a: &&Arrival| a.admitted && a.at >= at(from) && a.at < at(to);
        world.log().iter().filter(inside).count()
    };
    assert_eq!(admitted(0, 1_500), 30);
    assert_eq!(admitted(2_000, 3_000), 2);
}

#[test]
fn a_place_is_held_while_a_request_is_served() {
    let server = ServerSettings {
        service: ms(100),
        layers: vec![limit(Kind::Concurrency { limit: 1 })],
        ..ServerSettings::default()
    };
    let mut world = World::new(0, still(), server);
    run(&mut world, 9, 50);
    let admitted: Vec<bool> = world.log().iter().map(|a| a.admitted).collect();
    // Released at the very moment of the third arrival, and before it.
    let pattern = [true, false, true, false, true, false, true, false, true];
    assert_eq!(admitted, pattern);
}

#[test]
fn a_lockout_outlasts_the_limit() {
    let mut layer = limit(Kind::TokenBucket { rate: "10/s".parse().expect("a rate"), burst: 1 });
    layer.limiter.lockout = Lockout::Fixed(ms(1_000));
    let server = ServerSettings { layers: vec![layer], ..ServerSettings::default() };
    let mut world = World::new(0, still(), server);
    run(&mut world, 30, 50);
    let refused = world.log().iter().filter(|a| !a.admitted).count();
    // Refused at 50 ms, locked for the 20 requests until 1,050 ms; then again at 1,100 ms.
    assert_eq!(refused, 20 + 8);
}

#[test]
fn a_revoked_generation_is_refused_and_the_next_is_not() {
    let mut world = World::new(0, still(), ServerSettings::default());
    world.revoke(CredentialId(0), 0);
    world.send(at(0), order(0, at(0)), &Identity::default());
    let renewed = SendOrder { token_generation: 1, ..order(1, at(1)) };
    world.send(at(1), renewed, &Identity::default());
    let mut verdicts = Vec::new();
    while let Some(next) = world.next_at() {
        verdicts.extend(world.deliver(next).map(|(id, a)| (id.0, a.verdict)));
    }
    assert_eq!(verdicts, [(0, Verdict::Unauthorized), (1, Verdict::Accepted)]);
}

#[test]
fn the_log_is_bounded_and_the_count_is_not() {
    let mut world = World::new(0, still(), ServerSettings::default()).with_log_max(3);
    run(&mut world, 10, 1);
    assert_eq!((world.log().len(), world.arrivals()), (3, 10));
}
