//! Good configurations: layers, formats, what they come to, reloads, and what is shown of them.

mod config_support;

use std::time::Duration;

use config_support::{WORKING, load_toml, load_yaml, toml, with_env};
use plimsoll::config::{FileSource, Override, Registry, Sources, load, load_as};
use plimsoll::engine::TokenPlan;
use plimsoll::model::{MessageId, Scope};
use plimsoll::schedule::{Arrivals, Values};
use plimsoll::sender::{AuthSettings, SecretSource, ThrottleDialect};

#[test]
fn later_layers_win() {
    let yaml = "streams: {main: {ramp: 7s, catch_up_slots: 5}}";
    let sources = Sources {
        files: vec![
            toml(WORKING),
            FileSource::Yaml { name: "b.yaml".to_owned(), text: yaml.to_owned() },
        ],
        env: [
            ("PLIMSOLL__STREAMS__MAIN__RATE", "300/min"),
            ("PLIMSOLL__STREAMS__MAIN__CATCH_UP_SLOTS", "9"),
            ("PLIMSOLL__STREAMS__MAIN__RETRY_BUDGET_RATIO", "0"),
            ("PLIMSOLL__WEB__ENABLE_LIFECYCLE", "true"),
            ("PLIMSOLL__WEB__LISTEN_ADDRESS", "[::1]:1"),
            ("PLIMSOLL__TARGETS__API__SCOPE", "tenant, route"),
            ("PLIMSOLL__TARGETS__API__SUCCESS_STATUSES", "200,202"),
            ("PLIMSOLL__CREDENTIALS__BENCH__TENANT", "42"),
            ("PATH", "/bin"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into(),
        overrides: vec![Override {
            key: "web.listen_address".to_owned(),
            value: ":2".to_owned(),
            flag: "--web.listen-address".to_owned(),
        }],
    };
    let settings = load(&sources).expect("valid");
    let stream = &settings.streams[0];
    assert_eq!(stream.schedule.rate.to_string(), "5/s");
    assert_eq!(stream.schedule.ramp, Duration::from_secs(7));
    assert_eq!(stream.schedule.catch_up_slots, 9);
    assert_eq!(stream.policy.retry_budget.ratio, 0.0);
    assert_eq!(settings.web.listen_address.to_string(), "0.0.0.0:2");
    assert!(settings.web.enable_lifecycle);
    assert_eq!(settings.targets[0].scope.to_string(), "tenant+route");
    assert_eq!(settings.targets[0].endpoint.success.statuses, [200, 202]);
    assert_eq!(&*settings.credentials[0].tenant, "42");
}

#[test]
fn yaml_and_toml_come_to_the_same() {
    let yaml = r#"
targets:
  api: {base_url: "http://127.0.0.1:9470", path: /messages, limit_domain: }
credentials:
  bench: {type: bearer, token_env: TOKEN}
streams:
  main: {target: api, credential: bench, rate: 10/s}
"#;
    assert_eq!(load_yaml(yaml).expect("valid"), load_toml(WORKING).expect("valid"));
}

#[test]
fn what_is_shown_reads_back_to_the_same() {
    let odd = WORKING.replace("path =", "headers.x-a = \"é yes: \\\"1\\\" #\"\nscope = []\npath =");
    let settings = load_toml(&odd).expect("valid");
    let again = load_yaml(&settings.to_yaml()).expect("valid");
    assert_eq!(again, settings, "{}", settings.to_yaml());
}

#[test]
fn a_stream_takes_over_what_it_does_not_say() {
    let text = WORKING.to_owned()
        + "jitter = \"full\"\n[policy]\nmax_attempts = 7\njitter = \"decorrelated\"\n\
           [schedule]\narrivals = \"poisson\"\n";
    let stream = &load_toml(&text).expect("valid").streams[0];
    assert_eq!(stream.policy.max_attempts, 7);
    assert_eq!(stream.policy.backoff.jitter, plimsoll::policy::Jitter::Full);
    assert_eq!(stream.schedule.arrivals, Arrivals::Poisson);
    assert_eq!(stream.in_flight_max, 1000);
}

#[test]
fn a_preset_fills_in_what_the_target_leaves_open() {
    let text = r#"
        [targets.t]
        preset = "genesys-agentless"
        genesys_domain = "mypurecloud.ie"
        params = { from_address = "+1", to_address = "+2", text = "n {{sequence}}" }
        [streams.s]
        target = "t"
        rate = "1/s"
    "#;
    let settings = load_toml(text).expect("valid");
    let target = &settings.targets[0];
    assert_eq!(target.endpoint.base_url, "https://api.mypurecloud.ie");
    assert_eq!(target.endpoint.dialect, ThrottleDialect::Genesys);
    assert_eq!(target.endpoint.success.statuses, [200, 202]);
    assert_eq!((&*target.domain, target.server_port), ("api.mypurecloud.ie", 443));
    assert_eq!(target.scope, Scope::Undecided);
    let values = Values { message: MessageId(1), sequence: 3, unix_ns: 0, stream: "s" };
    let rendered = target.template.render(&values);
    assert_eq!(rendered.path, "/api/v2/conversations/messages/agentless");
    let body: serde_json::Value = serde_json::from_slice(&rendered.body).expect("JSON");
    assert_eq!(body["textBody"], "n 3");
    assert_eq!(body["toAddressMessengerType"], "sms");
    assert_eq!(settings.credentials[0].settings.auth, None);
    let bad = text.replace("to_address", "messenger_type = \"fax\", to_address");
    let error = load_toml(&bad).map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("allowed: sms, whatsapp, open, webmessaging, apple"), "{error}");
}

const OAUTH: &str = r#"
[targets.api]
base_url = "https://api.example.com/v1/"
limit_domain = "example"
idempotency_key_header = "Idempotency-Key"
[credentials.main]
type = "oauth_client_credentials"
client_id = "id"
client_secret_file = "secrets/s"
token_url = "https://login.example.com:444/token"
[streams.main]
target = "api"
credential = "main"
rate = "10/s"
"#;

#[test]
fn plans_carry_everything_the_engine_needs() {
    let assigned = Registry::new().assign(&load_toml(OAUTH).expect("valid"));
    let stream = &assigned.plan.streams[0];
    assert_eq!(stream.endpoint, assigned.endpoints[0].0.id);
    assert_eq!(stream.credential, assigned.credentials[0].0.id);
    assert_eq!((&*stream.domain, &*stream.server_address), ("example", "api.example.com"));
    assert_eq!((&*stream.identity.client, &*stream.identity.token), ("id", "main"));
    assert_eq!(&*stream.identity.route, "POST /");
    assert!(stream.resend_is_safe);
    assert_eq!(assigned.endpoints[0].0.base_url, "https://api.example.com/v1");
    let TokenPlan::Fetched { login_host, .. } = &assigned.plan.credentials[0].token else {
        panic!("fetched")
    };
    assert_eq!(&**login_host, "login.example.com:444");
}

#[test]
fn ids_change_exactly_when_what_they_stand_for_does() {
    let mut registry = Registry::new();
    let mut ids = |text: &str| {
        let assigned = registry.assign(&load_toml(text).expect("valid"));
        (assigned.endpoints[0].0.id.0, assigned.credentials[0].0.id.0)
    };
    let first = ids(OAUTH);
    assert_eq!(ids(OAUTH), first);
    assert_eq!(ids(&OAUTH.replace("10/s", "20/s")), first, "a rate is the stream's own");
    assert_eq!(ids(&format!("{OAUTH}[policy]\nbackoff_base = \"2s\"\n")), first);
    let (target, credential) = ids(&OAUTH.replace("/v1/", "/v2/"));
    assert!(target != first.0 && credential == first.1);
    let body = OAUTH.replace("limit_domain", "body = \"{}\"\nlimit_domain");
    let (with_body, _) = ids(&body);
    assert!(with_body != target && with_body != first.0);
    let (_, other) = ids(&body.replace("secrets/s", "secrets/t"));
    assert_ne!(other, credential);
    let (_, tenant) = ids(&body.replace("client_id", "tenant = \"a\"\nclient_id"));
    assert_ne!(tenant, other);
}

#[test]
fn secrets_may_come_from_the_environment_or_where_allowed_inline() {
    let source = |text: &str, env: &[(&str, &str)]| {
        let settings = with_env(text, env).expect("valid");
        assert!(!format!("{settings:?}{}", settings.to_yaml()).contains("CANARY"));
        match settings.credentials[0].settings.auth.clone() {
            Some(AuthSettings::Bearer(source)) => (source, settings.to_yaml()),
            other => panic!("{other:?}"),
        }
    };
    let without = WORKING.replace("token_env = \"TOKEN\"", "");
    let (from_env, _) = source(&without, &[("PLIMSOLL__CREDENTIALS__BENCH__TOKEN", "CANARY")]);
    assert_eq!(from_env, SecretSource::Env("PLIMSOLL__CREDENTIALS__BENCH__TOKEN".to_owned()));
    let inline = WORKING.replace("token_env = \"TOKEN\"", "token = \"CANARY\"");
    let inline = inline.replace("path =", "headers.x-api-key = \"CANARY\"\npath =");
    let (inline, shown) = source(&format!("allow_inline_secrets = true\n{inline}"), &[]);
    assert!(matches!(inline, SecretSource::Inline(s) if s.expose() == "CANARY"));
    assert_eq!(shown.matches("<secret>").count(), 2, "{shown}");
}

#[test]
fn a_secret_file_is_found_beside_the_file_that_names_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("plimsoll.toml");
    std::fs::write(&path, OAUTH).expect("written");
    let settings = config_support::load_paths(&[path]).expect("valid");
    let Some(AuthSettings::Oauth(oauth)) = &settings.credentials[0].settings.auth else {
        panic!("OAuth")
    };
    let expected = SecretSource::File(directory.path().join("secrets/s"));
    assert_eq!(oauth.client_secret, expected);
}

