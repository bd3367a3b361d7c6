//! What the renderings say, read back from what they wrote.

use super::*;
use crate::infer::Decision;
use crate::infer::study::{
    Attempt, Conclusion, DeclaredFinding, Figure, Finding, KindName, KindShare, LimitFinding,
    LockoutFinding, Material, Named, Observations, PairFinding, Reason, ScopeFinding, Trial,
    WithoutPrior,
};
use crate::limiter::{Kind, Limiter, LimiterSettings};
use crate::model::{Factor, Identity, Moment, Rate};
use std::time::Duration;

/// A name that would break out of every context there is.
const EVIL: &str = "<script>alert(\"1\")</script>'&";

fn known<T>(value: T) -> Finding<T> {
    Finding::Known { value, confidence: 0.97, evidence: format!("evidence {EVIL}") }
}

fn unknown<T>() -> Finding<T> {
    let (detail, experiment) = (format!("detail {EVIL}"), "an experiment".to_owned());
    Finding::Unknown { reason: Reason::TooLittleData, detail, experiment }
}

fn figure(value: f64, low: f64, high: f64) -> Figure {
    Figure { value, low, high }
}

/// A bucket of 100/s, burst 50, per client.
fn bucket() -> LimitFinding {
    LimitFinding {
        kind: known(KindName::TokenBucket),
        kinds: vec![
            KindShare { kind: KindName::TokenBucket, probability: 0.97 },
            KindShare { kind: KindName::SlidingLog, probability: 0.03 },
        ],
        rate: known(figure(100.0, 99.5, 100.4)),
        burst: known(figure(50.0, 49.0, 51.0)),
        window: known(figure(0.5, 0.49, 0.51)),
        phase: unknown(),
        lockout: known(LockoutFinding::None),
        refused_count: known(false),
        scope: known(ScopeFinding {
            factors: vec![Factor::Client],
            alike: vec![vec![Factor::Token]],
        }),
    }
}

/// Sends 190/s for two seconds to a bucket of 100/s, burst 50.
fn observations() -> Observations {
    let identity = |client: &str| Identity {
        client: client.into(),
        route: "POST /m".into(),
        ..Identity::default()
    };
    let kind = Kind::TokenBucket { rate: Rate::nearest(100.0), burst: 50 };
    let mut server = Limiter::new(&LimiterSettings::plain(kind));
    let attempt = |i: u32| {
        let sent = f64::from(i) / 190.0;
        let decision = server.decide(Moment::ZERO + Duration::from_secs_f64(sent));
        Attempt {
            sent: 100.0 + sent,
            answered: Some(100.02 + sent),
            decision: if decision.is_admitted() { Decision::Admitted } else { Decision::Refused },
            party: 0,
            advice: None,
            quota: None,
        }
    };
    let named = Named {
        key: "client.credentials.token.rate.per.minute".into(),
        namespace: Some("platform.api".into()),
        value: Some("300".into()),
    };
    Observations {
        parties: vec![identity("one"), identity(EVIL)],
        attempts: (0..380).map(attempt).collect(),
        named: vec![(named, 7)],
        ..Observations::default()
    }
}

fn conclusion(limit: LimitFinding) -> Conclusion {
    let says = DeclaredFinding {
        source: "quota hints".into(),
        says: format!("60 in 1 s {EVIL}"),
        named: None,
        agrees: Some(false),
        measured: "100/s".into(),
    };
    let pair = PairFinding {
        parties: ("one".into(), EVIL.into()),
        differ_in: vec![Factor::Client],
        shared: known(false),
    };
    Conclusion {
        material: Material { attempts: 400, admitted: 250, refused: 150, ..Material::default() },
        limits: vec![limit],
        pairs: vec![pair],
        declared: vec![says],
        without_prior: WithoutPrior {
            kind: Some(KindName::TokenBucket),
            rate: Some(figure(99.97, 99.5, 100.4)),
            burst: None,
            window: None,
        },
        remarks: vec![EVIL.into()],
    }
}

