//! The attempt log, written and read again.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::infer::study::{Named, Quota};
use crate::model::{
    Advice, AdviceSource, Answer, AttemptId, AttemptRecord, CredentialId, Dialect, EndpointId,
    Failure, FailureKind, Identity, MessageId, Moment, NamedLimit, QuotaHint, Rate, SendOrder,
    SpanId, StreamId, StreamInfo, Verdict, WallOffset,
};
use crate::records::AttemptLine;

fn stream(domain: &str) -> StreamInfo {
    StreamInfo {
        id: StreamId(0),
        name: "s".into(),
        target: "t".into(),
        credential: "main".into(),
        domain: domain.into(),
        identity: Identity {
            token: "main".into(),
            tenant: "acme".into(),
            route: "POST /m".into(),
            ..Identity::default()
        },
        method: "POST".into(),
        path_template: "/m".into(),
        server_address: "h".into(),
        server_port: 1,
        rate: Rate::per_sec(1).expect("a rate"),
    }
}

fn at(ms: u64) -> Moment {
    Moment::ZERO + Duration::from_millis(ms)
}

fn record(verdict: Verdict, sent_ms: u64) -> AttemptRecord {
    let order = SendOrder {
        attempt: AttemptId(0),
        stream: StreamId(0),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        token_generation: 1,
        message: MessageId(0xabc),
        sequence: 0,
        resend: 1,
        span: SpanId(1),
        due: at(sent_ms - 1),
        first_due: at(0),
        ordered_at: at(sent_ms),
        resume: false,
    };
    AttemptRecord { order, answer: Answer::bare(verdict, at(sent_ms), at(sent_ms + 20)) }
}

fn line(record: &AttemptRecord, domain: &str) -> String {
    let mut text = Vec::new();
    let stream = stream(domain);
    // 2026-11-24T14:00:00Z
    let wall = WallOffset::observed(1_795_528_800_000_000_000, Moment::ZERO);
    AttemptLine::of(record, &stream, wall, 3).write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

fn refusal(sent_ms: u64) -> AttemptRecord {
    let mut refused = record(Verdict::Throttled, sent_ms);
    refused.answer.status = Some(429);
    refused.answer.headers_at = Some(at(sent_ms + 15));
    let wait = Duration::from_millis(2500);
    refused.answer.advice = Advice::Wait(wait, AdviceSource::RetryAfterSeconds);
    let hint = |limit, remaining| QuotaHint {
        dialect: Dialect::Inin,
        policy: Some("p".into()),
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs(3)),
        window: None,
    };
    refused.answer.hints = vec![hint(300, 299), hint(100, 0)];
    refused.answer.named_limit = Some(Box::new(NamedLimit {
        key: "token.rate.per.minute".into(),
        namespace: Some("platform.api".into()),
        value: Some("300".into()),
    }));
    refused
}

#[test]
fn what_is_written_is_read_again() {
    let failed = |kind| Verdict::Failed(Failure { kind, may_have_arrived: true });
    let mut unauthorized = record(Verdict::Unauthorized, 50);
    unauthorized.answer.status = Some(401);
    let records = [
        refusal(40),
        record(Verdict::Accepted, 10),
        record(Verdict::Rejected, 20),
        unauthorized,
        record(failed(FailureKind::ServerError), 30),
        record(failed(FailureKind::Timeout), 60),
    ];
    let text: String = records.iter().map(|record| line(record, "api")).collect();
    let gathered = read(&text);
    assert_eq!(counts(&gathered), [3, 1, 2]);
    let observations = &gathered.observations;
    assert_eq!((observations.resolution, observations.parties.len()), (0.0, 1));
    assert_eq!(observations.parties[0], stream("api").identity);
    let sent: Vec<_> = observations.attempts.iter().map(|a| (a.sent * 1e3).round()).collect();
    let midday = 14.0 * 3600.0 * 1e3;
    assert_eq!(sent, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0].map(|ms| midday + ms));
    let refused = observations.attempts[3];
    assert_eq!(refused.answered.map(|t| ((t - refused.sent) * 1e6).round()), Some(15_000.0));
    assert_eq!(refused.advice, Some(2.5));
    assert_eq!(refused.quota, Some(Quota { limit: 100, remaining: 0, reset: Some(3.0) }));
    let named = Named {
        key: "token.rate.per.minute".to_owned(),
        namespace: Some("platform.api".to_owned()),
        value: Some("300".to_owned()),
    };
    assert_eq!(observations.named, [(named, 1)]);
}