#[test]
fn what_needs_a_restart_is_said() {
    let running = load_toml(WORKING).expect("valid");
    let wanted = load_toml(&format!("{WORKING}ramp = \"1s\"\n[web]\nlisten_address = \":1\"\n"));
    assert_eq!(
        wanted.expect("valid").restart_needed(&running),
        ["web.listen_address: \"0.0.0.0:9469\" runs until the next start, then \":1\""]
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = WORKING.replace("path =", "scope = [\"tenant\"]\npath =")
        + "[targets.idle]\nbase_url = \"https://idle.example.com\"\n[lifecycle]\ngrace_period = \"1s\"\n";
    let warnings = load_toml(&text).expect("valid").warnings;
    let begins: Vec<&str> = warnings.iter().filter_map(|w| w.split(':').next()).collect();
    assert_eq!(begins, ["lifecycle.grace_period", "targets.idle", "targets.api.scope"]);
}

#[test]
fn sources_show_no_value_of_the_environment() {
    let env = vec![("PLIMSOLL__CREDENTIALS__A__TOKEN".to_owned(), "CANARY".to_owned())];
    let sources = Sources { files: vec![toml("# CANARY")], env, ..Sources::default() };
    assert!(!format!("{sources:?}").contains("CANARY"));
}

#[test]
fn one_host_is_in_one_limit_domain() {
    let text = WORKING.to_owned()
        + "[targets.two]\nbase_url = \"http://127.0.0.1:9470\"\nlimit_domain = \"else\"\n";
    let error = load_toml(&text).map(|_| ()).expect_err("refused").to_string();
    assert!(error.starts_with("targets.two.limit_domain: 127.0.0.1 is in another"), "{error}");
}

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Other {
    listen_address: std::net::SocketAddr,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    rate: plimsoll::model::Rate,
}

#[test]
fn other_formats_load_through_the_same_layers() {
    let source = |text: &str| Sources { files: vec![toml(text)], ..Sources::default() };
    let good = "listen_address = \"127.0.0.1:1\"\n[[items]]\nrate = \"1/s\"";
    let loaded: Other = load_as(&source(good)).expect("valid");
    assert_eq!(loaded.items.len(), 1);
    for (text, path) in [
        ("", "listen_address"),
        ("listen_address = \"x\"", "listen_address"),
        ("listen_address = \"127.0.0.1:1\"\n[[items]]\nrate = \"1\"", "items[0].rate"),
        ("listen_address = \"127.0.0.1:1\"\n[[items]]\nrate = \"1/s\"\nx = 1", "items[0].x"),
    ] {
        let error = load_as::<Other>(&source(text)).expect_err(text);
        assert_eq!(error.as_slice()[0].path, path, "{error}");
    }
}
