//! Fairness, ceilings, and bulk against one by one.

use super::*;
use proptest::prelude::*;

fn claim(stream: u32, weight: f64, ceiling: f64) -> Claim {
    Claim { stream: StreamId(stream), weight, ceiling }
}

/// The moment of tick `i` at so many a second.
fn tick(i: u64, rate: f64) -> Moment {
    Moment::ZERO + Duration::from_secs_f64(i as f64 / rate)
}

#[test]
fn shares_follow_the_weights_up_to_the_ceilings() {
    let mut turns = Turns::default();
    let claims = [claim(0, 1.0, 100.0), claim(1, 3.0, 30.0), claim(2, 1.0, 100.0)];
    assert_eq!(turns.divide(100.0, claims, Moment::ZERO), 100.0);
    let shares: Vec<_> = (0..3).map(|i| turns.share(StreamId(i))).collect();
    assert_eq!(shares, [35.0, 30.0, 35.0], "the second is full; the others share the rest");
    assert_eq!(turns.share_out(1_000.0), 230.0, "no more than all ceilings together");
    assert_eq!(turns.share(StreamId(9)), 0.0);
}

#[test]
fn nobody_able_takes_a_turn_it_cannot_use_and_no_ceiling_is_passed() {
    let mut turns = Turns::default();
    turns.divide(20.0, [claim(0, 1.0, 100.0), claim(1, 1.0, 12.0)], Moment::ZERO);
    let mut given = 0;
    for i in 0..200 {
        let at = tick(i, 20.0);
        if turns.next(at) == Some(StreamId(0)) {
            let stood_in = turns.stand_in(at, |id| id == StreamId(1));
            given += u64::from(stood_in.is_some());
        }
    }
    // Ten seconds: it has had its 100, and may have 120 and one.
    assert!((19..=21).contains(&given), "{given}");
}

#[test]
fn who_was_away_does_not_crowd_out_the_rest() {
    let mut turns = Turns::default();
    turns.divide(10.0, [claim(0, 1.0, 10.0), claim(1, 1.0, 10.0)], Moment::ZERO);
    turns.deal(1_000_001, tick(1_000_000, 10.0));
    let after: Vec<_> = (1..9).filter_map(|i| turns.next(tick(1_000_000 + i, 10.0))).collect();
    let first = after.iter().filter(|id| **id == StreamId(0)).count();
    assert!((3..=5).contains(&first), "{after:?}");
}

proptest! {
    /// After any number of ticks each stream has had its share, to within one; and no window holds
    /// more of one stream's slots than its ceiling allows, and one.
    #[test]
    fn ticks_are_dealt_fairly(
        claims in prop::collection::vec((0.1_f64..10.0, 1.0_f64..50.0), 1..8),
        load in 0.1_f64..1.0,
    ) {
        let ceilings: f64 = claims.iter().map(|(_, ceiling)| ceiling).sum();
        let total = ceilings * load;
        let mut turns = Turns::default();
        let named = claims.iter().enumerate().map(|(i, (w, c))| claim(i as u32, *w, *c));
        let rate = turns.divide(total, named, Moment::ZERO);
        let mut slots: Vec<Vec<Moment>> = vec![Vec::new(); claims.len()];
        for i in 0..500_u64 {
            if let Some(stream) = turns.next(tick(i, rate)) {
                slots[stream.0 as usize].push(tick(i, rate));
            }
            for (stream, had) in slots.iter().enumerate() {
                let right = turns.entries[stream].part * (i + 1) as f64;
                let off = (had.len() as f64 - right).abs();
                prop_assert!(off < 2.0 && (load > 0.9 || off < 1.0 + 1e-9), "{stream}: {had:?} of {right}");
            }
        }
        for (had, (_, ceiling)) in slots.iter().zip(&claims) {
            for (first, from) in had.iter().enumerate() {
                for (last, to) in had.iter().enumerate().skip(first) {
                    let most = to.since(*from).as_secs_f64() * ceiling + 2.0 + 1e-6;
                    prop_assert!((last - first + 1) as f64 <= most);
                }
            }
        }
    }

    /// Ticks dealt at once are as many as there were, and as fairly dealt.
    #[test]
    fn bulk_loses_no_tick(
        claims in prop::collection::vec((0.1_f64..10.0, 1.0_f64..50.0), 1..8),
        bulks in prop::collection::vec(0_u64..5_000, 1..6),
    ) {
        let mut turns = Turns::default();
        let total: f64 = claims.iter().map(|(_, ceiling)| ceiling * 0.5).sum();
        let named = claims.iter().enumerate().map(|(i, (w, c))| claim(i as u32, *w, *c));
        turns.divide(total, named, Moment::ZERO);
        let (mut had, mut ticks) = (vec![0_u64; claims.len()], 0);
        for bulk in bulks {
            let dealt = turns.deal(bulk, tick(ticks + bulk, total));
            prop_assert_eq!(dealt.iter().map(|(_, n)| n).sum::<u64>(), bulk);
            ticks += bulk;
            for (stream, count) in dealt {
                had[stream.0 as usize] += count;
            }
            for (stream, had) in had.iter().enumerate() {
                let right = turns.entries[stream].part * ticks as f64;
                prop_assert!((*had as f64 - right).abs() <= 2.0, "{had} of {right}");
            }
        }
    }
}
