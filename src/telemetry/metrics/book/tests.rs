//! Streams, targets and credentials that come and go.

use super::*;
use std::time::Duration;

use crate::model::{Answer, AttemptId, EndpointId, Identity, MessageId, Rate, SpanId, Verdict};

pub(in crate::telemetry) fn stream(
    id: u32,
    name: &str,
    target: &str,
    rate: Rate,
) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        id: StreamId(id),
        name: name.into(),
        target: target.into(),
        credential: "cred".into(),
        domain: "api.example.com".into(),
        identity: Identity::default(),
        method: "POST".into(),
        path_template: "/messages/{id}".into(),
        server_address: "api.example.com".into(),
        server_port: 443,
        rate,
    })
}

fn at(ms: u64) -> Moment {
    Moment::ZERO + Duration::from_millis(ms)
}

fn order(stream: u32) -> SendOrder {
    SendOrder {
        attempt: AttemptId(1),
        stream: StreamId(stream),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        token_generation: 0,
        message: MessageId(1),
        sequence: 0,
        resend: 0,
        span: SpanId(1),
        due: at(0),
        first_due: at(0),
        ordered_at: at(0),
        resume: false,
    }
}

fn ended(stream: u32) -> Event {
    let answer = Answer::bare(Verdict::Accepted, at(1), at(5));
    Event::Ended(Arc::new(AttemptRecord { order: order(stream), answer }))
}

fn message_ended(stream: u32) -> Event {
    Event::MessageEnded(MessageEnd {
        stream: StreamId(stream),
        message: MessageId(1),
        result: MessageResult::Delivered,
        first_due: at(0),
        at: at(5),
        attempts: 1,
    })
}

fn feed(book: &mut Book, events: &[Event]) {
    for event in events {
        book.apply(WallOffset::default(), at(10), event);
    }
}

fn cells(book: &Book) -> Vec<&StreamCell> {
    book.numbers.streams.iter().flatten().collect()
}

#[test]
fn a_removed_stream_stays_until_its_last_answer_is_counted() {
    let rate = Rate::per_sec(1).expect("a rate");
    let mut book = Book::new();
    feed(&mut book, &[Event::StreamAdded(stream(0, "s", "t", rate)), Event::Sent(order(0))]);
    feed(&mut book, &[Event::StreamRemoved(StreamId(0))]);
    assert_eq!(cells(&book).len(), 1, "one attempt is out");
    feed(&mut book, &[ended(0)]);
    assert_eq!(cells(&book).len(), 1, "the end of its message is still to come");
    feed(&mut book, &[message_ended(0)]);
    assert!(cells(&book).is_empty());
    assert!(book.numbers.targets.iter().flatten().next().is_none(), "nobody uses the target");
}

#[test]
fn a_new_stream_of_the_same_name_and_target_goes_on_counting() {
    let rate = Rate::per_sec(1).expect("a rate");
    let mut book = Book::new();
    feed(&mut book, &[Event::StreamAdded(stream(0, "s", "t", rate)), Event::Sent(order(0))]);
    feed(
        &mut book,
        &[Event::StreamAdded(stream(1, "s", "t", rate)), Event::StreamRemoved(StreamId(0))],
    );
    feed(&mut book, &[ended(0), message_ended(0), Event::Sent(order(1))]);
    let all = cells(&book);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].sent, all[0].ended[0], all[0].in_flight()), (2, 1, 1));
    assert_eq!(book.index.streams.len(), 1, "the old stream is forgotten");
}

#[test]
fn places_are_used_again() {
    let rate = Rate::per_sec(1).expect("a rate");
    let mut book = Book::new();
    for id in 0..100 {
        let name = format!("s{id}");
        feed(&mut book, &[Event::StreamAdded(stream(id, &name, "t", rate))]);
        feed(&mut book, &[Event::StreamRemoved(StreamId(id))]);
    }
    assert_eq!((book.numbers.streams.len(), book.numbers.targets.len()), (1, 1));
}

#[test]
fn credentials_keep_their_series_over_revisions_and_lose_them_when_they_go() {
    let mut book = Book::new();
    book.credentials(&[(CredentialId(0), "a".into()), (CredentialId(1), "b".into())]);
    let granted = Event::Token(CredentialId(0), TokenEvent::Granted { expires_at: None });
    feed(&mut book, std::slice::from_ref(&granted));
    book.credentials(&[(CredentialId(2), "a".into())]);
    feed(&mut book, &[granted, Event::Token(CredentialId(2), TokenEvent::Revoked)]);
    let left: Vec<_> = book.numbers.credentials.iter().flatten().collect();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].fetches[0], left[0].revoked), (1, 1), "the old revision is not heard");
}
