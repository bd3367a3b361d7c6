//! The engine's invariants, over thousands of seeded worlds in virtual time.
//!
//! Each seed draws a world (limits, advice, network, faults), a plan (streams, scopes, policies)
//! and a script (stalls, reloads, a drain); the checker watches every output and knows nothing of
//! the engine's insides. A failure names its seed, which replays it exactly.

mod checker;
mod coverage;
mod days;
mod ending;
mod envelope;
mod pacing;
mod probing;
mod resume;
mod run;
mod scenario;
mod stream;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use run::run;
use scenario::Scenario;

/// Enough for every pair of features to meet several times; a few seconds on one core.
const SEEDS: u64 = 3_000;

#[test]
fn every_invariant_holds_in_every_world() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let seen = Mutex::new(coverage::Coverage::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let scenario = Scenario::draw(seed);
                    match run(&scenario) {
                        Ok(coverage) => seen.lock().expect("nobody has panicked").add(&coverage),
                        Err(broken) => panic!("seed {seed}: {broken}\n{scenario:#?}"),
                    }
                }
            });
        }
    });
    let seen = seen.into_inner().expect("nobody has panicked");
    // A checker that never meets a case proves nothing about it.
    seen.assert_everything_was_met();
}

#[test]
fn a_seed_replays_to_the_last_event() {
    for seed in [1, 17, 333] {
        let trace = |_| run::trace(&Scenario::draw(seed));
        let (first, second) = (trace(1), trace(2));
        assert!(first.len() > 1_000, "seed {seed} is too quiet to prove anything");
        assert_eq!(first, second, "seed {seed}");
    }
}
