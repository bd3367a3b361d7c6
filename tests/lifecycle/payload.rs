//! What arrives is what was written: bodies, headers, and the operations of the presets.

use std::collections::BTreeSet;

use crate::scripted::{Reply, Scripted};
use crate::world::{World, sending_to, stream, until};

const BODY: &str = r#"{"to":{"id":"participant-id"},"text":"message"}"#;

#[test]
fn a_body_of_ones_own_arrives_byte_for_byte() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let target = "headers = { x-tenant = \"acme\", x-stream = \"{{stream}}\" }\n";
    world.write("plimsoll.toml", &(sending_to(&api.url) + target + &stream("s", "50/s")));
    let (code, log) = world.run(&["run", "--config.file", "plimsoll.toml", "--count", "5"]);
    assert_eq!(code, Some(0), "{log}");
    let seen = api.seen();
    assert_eq!(seen.len(), 5);
    for request in &seen {
        assert_eq!(request.line, "POST /messages HTTP/1.1");
        assert_eq!(String::from_utf8_lossy(&request.body), BODY);
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-tenant"), Some("acme"));
        assert_eq!(request.header("x-stream"), Some("s"));
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("idempotency-key"), None);
        let parts: Vec<&str> =
            request.header("traceparent").expect("a trace context").split('-').collect();
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert!(parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_hexdigit())), "{parts:?}");
    }
    let messages: BTreeSet<&str> = seen.iter().map(|r| r.message()).collect();
    assert_eq!(messages.len(), 5, "each message has an id of its own");
}

#[test]
fn placeholders_method_and_idempotency_key_are_as_configured() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::Status(201, String::new()));
    let config = format!(
        "[web]\nlisten_address = \"127.0.0.1:0\"\n[schedule]\nramp = \"0s\"\n\
         [targets.t]\nbase_url = \"{}/v1\"\npath = \"/to/{{{{param.who}}}}?n={{{{sequence}}}}\"\n\
         method = \"PUT\"\nidempotency_key_header = \"Idempotency-Key\"\n\
         body = '{{\"id\":\"{{{{message_id}}}}\",\"n\":{{{{sequence}}}}}}'\n\
         params = {{ who = \"someone\" }}\n{}",
        api.url,
        stream("s", "50/s"),
    );
    world.write("plimsoll.toml", &config);
    let (code, log) = world.run(&["run", "--config.file", "plimsoll.toml", "--count", "4"]);
    assert_eq!(code, Some(0), "{log}");
    let seen = api.seen();
    let sequences: BTreeSet<u64> = seen
        .iter()
        .map(|request| {
            let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            let n = body["n"].as_u64().expect("a number");
            assert_eq!(request.line, format!("PUT /v1/to/someone?n={n} HTTP/1.1"));
            assert_eq!(body["id"], request.message());
            assert_eq!(request.header("idempotency-key"), Some(request.message()));
            n
        })
        .collect();
    assert_eq!(sequences.len(), 4);
}

#[test]
fn the_presets_speak_to_their_operations() {
    let world = World::new();
    let api = world.api(
        "require_token = true\n[[clients]]\nid = \"app\"\nsecret = \"app-secret\"\n\
         tenant = \"acme\"\n",
    );
    let url = &api.url;
    let mut config = format!(
        "allow_inline_secrets = true\n[web]\nlisten_address = \"127.0.0.1:0\"\n\
         [schedule]\nramp = \"0s\"\n\
         [credentials.c]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
         client_secret = \"app-secret\"\ntoken_url = \"{url}/oauth/token\"\n"
    );
    let id = "00000000-0000-4000-8000-000000000001";
    for (preset, params) in [
        (
            "genesys-conversation-message",
            format!("conversation_id='{id}', communication_id='{id}'"),
        ),
        ("genesys-agentless", "from_address='+15550100', to_address='+15550101'".to_owned()),
        ("genesys-open-inbound", format!("integration_id='{id}', from_id='person'")),
    ] {
        config += &format!(
            "[targets.{preset}]\npreset = \"{preset}\"\nbase_url = \"{url}\"\n\
             params = {{ {params} }}\n\
             [streams.{preset}]\ntarget = \"{preset}\"\ncredential = \"c\"\nrate = \"20/s\"\n"
        );
    }
    let daemon = world.daemon(&config, &[]);
    until("messages through each", || {
        let stats = api.stats();
        let routes = stats["routes"].as_object().expect("operations");
        let used = routes.iter().filter(|(name, _)| name.contains("conversations"));
        used.filter(|(_, route)| route["accepted"].as_u64() > Some(3)).count() == 3
    });
    assert_eq!((api.all("invalid"), api.all("unauthorized")), (0, 0));
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", "rejected")]), 0.0);
    assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", "failed")]), 0.0);
}