fn report(limit: LimitFinding) -> Report {
    let observations = observations();
    let trial = |rate: f64, admitted, refused| Trial {
        at: 0.0,
        party: 0,
        rate,
        why: EVIL.into(),
        admitted,
        refused,
        even: true,
    };
    let cost = Cost { requests: 1_000, throttles: 200, seconds: 600.0, rate: 250.0 };
    Report::new(Studied {
        generator: "plimsoll 1".into(),
        subject: Subject {
            source: Source::Probe,
            target: Some("t".into()),
            server: Some("api.example.com".into()),
            operation: Some("POST /m".into()),
            vendor: Vendor::Other,
        },
        names: vec!["one".into(), EVIL.into()],
        observations: &observations,
        conclusion: conclusion(limit),
        unix_origin: Some(1_700_000_000.0),
        experiment: Some(ExperimentPart {
            budget: cost,
            spent: Spent { requests: 400, throttles: 150, seconds: 2.0, ..Spent::default() },
            how: How::Answered,
            trials: vec![trial(200.0, 100, true), trial(400.0, 66, true), trial(90.0, 300, false)],
        }),
    })
}

/// Every tag with its attributes, and the text between.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag).collect()
}

#[test]
fn json_reads_back_as_what_was_written_and_fits_its_schema() {
    let report = report(bucket()).compared_with(&report(bucket()));
    let json = report.to_json().expect("is written");
    assert_eq!(Report::from_json(&json), Ok(report));
    let validator = jsonschema::validator_for(&Report::schema()).expect("a schema");
    let mut value: serde_json::Value = serde_json::from_str(&json).expect("is JSON");
    assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
    value["conclusion"]["limits"][0]["rate"]["status"] = "guessed".into();
    assert!(!validator.is_valid(&value), "the schema says something");
}

#[test]
fn the_published_schema_is_that_of_the_report() {
    let published: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/probe.schema.json")).expect("is JSON");
    let same = published == Report::schema();
    assert!(same, "write it again: plimsoll probe --print-schema > docs/probe.schema.json");
}

#[test]
fn an_interval_without_an_end_is_written_and_read() {
    let endless = LimitFinding { rate: known(figure(100.0, 90.0, f64::INFINITY)), ..bucket() };
    let report = report(endless);
    let json = report.to_json().expect("is written");
    assert_eq!(Report::from_json(&json).as_ref(), Ok(&report));
    assert!(to_text(&report).contains("90/s to ∞"), "{}", to_text(&report));
}

