//! Files that change under a daemon that watches them, as mounted ConfigMaps and Secrets do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mounted::Mounted;
use crate::reload::{of_stream, reloads, runs_on, telling};
use crate::scripted::{Reply, Request, Scripted};
use crate::world::{Daemon, World, plimsoll, sending_to, stream, until};

const WATCHED: &str = "[reload]\ninterval = \"100ms\"\n";

/// A daemon whose configuration is a mounted ConfigMap.
fn configured(world: &World, config: &str) -> (Mounted, Daemon) {
    let mounted = Mounted::new(&world.path().join("etc"), &[("plimsoll.toml", config)]);
    let args = ["run", "--config.file", "etc/plimsoll.toml", "--log.format", "json"];
    let daemon = world.daemon_by(&mut plimsoll(&args));
    (mounted, daemon)
}

fn successful(daemon: &Daemon) -> bool {
    daemon.sum("plimsoll_config_last_reload_successful", &[]) == 1.0
}

fn token(request: &Request) -> &str {
    request.header("authorization").unwrap_or_default()
}

#[test]
fn a_rotated_token_is_used_and_no_request_fails_for_it() {
    let world = World::new();
    let revoked = Arc::new(AtomicBool::new(false));
    let is_revoked = Arc::clone(&revoked);
    let api = Scripted::start(move |_, request| match token(request) {
        "Bearer new" => Reply::ok(),
        "Bearer old" if !is_revoked.load(Ordering::Relaxed) => Reply::ok(),
        _ => Reply::Status(401, String::new()),
    });
    let secret = Mounted::new(&world.path().join("secret"), &[("token", "old\n")]);
    let credential = "[credentials.c]\ntype = \"bearer\"\ntoken_file = \"../secret/token\"\n";
    let streams = stream("s", "100/s") + "credential = \"c\"\n" + credential + WATCHED;
    let (_config, daemon) = configured(&world, &telling(&api, &streams));
    until("traffic", || api.count() > 20);
    secret.swap(&[("token", "new\n")]);
    until("the new token", || api.seen().iter().any(|r| token(r) == "Bearer new"));
    // As who rotates it would: the old one goes when the new one is in use.
    revoked.store(true, Ordering::Relaxed);
    let sent = api.count();
    until("traffic with it", || api.count() > sent + 100);

    // In flight at the swap on another connection, one with the old token may come after one with the new.
    let tokens: Vec<_> = api.seen().iter().map(|r| token(r).to_owned()).collect();
    let first_new = tokens.iter().position(|t| t == "Bearer new").expect("just seen");
    let old_after = tokens[first_new..].iter().filter(|t| *t == "Bearer old").count();
    assert!(old_after <= 2, "{old_after} requests went back to the old token");
    let scrape = daemon.scrape();
    scrape.adds_up();
    for outcome in ["rejected", "failed", "throttled"] {
        assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", outcome)]), 0.0);
    }
    assert_eq!(scrape.sum("plimsoll_slots_skipped_total", &[]), 0.0);
    runs_on(&of_stream(&api, "s"));
    let said = daemon.line("files have changed").expect("a line");
    assert!(said["files"].as_str().is_some_and(|f| f.ends_with("secret/token")), "{said}");
}

#[test]
fn a_rotated_client_secret_is_tried_at_once_while_the_old_token_goes_on() {
    let world = World::new();
    let api = world.api(
        "require_token = true\n\
         [[clients]]\nid = \"first\"\nsecret = \"first-secret\"\ntenant = \"acme\"\n\
         [[clients]]\nid = \"second\"\nsecret = \"second-secret\"\ntenant = \"acme\"\n",
    );
    let files =
        |id: &str| [("client_id", id.to_owned()), ("client_secret", format!("{id}-secret"))];
    let secret = Mounted::new(&world.path().join("secret"), &[]);
    let swap = |id: &str| {
        let files = files(id);
        secret.swap(&files.each_ref().map(|(name, text)| (*name, text.as_str())));
    };
    swap("first");
    let credential = format!(
        "[credentials.c]\ntype = \"oauth_client_credentials\"\ntoken_url = \"{}/oauth/token\"\n\
         client_id_file = \"../secret/client_id\"\nclient_secret_file = \"../secret/client_secret\"\n",
        api.url
    );
    let streams = stream("s", "50/s") + "credential = \"c\"\n" + &credential + WATCHED;
    let (_config, daemon) = configured(&world, &(sending_to(&api.url) + &streams));
    until("traffic", || api.all("accepted") > 10);
    let no_token = || daemon.sum("plimsoll_slots_skipped_total", &[("reason", "no_token")]);
    let at_the_start = no_token();

    swap("second");
    until("a token for the new client", || api.login("granted") == 2);
    // One that the login server refuses: said at once, and what there is goes on.
    swap("third");
    until("the refusal", || daemon.line("the login server refused the client").is_some());
    let accepted = api.all("accepted");
    until("traffic all the same", || api.all("accepted") > accepted + 20);
    swap("first");
    until("a token after the repair", || api.login("granted") == 3);
    assert_eq!(no_token(), at_the_start, "no slot had to wait for a token");
    assert_eq!(api.all("unauthorized"), 0);
    assert_eq!(daemon.sum("plimsoll_tokens_revoked_total", &[]), 0.0);
    daemon.scrape().adds_up();
}

