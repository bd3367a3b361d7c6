//! Login, operations, and what they answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{
    AppliesTo, ClientSettings, ErrorShape, SimulatorSettings, StaticTokenSettings, Stats,
};
use super::{Running, header, slow_limit};
use crate::model::HumanDuration;

fn with_login() -> SimulatorSettings {
    let client = |id: &str| ClientSettings {
        id: id.into(),
        secret: "s".into(),
        tenant: "acme".into(),
        user: String::new(),
    };
    SimulatorSettings {
        require_token: true,
        clients: vec![client("app"), client("other")],
        tokens: vec![StaticTokenSettings {
            value: "a-user".into(),
            client: String::new(),
            tenant: "acme".into(),
            user: "alice".into(),
        }],
        ..SimulatorSettings::default()
    }
}

impl Running {
    async fn log_in(&self, id: &str) -> reqwest::Response {
        let form = "grant_type=client_credentials";
        let request = self.client.post(self.url("/oauth/token")).basic_auth(id, Some("s"));
        request.body(form).send().await.expect("an answer")
    }

    async fn token(&self, id: &str) -> String {
        let response = self.log_in(id).await;
        assert_eq!(response.status(), 200);
        let body: Value =
            serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
        assert_eq!(body["token_type"], "bearer");
        body["access_token"].as_str().expect("a token").to_owned()
    }
}

const CONVERSATION: &str = "/api/v2/conversations/messages/c-1/communications/d-2/messages";
const AGENTLESS: &str = "/api/v2/conversations/messages/agentless";
const INBOUND: &str = "/api/v2/conversations/messages/i-1/inbound/open/message";

#[tokio::test]
async fn a_token_opens_the_operations_until_it_expires() {
    let mut settings = with_login();
    settings.oauth.token_lifetime = HumanDuration(Duration::from_millis(800));
    let running = Running::start(settings);
    let token = running.token("app").await;
    let body = json!({"textBody": "hi"});
    let (status, answer) = running.post_json(CONVERSATION, &token, body.clone()).await;
    assert_eq!((status, &answer["textBody"]), (200, &json!("hi")));
    assert_eq!(answer["id"].as_str().map(str::len), Some(36));
    let (status, answer) = running.post_json(CONVERSATION, "unknown", body.clone()).await;
    assert_eq!((status, &answer["code"]), (401, &json!("bad.credentials")));
    tokio::time::sleep(Duration::from_millis(850)).await;
    let (status, _) = running.post_json(CONVERSATION, &token, body).await;
    assert_eq!(status, 401);
    let stats = running.stop().await;
    let route = &stats.routes["POST /api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages"];
    assert_eq!((route.received, route.accepted, route.unauthorized), (3, 1, 2));
    assert!(route.first_at < route.last_at);
    assert_eq!(stats.login.granted, 1);
}

#[tokio::test]
async fn a_wrong_secret_gets_no_token() {
    let running = Running::start(with_login());
    let response = running.log_in("nobody").await;
    assert_eq!(response.status(), 401);
    let body: Value = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
    assert_eq!(body["error"], "invalid_client");
    assert_eq!(running.stop().await.login.rejected, 1);
}

#[tokio::test]
async fn the_login_has_limits_of_its_own() {
    let mut settings = with_login();
    let mut limit = slow_limit("login", 2);
    limit.applies_to = AppliesTo::Login;
    limit.scope = vec![crate::model::Factor::Client];
    settings.limits = vec![limit];
    let running = Running::start(settings);
    running.token("app").await;
    running.token("app").await;
    let refused = running.log_in("app").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, Some("60")));
    running.token("other").await;
    let stats = running.stop().await;
    assert_eq!((stats.login.granted, stats.login.refused), (3, 1));
}

#[tokio::test]
async fn genesys_operations_want_their_fields_and_a_client() {
    let running = Running::start(with_login());
    let token = running.token("app").await;
    let agentless = json!({"fromAddress": "+1", "toAddressMessengerType": "sms", "textBody": "hi"});
    let channel = json!({"from": {"id": "x", "idType": "Opaque"}, "time": "2026-01-01T00:00:00Z"});
    let inbound = json!({"channel": channel, "text": "hi"});
    for (path, body) in [(AGENTLESS, &agentless), (INBOUND, &inbound)] {
        assert_eq!(running.post_json(path, &token, body.clone()).await.0, 202, "{path}");
        let (status, answer) = running.post_json(path, &token, json!({})).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad.request")), "{path}");
        let (status, answer) = running.post_json(path, "a-user", body.clone()).await;
        assert_eq!((status, &answer["code"]), (400, &json!("not.a.client")), "{path}");
    }
    let stats = running.stop().await;
    let agentless = &stats.routes["POST /api/v2/conversations/messages/agentless"];
    assert_eq!((agentless.admitted, agentless.accepted, agentless.invalid), (3, 1, 2));
}

#[tokio::test]
async fn the_users_own_payload_needs_no_token_unless_asked_for() {
    let running = Running::start(SimulatorSettings::default());
    let response = running.post().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(header(&response, "inin-correlation-id").is_some_and(|id| id.len() == 36));
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let problem = SimulatorSettings {
        error_body: ErrorShape::ProblemJson,
        body_bytes_max: 10,
        ..SimulatorSettings::default()
    };
    let running = Running::start(problem);
    let missing = running.client.get(running.url("/nothing")).send().await.expect("an answer");
    assert_eq!(missing.status(), 404);
    assert_eq!(header(&missing, "content-type"), Some("application/problem+json"));
    assert_eq!(header(&missing, "inin-correlation-id"), None);
    let wrong = running.client.get(running.url("/messages")).send().await.expect("an answer");
    assert_eq!((wrong.status().as_u16(), header(&wrong, "allow")), (405, Some("POST")));
    assert_eq!(running.post().await.expect("an answer").status(), 413);
    let stats = running.stop().await;
    assert_eq!(stats.unmatched, 2);
    assert_eq!(stats.routes["POST /messages"].too_large, 1);
}

#[tokio::test]
async fn the_counts_can_be_read_over_http() {
    let running = Running::start(SimulatorSettings::default());
    running.post().await.expect("an answer");
    let response = running.client.get(running.url("/simulator/stats")).send().await;
    let text = response.expect("an answer").text().await.expect("text");
    let stats: Stats = serde_json::from_str(&text).expect("stats");
    assert_eq!(stats.routes["POST /messages"].accepted, 1);
    assert_eq!(stats.connections, 1, "the connection is kept");
    running.stop().await;
}

#[tokio::test]
async fn it_listens_on_ipv6_as_well() {
    let simulation = SimulatorSettings::default().validate().expect("valid");
    let anywhere = (std::net::Ipv6Addr::LOCALHOST, 0).into();
    let Ok(simulator) = super::Simulator::bind(simulation, anywhere) else {
        eprintln!("this machine has no IPv6 loopback");
        return;
    };
    assert!(simulator.local_addr().expect("bound").is_ipv6());
}