#[test]
fn what_is_no_report_is_told_apart() {
    let error = |text: &str| Report::from_json(text).expect_err("no report");
    assert!(error("{}").contains("schema_version"));
    assert!(error(r#"{"schema_version": 9}"#).contains("version 9"));
    assert!(error(r#"{"schema_version": 1, "generator": 5}"#).contains("generator"));
}

#[test]
fn text_says_the_answer_first_and_what_is_unknown_with_what_would_tell() {
    let unsure = LimitFinding { lockout: unknown(), ..bucket() };
    let text = to_text(&report(unsure));
    let first = text.lines().next().expect("a line");
    assert_eq!(first, "The limit is a token bucket of 100/s, burst 50, per client.");
    for said in [
        "rate              100/s (99.5/s to 100.4/s), 97 % sure",
        "lockout           unknown: too little data",
        "would tell: an experiment",
        "DISAGREES",
        "client.credentials.token.rate.per.minute (namespace platform.api)",
        "support case",
        "The limit as concluded decides",
        "The probe sent 400 of at most 1000 requests; 150 of at most 200 were refused.",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn the_page_asks_for_nothing_and_escapes_everything() {
    let page = to_html(&report(bucket()).compared_with(&report(bucket())));
    assert!(!page.contains("<script"), "a name became a tag");
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;"));
    let tags = tags(&page);
    for tag in &tags {
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        assert!(!["script", "link", "img", "iframe", "object", "a"].contains(&name), "<{tag}>");
        for word in ["src=", "href=", "url(", " on"] {
            assert!(!tag.contains(word), "<{tag}>");
        }
    }
    assert!(!page.contains("url(") && !page.contains("@import") && !page.contains("//"), "links");
    let count = |name: &str| tags.iter().filter(|tag| tag.split(' ').next() == Some(name)).count();
    for name in ["svg", "table", "figure", "section", "h2", "title", "tr", "td", "p", "ul"] {
        assert_eq!(count(name), count(&format!("/{name}")), "{name}");
    }
    assert_eq!(count("circle"), 3, "a dot for each trial");
    assert_eq!(count("polyline"), 2, "the limit in both pictures");
    assert_eq!(page.matches("class=\"apart\"").count(), 2, "the matrix is symmetric");
}

#[test]
fn the_concluded_limit_decides_as_the_server_did() {
    let timeline = report(bucket()).timeline;
    let sum = |of: fn(&Bin) -> u64| timeline.bins.iter().map(of).sum::<u64>();
    assert_eq!((sum(|b| b.admitted), sum(|b| b.refused)), (249, 131));
    // Where the bucket runs empty at about twice its refill, rounding decides which of two is refused.
    assert!(timeline.agreed.is_some_and(|agreed| agreed >= 361), "{:?}", timeline.agreed);
    let narrow = LimitFinding { rate: known(figure(50.0, 50.0, 50.0)), ..bucket() };
    let timeline = report(narrow).timeline;
    assert!(timeline.agreed.is_some_and(|agreed| agreed < 350), "another limit does not");
    let nothing = LimitFinding { kind: unknown(), ..bucket() };
    assert_eq!(report(nothing).timeline.agreed, None);
}

#[test]
fn a_window_admits_between_one_and_two_limits_depending_on_where_a_trial_begins() {
    let window = LimitFinding {
        kind: known(KindName::FixedWindow),
        burst: known(figure(100.0, 100.0, 100.0)),
        window: known(figure(1.0, 1.0, 1.0)),
        ..bucket()
    };
    let settings = replay::settings(&window).expect("is known");
    let (least, most) = replay::admitted_from_rest(&settings, 120.0, 1_000);
    assert!(least.is_some_and(|n| (100..=110).contains(&n)), "{least:?}");
    assert!(most.is_some_and(|n| (190..=200).contains(&n)), "{most:?}");
    assert_eq!(replay::admitted_from_rest(&settings, 50.0, 1_000), (None, None));
}

#[test]
fn only_intervals_that_do_not_overlap_are_a_change() {
    let slower =
        |value, low, high| LimitFinding { rate: known(figure(value, low, high)), ..bucket() };
    let standing = |limit, aspect| {
        let report = report(limit).compared_with(&report(bucket()));
        let changes = report.changes.clone().expect("were compared");
        let change = changes.aspects.into_iter().find(|change| change.aspect == aspect);
        (change.expect("is compared").standing, report.has_changed())
    };
    assert_eq!(standing(bucket(), Aspect::Rate), (Standing::Same, false));
    assert_eq!(standing(slower(98.0, 96.0, 99.6), Aspect::Rate), (Standing::Same, false));
    assert_eq!(standing(slower(60.0, 59.0, 61.0), Aspect::Rate), (Standing::Changed, true));
    let unsure = LimitFinding { rate: unknown(), ..bucket() };
    assert_eq!(standing(unsure, Aspect::Rate), (Standing::Unclear, false));
    let scoped = |factors: &[Factor]| LimitFinding {
        scope: known(ScopeFinding { factors: factors.to_vec(), alike: Vec::new() }),
        ..bucket()
    };
    assert_eq!(standing(scoped(&[Factor::Token]), Aspect::Scope), (Standing::Same, false));
    assert_eq!(standing(scoped(&[Factor::Tenant]), Aspect::Scope), (Standing::Changed, true));
    let second = figure(30.0, 29.9, 30.1);
    let locked =
        LimitFinding { lockout: known(LockoutFinding::Fixed { seconds: second }), ..bucket() };
    assert_eq!(standing(locked, Aspect::Lockout), (Standing::Changed, true));
    let log = LimitFinding { kind: known(KindName::SlidingLog), ..bucket() };
    assert_eq!(standing(log, Aspect::Kind), (Standing::Changed, true));
}

#[test]
fn a_change_is_told_in_both_renderings() {
    let slower = LimitFinding { rate: known(figure(60.0, 59.0, 61.0)), ..bucket() };
    let report = report(slower).compared_with(&report(bucket()));
    let line = "rate: 100/s (99.5/s to 100.4/s), now 60/s (59/s to 61/s)";
    assert!(to_text(&report).contains(&format!("CHANGED since 2023-11-14T22:15:00Z\n  {line}")));
    assert!(to_html(&report).contains(&format!("<strong>{line}</strong>")));
}

/// A window of 150 in 1 s for the tenant.
fn around() -> LimitFinding {
    LimitFinding {
        kind: known(KindName::FixedWindow),
        rate: known(figure(150.0, 149.0, 151.0)),
        burst: known(figure(150.0, 149.6, 150.4)),
        window: known(figure(1.0, 1.0, 1.0)),
        phase: known(figure(0.0, 0.0, 0.0)),
        scope: known(ScopeFinding { factors: vec![Factor::Tenant], alike: Vec::new() }),
        ..bucket()
    }
}

fn nested(around: LimitFinding) -> Report {
    let mut report = report(bucket());
    report.conclusion.limits.push(around);
    report
}

#[test]
fn a_limit_around_the_first_is_told_and_compared() {
    let found = nested(around());
    let text = to_text(&found);
    let first = "The limit is a token bucket of 100/s, burst 50, per client; inside a fixed window of 150 in 1 s, per tenant.";
    assert_eq!(text.lines().next(), Some(first), "{text}");
    assert!(text.contains("Around it: a fixed window of 150 in 1 s, per tenant"), "{text}");
    assert!(
        to_html(&found).contains("<h2>Around it: a fixed window of 150 in 1 s, per tenant</h2>")
    );
    let smaller = LimitFinding { burst: known(figure(120.0, 119.6, 120.4)), ..around() };
    let now = nested(smaller).compared_with(&found);
    assert!(now.has_changed(), "{:?}", now.changes);
    let line = "limit around it, burst: 150 (149.6 to 150.4), now 120 (119.6 to 120.4)";
    assert!(to_text(&now).contains(line), "{}", to_text(&now));
    assert!(!nested(around()).compared_with(&found).has_changed(), "the same");
    // One that was not met may not have been looked for.
    let gone = report(bucket()).compared_with(&found);
    assert!(
        !gone.has_changed() && to_text(&gone).contains("now none was met"),
        "{}",
        to_text(&gone)
    );
}

#[test]
fn limits_around_each_other_are_played_together() {
    let observations = observations();
    let play = |limits: &[LimitFinding]| {
        let timeline = replay::timeline(&observations, limits);
        timeline.bins.iter().map(|bin| bin.predicted).sum::<u64>()
    };
    let small = LimitFinding { burst: known(figure(20.0, 20.0, 20.0)), ..around() };
    assert!(play(&[bucket()]) > 230);
    assert_eq!(play(&[bucket(), around()]), play(&[bucket()]), "it never binds");
    // Two seconds, and so three windows at most.
    assert!((40..=60).contains(&play(&[bucket(), small])));
}

#[test]
fn numbers_read_as_people_write_them() {
    for (value, text) in
        [(100.0, "100"), (99.97, "99.97"), (0.5, "0.5"), (12_345.6, "12346"), (1.0 / 3.0, "0.3333")]
    {
        assert_eq!(words::number(value), text);
    }
    assert_eq!(words::rate(5.0), "5/s");
    assert_eq!(words::rate(0.5), "30/min");
    assert_eq!(words::seconds(0.25), "250 ms");
    assert_eq!(words::seconds(300.0), "5 min");
    assert_eq!(words::percent(0.9999), "> 99.9 %");
    assert_eq!(words::percent(1.0), "100 %");
}
