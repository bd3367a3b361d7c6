//! Token fetches.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::server::{Act, Server, reply};
use super::*;
use crate::model::FailureKind;

/// Asks a server that answers with `act`. The secrets are on disk for as long as it takes.
async fn fetch(act: Act) -> (TokenAnswer, Vec<String>) {
    let server = Server::start(vec![act]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        SecretSource::File(path)
    };
    let settings = OauthSettings {
        token_url: format!("{}/oauth/token", server.url),
        client_id: file("id", "the-id\n"),
        client_secret: file("secret", CANARY),
        timeout: Duration::from_millis(200),
        scope: Some("messages send".into()),
    };
    let client = TokenClient::new(settings, &direct(), &mut Connections::new(1, clock()), clock())
        .expect("a client");
    let answer = client.fetch().await;
    assert!(!format!("{client:?}").contains(CANARY));
    (answer, server.requests())
}

#[tokio::test]
async fn a_token_is_granted() {
    let body = r#"{"access_token":"tok","token_type":"bearer","expires_in":86399}"#;
    let (answer, requests) = fetch(Act::Reply(reply(200, "", body))).await;
    let TokenAnswer::Granted { token, expires_in } = answer else { panic!("{answer:?}") };
    assert_eq!((token.expose_secret(), expires_in.as_secs()), ("tok", 86_399));
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let (head, form) = request.split_once("\r\n\r\n").expect("head and body");
    assert_eq!(form, "grant_type=client_credentials&scope=messages+send");
    for line in [
        "POST /oauth/token HTTP/1.1",
        // the-id:canary-0123456789
        "authorization: Basic dGhlLWlkOmNhbmFyeS0wMTIzNDU2Nzg5",
        "content-type: application/x-www-form-urlencoded",
    ] {
        assert!(head.lines().any(|l| l == line), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn refusals_tell_a_wrong_client_from_too_many_fetches() {
    let body = r#"{"error":"invalid_client","description":"client not found"}"#;
    for status in [400, 401, 403] {
        let (answer, _) = fetch(Act::Reply(reply(status, "", body))).await;
        let TokenAnswer::Refused { status: shown, error } = answer else { panic!("{answer:?}") };
        assert_eq!((shown, error.as_deref()), (status, Some("invalid_client")));
    }
    let (answer, _) = fetch(Act::Reply(reply(429, "retry-after: 7\r\n", ""))).await;
    let TokenAnswer::Throttled { advice } = answer else { panic!("{answer:?}") };
    assert_eq!(advice.wait(), Some(Duration::from_secs(7)));
    let (answer, _) = fetch(Act::Reply(reply(302, "location: /\r\n", ""))).await;
    assert!(matches!(answer, TokenAnswer::Refused { status: 302, error: None }), "{answer:?}");
}

#[tokio::test]
async fn failures_are_told_and_nothing_is_tried_again() {
    for (act, kind) in [
        (Act::Reply(reply(500, "", "")), FailureKind::ServerError),
        (Act::Reply(reply(200, "", "<html>")), FailureKind::BadResponse),
        (Act::ReplyAndHang(String::new()), FailureKind::Timeout),
        (Act::Reset, FailureKind::Transport),
    ] {
        let (answer, requests) = fetch(act.clone()).await;
        assert!(matches!(answer, TokenAnswer::Failed(k) if k == kind), "{act:?}: {answer:?}");
        assert_eq!(requests.len(), 1, "{act:?}");
    }
}

#[tokio::test]
async fn without_a_secret_nothing_is_asked() {
    let server = Server::start(vec![Act::Close]).await;
    let missing = SecretSource::Env("PLIMSOLL_TEST_NEVER_SET".into());
    let settings = OauthSettings {
        token_url: server.url.clone(),
        client_id: missing.clone(),
        client_secret: missing,
        timeout: Duration::from_millis(200),
        scope: None,
    };
    let client = TokenClient::new(settings, &direct(), &mut Connections::new(1, clock()), clock())
        .expect("a client");
    let answer = client.fetch().await;
    assert!(matches!(answer, TokenAnswer::NoSecret(_)), "{answer:?}");
    assert_eq!(server.requests(), Vec::<String>::new());
}
