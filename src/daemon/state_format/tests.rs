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
        manners: Some(MannersMemory { hints_lie: true, silence: secs(30), unused: Duration::ZERO }),
    }
}

fn stamp(unix_ns: i64) -> Stamp {
    Stamp { unix_ns, boot_ns: 5_000 * NS.cast_unsigned() }
}

fn told(scopes: Vec<ScopeMemory>) -> String {
    text(&scopes.into(), stamp(WRITTEN), Some("one"))
}

/// As the next start of the machine reads it, by the wall clock.
fn read_after(seconds: i64) -> Option<ScopeMemory> {
    let read = parse(&told(vec![known()]), stamp(WRITTEN + seconds * NS), Some("another"));
    read.expect("its own text").scopes.pop()
}

#[test]
fn within_one_start_of_the_machine_nobody_asks_the_wall_clock() {
    let text = told(vec![known()]);
    for (later, left) in [(0, Some(31)), (10, Some(21)), (30, Some(1)), (31, None)] {
        for wall in [0, WRITTEN - 3_600 * NS, WRITTEN, WRITTEN + 3_600 * NS] {
            let now = Stamp { unix_ns: wall, boot_ns: (5_000 + later) * NS.cast_unsigned() };
            let memory = parse(&text, now, Some("one")).expect("its own text");
            let pause = memory.scopes.first().and_then(|scope| scope.pause);
            assert_eq!(pause.map(|p| p.left), left.map(secs), "after {later} s, at {wall}");
        }
    }
}

#[test]
fn what_was_counted_grows_older_and_what_was_reserved_does_not() {
    let count = CountMemory {
        hour: vec![(secs(3_590), 4), (secs(10), 5)],
        day: vec![(secs(7_200), 11), (secs(10), 9)],
        in_all: 1_000,
        reserved: 7,
    };
    let counts = vec![(None, count.clone()), (Some("s".into()), count)];
    let paused = vec![Some("s".into()), None];
    let memory = Memory { scopes: Vec::new(), safety: SafetyMemory { counts, paused } };
    let text = text(&memory, stamp(WRITTEN), Some("one"));
    assert_eq!(parse(&text, stamp(WRITTEN), Some("one")).as_ref(), Ok(&memory));
    let later = parse(&text, stamp(WRITTEN + 20 * NS), None).expect("its own text");
    assert_eq!(later, memory.later(secs(20)));
    let (_, count) = &later.safety.counts[1];
    assert_eq!((&*count.hour, count.in_all, count.reserved), (&[(secs(30), 5)][..], 1_000, 7));
}

#[test]
fn what_this_program_does_not_know_is_passed_over() {
    let text = r#"{"version": 3, "written_unix_ns": 0, "scopes": [], "colour": "blue"}"#;
    assert_eq!(parse(text, stamp(0), Some("one")), Ok(Memory::default()));
}

#[test]
fn a_text_of_the_version_before_is_read() {
    let text = r#"{"version": 1, "written_unix_ns": 0, "scopes": []}"#;
    assert_eq!(parse(text, stamp(0), Some("one")), Ok(Memory::default()));
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(read_after(0), Some(known()));
    let kinds = [
        Kind::FixedWindow { limit: 7, window: secs(60), phase: Duration::ZERO },
        Kind::OnDemandWindow { limit: 7, window: secs(60) },
        Kind::SlidingCounter { limit: 7, window: secs(60), phase: Duration::ZERO },
        Kind::TokenBucket { rate: Rate::nearest(99.7), burst: 10 },
        Kind::Queue { rate: Rate::nearest(50.0), depth: 10 },
        Kind::Concurrency { limit: 12 },
    ];
    for kind in kinds {
        let mut scope = known();
        scope.estimate.as_mut().expect("an estimate").estimate.limiter = kind;
        let back = parse(&told(vec![scope.clone()]), stamp(WRITTEN), None).expect("its own text");
        assert_eq!(back.scopes, [scope]);
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
    let good = told(vec![known()]);
    let spoilt = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        parse(&good.replace(from, to), stamp(WRITTEN), None).expect_err("not its own text")
    };
    assert!(spoilt("\"version\": 3", "\"version\": 4").contains("version: 4"));
    assert!(spoilt("\"left_s\": 31.0", "\"left_s\": -1.0").contains("scopes[0].pause.left_s"));
    assert!(spoilt("\"left_s\": 31.0", "\"left_s\": 3.0").contains("asked_s: more than"));
    assert!(spoilt("\"rate_low\": 99.0", "\"rate_low\": 0.0").contains("rate_low: 0"));
    assert!(spoilt("\"rate_low\": 99.0", "\"rate_low\": 99.9").contains("not between"));
    assert!(spoilt("\"confidence\": 0.97", "\"confidence\": 97").contains("confidence"));
    assert!(spoilt("\"level\": 2", "\"level\": \"two\"").contains("scopes[0].pause.level"));
    assert!(spoilt("sliding_log", "sliding_frog").contains("limiter"));
    for cut in [0, 1, good.len() / 2, good.len() - 3] {
        assert!(parse(&good[..cut], stamp(WRITTEN), None).is_err(), "the first {cut} bytes");
    }
}
