//! A canary in every place that holds a secret: it must not sing in any `Debug` or `Display`.

use http::{HeaderName, HeaderValue};

use super::server::{Act, Server, reply};
use super::*;

fn check(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
    // The text of `Basic base64(id:canary)` must not show either.
    assert!(!shown.contains("Y2FuYXJ5"), "{shown}");
}

#[tokio::test]
async fn nothing_that_can_be_printed_holds_a_secret() {
    let server = Server::start(vec![Act::Reset]).await;
    let mut key = HeaderValue::from_static(CANARY);
    key.set_sensitive(true);
    let headers = vec![(HeaderName::from_static("x-api-key"), key)];
    let request = Rendered::new("/messages".into(), headers, Bytes::new()).expect("a path");
    let client = client(settings(server.url.clone()));
    let mut store = TokenStore::default();
    store.put(crate::model::CredentialId(1), &CANARY.into()).expect("a token");
    let answer =
        client.send(request.clone(), Some(&bearer()), None, MessageId(0xabc), |_, _| {}).await;
    check(&format!("{client:?} {request:?} {answer:?} {store:?} {:?}", bearer()));
}

#[tokio::test]
async fn a_granted_token_does_not_show() {
    let body = format!(r#"{{"access_token":"{CANARY}","expires_in":60}}"#);
    let server = Server::start(vec![Act::Reply(reply(200, "", &body))]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("secret");
    std::fs::write(&path, CANARY).expect("written");
    let secret = read_secret(&SecretSource::File(path.clone())).expect("a secret");
    let oauth = OauthSettings {
        token_url: server.url.clone(),
        client_id: SecretSource::File(path.clone()),
        client_secret: SecretSource::File(path),
        timeout: std::time::Duration::from_secs(2),
        scope: None,
    };
    let client = TokenClient::new(oauth, &direct(), &mut Connections::new(1, clock()), clock())
        .expect("a client");
    let answer = client.fetch().await;
    assert!(matches!(answer, TokenAnswer::Granted { .. }));
    check(&format!("{secret:?} {client:?} {answer:?}"));
}

#[test]
fn errors_do_not_quote_what_they_refuse() {
    let text = format!("{CANARY}\n");
    let error = Bearer::new(&text.as_str().into(), 1).expect_err("a line break");
    check(&format!("{error} {error:?}"));
    let url = format!("http://user:{CANARY}@127.0.0.1");
    let error =
        EndpointClient::new(settings(url), &direct(), &mut Connections::new(1, clock()), clock())
            .expect_err("a password in the URL");
    check(&format!("{error} {error:?}"));
}
