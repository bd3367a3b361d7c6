use std::time::Duration;

use super::*;
use crate::infer::Decision;
use crate::infer::families::Latency;
use crate::limiter::{Layer, Layers, LimiterSettings, Ruling};
use crate::model::{Factor, Identity, Moment, Scope};

/// So many in any second per token, inside so many of the tenant.
const EACH: u64 = 10;
const ALL: u64 = 17;

fn log(limit: u64) -> Kind {
    Kind::SlidingLog { limit, window: Duration::from_secs(1) }
}

fn parties() -> Vec<Identity> {
    let one = |token: &str| Identity {
        token: token.into(),
        tenant: "acme".into(),
        ..Identity::default()
    };
    ["a", "b", "c"].map(one).into()
}

fn latency() -> Latency {
    Latency {
        jitter: 0.0003,
        jitter_max: 0.001,
        rtt: 0.02,
        refusal: 0.02,
        answer: 0.02,
        usual: 0.03,
    }
}

/// What the server does with requests of these parties at these times.
fn served(requests: impl Iterator<Item = (f64, usize)>) -> Observations {
    let layer = |name: &str, factor, limit| Layer {
        name: name.into(),
        scope: Scope::Shared([factor].into()),
        limiter: LimiterSettings::plain(log(limit)),
    };
    let mut layers = Layers::new(vec![
        layer("token", Factor::Token, EACH),
        layer("tenant", Factor::Tenant, ALL),
    ]);
    let parties = parties();
    let attempt = |(sent, party): (f64, usize)| {
        let at = Moment::ZERO + Duration::from_secs_f64(sent);
        let admitted = matches!(layers.decide(at, &parties[party]), Ruling::Admitted { .. });
        let decision = if admitted { Decision::Admitted } else { Decision::Refused };
        let answered = Some(sent + 0.02);
        Attempt { sent, answered, decision, party, advice: None, quota: None }
    };
    let attempts = requests.map(attempt).collect();
    Observations { parties: parties.clone(), attempts, ..Observations::default() }
}

/// From `begin`, so many requests at a rate, by turns.
fn turns(begin: f64, rate: f64, count: u32, by: &[usize]) -> Vec<(f64, usize)> {
    let turn = |i: u32| (begin + f64::from(i) / rate, by[i as usize % by.len()]);
    (0..count).map(turn).collect()
}

fn pairs(shared: [Finding<bool>; 2]) -> Vec<PairFinding> {
    let all = shared.into_iter().zip(1..);
    all.map(|(shared, other)| scope::pair_of(&parties(), other, shared)).collect()
}

fn inner(observations: &Observations, pairs: &[PairFinding]) -> Inner {
    Inner::new(observations, log(EACH), latency(), pairs)
}

#[test]
fn what_the_first_limit_refuses_is_taken_out_and_what_another_does_stays() {
    // One by itself meets its own limit; then all three together, at 8/s each, that of the tenant.
    let alone = turns(10.0, 40.0, 14, &[0]);
    let together = turns(20.0, 24.0, 20, &[0, 1, 2]);
    let observations = served(alone.into_iter().chain(together));
    let refused = |o: &Observations| o.attempts.iter().filter(|a| a.is_refused()).count();
    let (own, behind) = (4, 3);
    assert_eq!(refused(&observations), own + behind);
    let apart = pairs([known(false, 1.0), known(false, 1.0)]);
    let residue = inner(&observations, &apart).residue(&observations);
    assert_eq!(refused(&residue), behind);
    assert!(residue.attempts.iter().filter(|a| a.is_refused()).all(|a| a.sent > 20.0));
    // If two of them shared the first limit, that would be what refused.
    let shared = pairs([known(true, 1.0), known(true, 1.0)]);
    assert_eq!(refused(&inner(&observations, &shared).residue(&observations)), 0);
    // Who may share it or not says nothing.
    let open = pairs([undecided(), undecided()]);
    let residue = inner(&observations, &open).residue(&observations);
    assert!(residue.attempts.iter().filter(|a| a.is_refused()).all(|a| a.party == 0));
}

#[test]
fn two_parties_are_told_apart_inside_a_limit_of_both() {
    // 16 in a second: more than one limit of ten admits, and less than each has.
    let requests = (0..4).flat_map(|i| turns(10.0 + 5.0 * f64::from(i), 18.0, 20, &[0, 1]));
    let observations = served(requests);
    let ln =
        |shared| Inner::of_two(log(EACH), latency(), 1, shared).ln_likelihood_of_two(&observations);
    assert!(ln(false) > ln(true) + DECIDED, "{} and {}", ln(false), ln(true));
}

#[test]
fn what_all_were_admitted_together_is_said() {
    let observations = served(turns(10.0, 16.0, 60, &[0, 1, 2]).into_iter());
    let apart = pairs([known(false, 1.0), known(false, 1.0)]);
    let said = inner(&observations, &apart).together(&observations);
    assert!(said.is_some_and(|said| said.starts_with("up to 16 requests")));
    let shared = pairs([known(true, 1.0), known(true, 1.0)]);
    assert_eq!(inner(&observations, &shared).together(&observations), None);
}