#[test]
fn every_field_is_documented() {
    let document = include_str!("../../../docs/ATTEMPT_LOG.md");
    let mut failed = refusal(40);
    failed.answer.correlation_id = Some("c".into());
    let mut all = stream("api");
    all.identity.user = "u".into();
    all.identity.client = "c".into();
    all.identity.address = "a".into();
    let mut line = serde_json::to_value(AttemptLine::of(&failed, &all, WallOffset::default(), 1))
        .expect("JSON");
    line["failure"] = "timeout".into();
    line["quota"][0]["window_s"] = 1.into();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let top = keys(&line);
    assert_eq!(top.len(), 23);
    for (prefix, keys) in [
        ("", top),
        ("quota[].", keys(&line["quota"][0])),
        ("named_limit.", keys(&line["named_limit"])),
    ] {
        for key in keys {
            assert!(document.contains(&format!("| `{prefix}{key}` |")), "{prefix}{key}");
        }
    }
}

#[test]
fn other_lines_are_counted_and_bad_ones_are_named() {
    let good = line(&record(Verdict::Accepted, 10), "api").repeat(200);
    let other = "{\"level\":\"INFO\",\"message\":\"x\"}\n";
    let bad = good.lines().next().expect("a line").replace("accepted", "fine") + "\n";
    let text = format!("{good}{other}{bad}not json\n{}", &bad[..40]);
    let gathered = read(&text);
    let file = &gathered.files[0];
    assert_eq!((file.attempts, file.others, file.unreadable, file.cut_off), (200, 1, 2, true));
    let told = told(&gathered.warnings);
    assert!(told.contains("f0:202: outcome: not one of"), "{told}");
    assert!(told.contains("f0:203: no JSON, at column"), "{told}");
    assert!(gathered.remarks[0].contains("its end is missing"), "{:?}", gathered.remarks);
    // Where every tenth line is unreadable, it is something else.
    let worse = read_with(Options::default(), &[&(good + &bad.repeat(20))]).expect_err("refused");
    assert!(worse.len() == 21 && told_has(&worse, "f0: is no attempt log: 20 of its"), "{worse:?}");
}

fn told_has(problems: &[Problem], text: &str) -> bool {
    told(problems).contains(text)
}

#[test]
fn two_hosts_have_nothing_to_do_with_each_other() {
    let accepted = record(Verdict::Accepted, 10);
    let text = line(&accepted, "a") + &line(&accepted, "b");
    let refused = read_with(Options::default(), &[&text]).expect_err("which?");
    assert!(told_has(&refused, "--only domain="), "{refused:?}");
    let one = read_with(only(&["domain=a"]), &[&text]).expect("one of them");
    assert_eq!((one.observations.attempts.len(), one.files[0].left_out), (1, 1));
    let both = read_with(only(&["domain=a", "domain=b"]), &[&text]).expect("both on purpose");
    assert_eq!(both.observations.attempts.len(), 2);
}

#[test]
fn what_others_write_needs_a_time_and_an_outcome() {
    let gathered = read("{\"sent_at\":\"2026-11-24T14:00:00+01:00\",\"outcome\":\"throttled\"}");
    assert_eq!(counts(&gathered), [0, 1, 0]);
    assert_eq!(gathered.observations.attempts[0].sent, 13.0 * 3600.0);
    assert_eq!(gathered.observations.parties, [Identity::default()]);
    let _: Arc<str> = Arc::clone(&gathered.observations.parties[0].user);
}
