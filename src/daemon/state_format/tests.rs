use super::*;

const NS: i64 = 1_000_000_000;
const WRITTEN: i64 = 1_700_000_000 * NS;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn known() -> ScopeMemory {
    let estimate = Estimate {
        rate: Interval { value: 99.5, low: 99.0, high: 100.25 },
        cautious: 99.1,
        limiter: Kind::SlidingLog { limit: 100, window: secs(1) },
        confidence: 0.97,
        jitter: Duration::from_millis(2),
        source: EstimateSource::Memory,
        throttles: 3,
        at: Moment::ZERO,
    };
    ScopeMemory {
        key: ScopeKey { domain: "api".into(), values: vec![(Factor::Tenant, "acme".into())] },
        estimate: Some(EstimateMemory { estimate, unused: Duration::ZERO }),
        pause: Some(PauseMemory { left: secs(31), asked: secs(30), level: 2, long: true }),
    }
}

fn read_after(seconds: i64) -> Option<ScopeMemory> {
    let text = text(&[known()], WRITTEN);
    parse(&text, WRITTEN + seconds * NS).expect("its own text").pop()
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(read_after(0), Some(known()));
    let kinds = [
        Kind::FixedWindow { limit: 7, window: secs(60), phase: Duration::ZERO },
        Kind::SlidingCounter { limit: 7, window: secs(60), phase: Duration::ZERO },
        Kind::TokenBucket { rate: Rate::nearest(99.7), burst: 10 },
        Kind::Queue { rate: Rate::nearest(50.0), depth: 10 },
        Kind::Concurrency { limit: 12 },
    ];
    for kind in kinds {
        let mut scope = known();
        scope.estimate.as_mut().expect("an estimate").estimate.limiter = kind;
        let back = parse(&text(&[scope.clone()], WRITTEN), WRITTEN).expect("its own text");
        assert_eq!(back, [scope]);
    }
}

#[test]
fn no_step_of_the_clock_makes_a_pause_longer() {
    for seconds in [i64::MIN / NS, -86_400, -1, 0, 1, 15, 29, 30, 31, 32, 86_400, 700_000_000] {
        let pause = read_after(seconds).and_then(|scope| scope.pause);
        let gone = secs(u64::try_from(seconds).unwrap_or_default());
        let left = secs(31).saturating_sub(gone);
        assert_eq!(pause.map(|p| p.left), (!left.is_zero()).then_some(left), "after {seconds} s");
        let asked = secs(30).saturating_sub(gone);
        assert!(pause.is_none_or(|p| p.asked == asked), "after {seconds} s: {pause:?}");
    }
}

#[test]
fn an_estimate_is_dropped_after_a_week_without_use() {
    let week = 7 * 86_400;
    let estimate = |seconds| read_after(seconds).and_then(|scope| scope.estimate);
    assert_eq!(estimate(week).map(|e| e.unused), Some(secs(week as u64)));
    assert_eq!(read_after(week + 1), None);
}

#[test]
fn what_is_wrong_with_a_text_is_said() {
    let good = text(&[known()], WRITTEN);
    let spoilt = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        parse(&good.replace(from, to), WRITTEN).expect_err("not its own text")
    };
    assert!(spoilt("\"version\": 1", "\"version\": 2").contains("version: 2"));
    assert!(spoilt("\"left_s\": 31.0", "\"left_s\": -1.0").contains("scopes[0].pause.left_s"));
    assert!(spoilt("\"left_s\": 31.0", "\"left_s\": 3.0").contains("asked_s: more than"));
    assert!(spoilt("\"rate_low\": 99.0", "\"rate_low\": 0.0").contains("rate_low: 0"));
    assert!(spoilt("\"rate_low\": 99.0", "\"rate_low\": 99.9").contains("not between"));
    assert!(spoilt("\"confidence\": 0.97", "\"confidence\": 97").contains("confidence"));
    assert!(spoilt("\"level\": 2", "\"level\": \"two\"").contains("scopes[0].pause.level"));
    assert!(spoilt("sliding_log", "sliding_frog").contains("limiter"));
    for cut in [0, 1, good.len() / 2, good.len() - 3] {
        assert!(parse(&good[..cut], WRITTEN).is_err(), "the first {cut} bytes");
    }
}
