//! Tokens by client credentials: fetched once for all, ahead of their end, and politely.

use std::time::Duration;

use crate::support::http;
use crate::support::process::wait_for;
use crate::world::{Api, Daemon, World, sending_to, until};

const CLIENTS: &str = "\
    require_token = true\n\
    [[clients]]\nid = \"app\"\nsecret = \"app-secret\"\ntenant = \"acme\"\n\
    [[clients]]\nid = \"other\"\nsecret = \"other-secret\"\ntenant = \"acme\"\n";

/// Three streams that share one credential.
fn config(api: &Api, secret: &str, rate: &str) -> String {
    let url = &api.url;
    let mut config = String::from("allow_inline_secrets = true\n") + &sending_to(url);
    config += &format!(
        "[credentials.c]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
         client_secret = \"{secret}\"\ntoken_url = \"{url}/oauth/token\"\n"
    );
    for name in ["a", "b", "c"] {
        config +=
            &format!("[streams.{name}]\ntarget = \"t\"\ncredential = \"c\"\nrate = \"{rate}\"\n");
    }
    config
}

/// Asks for a token as a client of somebody else's would.
fn log_in(api: &Api, client: &str) -> u16 {
    let form =
        format!("grant_type=client_credentials&client_id={client}&client_secret={client}-secret");
    let request = http::client()
        .post(format!("{}/oauth/token", api.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    http::send(request).expect("it answers").status
}

fn no_token(daemon: &Daemon) -> f64 {
    daemon.sum("plimsoll_slots_skipped_total", &[("reason", "no_token")])
}

fn delivered(daemon: &Daemon) -> f64 {
    daemon.sum("plimsoll_messages_ended_total", &[("result", "delivered")])
}

#[test]
fn one_token_serves_every_stream() {
    let world = World::new();
    let api = world.api(CLIENTS);
    let daemon = world.daemon(&config(&api, "app-secret", "20/s"), &[]);
    until("traffic", || api.all("accepted") > 30);
    assert_eq!((api.login("received"), api.login("granted")), (1, 1));
    assert_eq!(api.all("unauthorized"), 0);
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_token_fetches_total", &[("result", "granted")]), 1.0);
    assert_eq!(scrape.sum("plimsoll_auxiliary_requests_total", &[("kind", "token")]), 1.0);
    assert_eq!(daemon.status()["credentials"][0]["usable"], true);
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let world = World::new();
    let api = world.api(&format!("{CLIENTS}[oauth]\ntoken_lifetime = \"3s\"\n"));
    let daemon = world.daemon(&config(&api, "app-secret", "20/s"), &[]);
    until("traffic", || api.all("accepted") > 0);
    let at_the_start = no_token(&daemon);
    until("three tokens", || api.login("granted") >= 3);
    let accepted = api.all("accepted");
    until("traffic with the third", || api.all("accepted") > accepted + 20);
    assert_eq!(no_token(&daemon), at_the_start, "no slot had to wait for a token");
    assert_eq!(api.all("unauthorized"), 0);
    assert_eq!(daemon.sum("plimsoll_tokens_revoked_total", &[]), 0.0);
}

#[test]
fn a_token_that_the_api_forgot_is_fetched_once_more_and_nothing_is_lost() {
    let world = World::new();
    // The simulated API remembers one token: whoever logs in takes it from the one before.
    let api = world.api(&format!("{CLIENTS}[oauth]\ntokens_max = 1\n"));
    let daemon = world.daemon(&config(&api, "app-secret", "10/s"), &["--count", "60", "--linger"]);
    until("traffic", || api.all("accepted") > 10);
    assert_eq!(log_in(&api, "other"), 200);
    until("the end of the run", || daemon.line("the run is over").is_some());
    let unauthorized = api.all("unauthorized");
    assert!(unauthorized > 0, "the token was refused");
    assert_eq!(api.login("granted"), 3, "the first, the other's, and one for all streams");
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert_eq!(scrape.sum("plimsoll_tokens_revoked_total", &[]), 1.0);
    assert_eq!(scrape.sum("plimsoll_resends_total", &[]), unauthorized as f64);
    assert_eq!(scrape.sum("plimsoll_messages_ended_total", &[("result", "rejected")]), 0.0);
    assert_eq!(delivered(&daemon), scrape.sum("plimsoll_messages_started_total", &[]));
    assert_eq!(api.all("accepted") as f64, delivered(&daemon));
}

#[test]
fn a_login_server_that_throttles_is_left_alone_until_it_has_time() {
    let world = World::new();
    let limit = "[[limits]]\nname = \"login\"\nkind = \"token_bucket\"\napplies_to = \"login\"\n\
                 rate = \"20/min\"\nburst = 1\n";
    let api = world.api(&format!("{CLIENTS}{limit}"));
    assert_eq!(log_in(&api, "other"), 200, "the only token for three seconds");
    let daemon = world.daemon(&config(&api, "app-secret", "20/s"), &[]);
    let fetches = |result| daemon.sum("plimsoll_token_fetches_total", &[("result", result)]);
    until("the refusal", || fetches("throttled") >= 1.0);
    until("slots that pass", || no_token(&daemon) > 20.0);
    assert_eq!(api.all("received"), 0, "nothing is sent without a token");
    assert_eq!(daemon.get("/livez").status, 200);
    assert_eq!(daemon.get("/readyz").status, 200);
    until("traffic after all", || api.all("accepted") > 10);
    let asked = api.login("received");
    assert!((3..=4).contains(&asked), "{asked} login requests: the other's, a refused, a granted");
    assert_eq!(fetches("granted"), 1.0);
    assert_eq!(api.all("unauthorized"), 0);
}

#[test]
fn a_wrong_secret_is_said_and_the_login_server_is_not_hammered() {
    let world = World::new();
    let api = world.api(CLIENTS);
    let mut daemon = world.daemon(&config(&api, "wrong-secret", "20/s"), &[]);
    until("the error", || daemon.line("the login server refused the client").is_some());
    let line = daemon.line("the login server refused the client").expect("just seen");
    assert_eq!((&line["level"], &line["error"]), (&"ERROR".into(), &"invalid_client".into()));
    // Time in which a client without a backoff would ask hundreds of times.
    let many = wait_for(Duration::from_secs(4), || (api.login("received") > 4).then_some(()));
    assert!(many.is_none(), "{} login requests", api.login("received"));
    assert!(api.login("received") >= 2, "and it goes on asking");
    assert!(daemon.process.ended().is_none());
    assert_eq!(daemon.get("/livez").status, 200);
    assert_eq!(api.all("received"), 0);
    assert_eq!(daemon.status()["credentials"][0]["usable"], false);
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
}