#[test]
fn a_changed_configuration_leaves_alone_what_did_not_change() {
    let world = World::new();
    // Refuses the third request to one of its hosts, for longer than the test takes.
    let refusing = Scripted::start(|number, _| match number {
        0..2 => Reply::ok(),
        _ => Reply::Status(429, "retry-after: 600\r\n".to_owned()),
    });
    let api = world.api(
        "quota_headers = [\"x_ratelimit\"]\n\
         [[limits]]\nname = \"l\"\nkind = \"fixed_window\"\nlimit = 40\nwindow = \"1s\"\n",
    );
    let steady = Scripted::start(|_, _| Reply::ok());
    let target = |name: &str, url: &str| {
        format!("[targets.{name}]\nbase_url = \"{url}\"\npath = \"/messages\"\nbody = '{{}}'\n")
    };
    let of = |name: &str, target: &str, rate: &str| {
        format!("[streams.{name}]\ntarget = \"{target}\"\nrate = \"{rate}\"\n")
    };
    let config = |rate: &str| {
        telling(&steady, &stream("same", "50/s"))
            + &stream("changed", rate)
            + &target("refusing", &refusing.url)
            + &of("gated", "refusing", "20/s")
            + &target("learning", &api.url)
            + &of("learned", "learning", "80/s")
            + "mode = \"adaptive\"\n"
            + WATCHED
    };
    let (mounted, daemon) = configured(&world, &config("10/s"));
    let gate = refusing.url.trim_start_matches("http://");
    let gated = [("gate", gate)];
    until("the gate", || daemon.sum("plimsoll_gate_state", &gated) == 2.0);
    until("the estimate", || daemon.scrape().0.contains("plimsoll_estimate_rate{"));
    until("traffic", || of_stream(&steady, "same").len() > 50);
    let before = daemon.scrape();
    let refused = refusing.count();

    mounted.swap(&[("plimsoll.toml", &config("60/s"))]);
    let changed = [("stream", "changed")];
    until("the new rate", || daemon.sum("plimsoll_stream_configured_rate", &changed) == 60.0);
    let after = daemon.scrape();
    let sent = of_stream(&steady, "changed").len();
    until("traffic at the new rate", || of_stream(&steady, "changed").len() > sent + 30);
    runs_on(&of_stream(&steady, "same"));
    runs_on(&of_stream(&steady, "changed"));

    for name in [
        "plimsoll_gate_state",
        "plimsoll_gate_closed_until_timestamp_seconds",
        "plimsoll_gate_epochs_total",
    ] {
        let (was, is) = (before.sum(name, &gated), after.sum(name, &gated));
        assert!((was - is).abs() < 0.01, "{name}: {was} became {is}");
    }
    assert_eq!(refusing.count(), refused, "nothing was sent into the pause");
    assert!(after.sum("plimsoll_estimate_rate", &[]) > 0.0, "the estimate is still there");
    let starts = [("reason", "start")];
    assert_eq!(after.sum("plimsoll_pace_changes_total", &starts), 1.0, "learning went on");
    assert_eq!(reloads(&daemon, "success"), 2.0, "the first, and the one that was needed");
    after.adds_up();
}

#[test]
fn a_broken_file_changes_nothing_is_reported_once_and_can_be_repaired() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = |rate: &str| telling(&api, &(stream("s", rate) + WATCHED));
    let (mounted, daemon) = configured(&world, &config("50/s"));
    until("traffic", || api.count() > 10);

    mounted.swap(&[("plimsoll.toml", &config("fast"))]);
    until("the refusal", || reloads(&daemon, "failure") == 1.0);
    assert!(!successful(&daemon));
    let said = daemon.line("configuration not reloaded").expect("a line");
    assert!(said["problem"].as_str().is_some_and(|p| p.contains("streams.s.rate")), "{said}");
    assert_eq!(daemon.get("/readyz").status, 200);
    let sent = api.count();
    until("the old configuration's traffic", || api.count() > sent + 50);

    mounted.swap(&[("plimsoll.toml", &config("60/s"))]);
    until("the repair", || successful(&daemon));
    assert_eq!(reloads(&daemon, "failure"), 1.0, "looked at many times, told once");
    until("the new rate", || daemon.sum("plimsoll_stream_configured_rate", &[]) == 60.0);
    runs_on(&of_stream(&api, "s"));
}

#[test]
fn a_secret_that_comes_after_the_configuration_that_names_it_is_found() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let secret = Mounted::new(&world.path().join("secret"), &[("one", "first")]);
    let config = |file: &str| {
        let credential = format!("type = \"bearer\"\ntoken_file = \"../secret/{file}\"\n");
        let streams = stream("s", "50/s") + "credential = \"c\"\n[credentials.c]\n" + &credential;
        telling(&api, &(streams + WATCHED))
    };
    let (mounted, daemon) = configured(&world, &config("one"));
    until("traffic", || api.count() > 10);

    mounted.swap(&[("plimsoll.toml", &config("two"))]);
    until("the refusal", || reloads(&daemon, "failure") == 1.0);
    let said = daemon.line("configuration not reloaded").expect("a line");
    assert!(said["problem"].as_str().is_some_and(|p| p.contains("secret/two")), "{said}");
    secret.swap(&[("two", "second")]);
    until("the new token", || api.seen().iter().any(|r| token(r) == "Bearer second"));
    assert!(successful(&daemon));
    assert!(api.seen().iter().all(|r| ["Bearer first", "Bearer second"].contains(&token(r))));
}

#[test]
fn a_plain_file_is_watched_as_well() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = |rate: &str| telling(&api, &(stream("s", rate) + WATCHED));
    let daemon = world.daemon(&config("50/s"), &[]);
    until("traffic", || api.count() > 10);
    world.write("plimsoll.toml", &config("60/s"));
    until("the new rate", || daemon.sum("plimsoll_stream_configured_rate", &[]) == 60.0);
    runs_on(&of_stream(&api, "s"));
}
