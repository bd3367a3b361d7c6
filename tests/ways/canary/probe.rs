//! The same of a probe: what it says before, while and after, its reports, and its attempt log.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{CLIENT_SECRET, Canaries, ENV_TOKEN, GRANTED, HEADER, TOKEN};
use crate::scripted::{Reply, Request, Scripted};
use crate::world::{World, plimsoll, sending_to, stream};

/// A probe's whole output: what it says, and the files it writes.
fn probed(world: &World, more: &[&str]) -> (Option<i32>, String) {
    let files = ["--report.html", "probe.html", "--report.json", "probe.json"];
    let bounds = ["--max-requests", "120", "--max-throttles", "20", "--max-time", "8s", "--yes"];
    let logs = ["--log.level", "trace", "--log.format", "json"];
    let args = [&["probe", "--config.file", "probe.toml", "--stream", "file"][..], &logs, more];
    let mut command = plimsoll(&[&args.concat()[..], &files, &bounds].concat());
    command.env("CANARY_TOKEN", ENV_TOKEN).env("RUST_BACKTRACE", "full");
    command.env("PLIMSOLL__TARGETS__T__HEADERS__X_API_KEY", HEADER);
    let mut process = world.spawn(&mut command);
    let code = process.wait(Duration::from_secs(60)).code();
    let mut said = process.log();
    for file in ["probe.html", "probe.json", "probe.ndjson"] {
        said += &fs::read_to_string(world.path().join(file)).unwrap_or_default();
    }
    (code, said)
}

#[test]
fn no_canary_sings() {
    let world = World::new();
    for (name, secret) in [("token.secret", TOKEN), ("client.secret", CLIENT_SECRET)] {
        world.write(name, &format!("{secret}\n"));
    }
    let up = Arc::new(AtomicBool::new(true));
    let is_up = Arc::clone(&up);
    let api = Scripted::start(move |number, request: &Request| {
        if request.line.contains("/oauth/token") {
            let granted = format!(r#"{{"access_token":"{GRANTED}","token_type":"bearer"}}"#);
            return Reply::Body(200, granted);
        }
        match number % 10 {
            _ if !is_up.load(Ordering::SeqCst) => Reply::Body(500, "{}".to_owned()),
            9 => Reply::Status(429, "retry-after: 1\r\n".to_owned()),
            _ => Reply::ok(),
        }
    });
    let mut config = sending_to(&api.url)
        + &format!(
            "[credentials.file]\ntype = \"bearer\"\ntoken_file = \"token.secret\"\n\
             [credentials.env]\ntype = \"bearer\"\ntoken_env = \"CANARY_TOKEN\"\n\
             [credentials.oauth]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
             client_secret_file = \"client.secret\"\ntoken_url = \"{}/oauth/token\"\n",
            api.url
        )
        + "[attempt_log]\npath = \"probe.ndjson\"\n";
    for name in ["file", "env", "oauth"] {
        config += &stream(name, "40/s");
        config += &format!("credential = \"{name}\"\n");
    }
    world.write("probe.toml", &config);
    let basic = BASE64_STANDARD.encode(format!("app:{CLIENT_SECRET}"));
    let canaries = Canaries(vec!["canary-".to_owned(), basic]);

    let (code, said) = probed(&world, &["--dry-run"]);
    assert_eq!((code, api.count()), (Some(0), 0), "{said}");
    canaries.sing_not_in("a dry run", &said);

    let (code, said) = probed(&world, &[]);
    assert_eq!(code, Some(0), "{said}");
    // Each party has its token from the beginning; how far the experiment comes in this time is another matter.
    let bearer = format!("Bearer {TOKEN}");
    assert!(api.seen().iter().any(|r| r.header("authorization") == Some(&bearer)), "{said}");
    assert!(api.seen().iter().any(|r| r.line.contains("/oauth/token")), "{said}");
    assert!(api.seen().iter().any(|r| r.header("x_api_key") == Some(HEADER)));
    assert!(said.contains("</html>") && said.contains("\"experiment\""), "{said}");
    canaries.sing_not_in("a probe", &said);

    // One that comes to nothing, and one that cannot even begin.
    up.store(false, Ordering::SeqCst);
    let (code, said) = probed(&world, &["--baseline", "probe.json"]);
    assert_eq!(code, Some(1), "{said}");
    canaries.sing_not_in("a probe that failed", &said);
    world.write("token.secret", &format!("{TOKEN}\nsecond line"));
    let (code, said) = probed(&world, &[]);
    assert!(code != Some(0) && said.contains("token.secret"), "{code:?} {said}");
    canaries.sing_not_in("a probe that could not begin", &said);
}
