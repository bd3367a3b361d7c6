//! Secrets go to the server that they are for, and nowhere else.

use crate::support::process::wait_for;
use crate::world::{SOON, World, plimsoll, sending_to, until};

const CLIENT_SECRET: &str = "canary-client-secret";
const FILE_TOKEN: &str = "canary-file-token";
const ENV_TOKEN: &str = "canary-env-token";
const INLINE_TOKEN: &str = "canary-inline-token";

#[test]
fn no_secret_is_ever_shown() {
    let world = World::new();
    let token = |value: &str| format!("[[tokens]]\nvalue = \"{value}\"\ntenant = \"acme\"\n");
    let api = world.api(&format!(
        "require_token = true\n[[clients]]\nid = \"app\"\nsecret = \"{CLIENT_SECRET}\"\n{}{}{}",
        token(FILE_TOKEN),
        token(ENV_TOKEN),
        token(INLINE_TOKEN),
    ));
    world.write("client.secret", CLIENT_SECRET);
    world.write("token.secret", &format!("{FILE_TOKEN}\n"));
    let url = &api.url;
    let mut config = String::from("allow_inline_secrets = true\n") + &sending_to(url);
    config += &format!(
        "[credentials.oauth]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
         client_secret_file = \"client.secret\"\ntoken_url = \"{url}/oauth/token\"\n\
         [credentials.file]\ntype = \"bearer\"\ntoken_file = \"token.secret\"\n\
         [credentials.env]\ntype = \"bearer\"\ntoken_env = \"CANARY_TOKEN\"\n\
         [credentials.inline]\ntype = \"bearer\"\ntoken = \"{INLINE_TOKEN}\"\n"
    );
    for name in ["oauth", "file", "env", "inline"] {
        config += &format!(
            "[streams.{name}]\ntarget = \"t\"\ncredential = \"{name}\"\nrate = \"10/s\"\n"
        );
    }
    world.write("plimsoll.toml", &config);
    let args = [
        "run",
        "--config.file",
        "plimsoll.toml",
        "--log.format",
        "json",
        "--log.level",
        "trace",
        "--web.enable-lifecycle",
    ];
    let mut daemon = world.daemon_by(plimsoll(&args).env("CANARY_TOKEN", ENV_TOKEN));
    let accepted = |scrape: &crate::world::Scrape, name| {
        scrape.sum("plimsoll_attempts_total", &[("stream", name), ("outcome", "accepted")]) > 2.0
    };
    until("traffic with every secret", || {
        let scrape = daemon.scrape();
        ["oauth", "file", "env", "inline"].iter().all(|name| accepted(&scrape, name))
    });
    // Also what is said when reading it anew goes wrong.
    world.write("plimsoll.toml", &(config.clone() + "rates = 1\n"));
    let refusal = daemon.post("/-/reload");
    assert_eq!(refusal.status, 500);

    let mut shown = refusal.body;
    for path in ["/", "/config", "/metrics", "/api/v1/status", "/livez", "/readyz"] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 200, "{path}");
        shown += &answer.body;
    }
    assert!(shown.contains("client.secret"), "the configuration names the file");
    shown += &crate::surface::events(&daemon, |told| told.contains("event: status"));
    daemon.process.signal("TERM");
    assert!(wait_for(SOON, || daemon.process.ended()).is_some());
    shown += &daemon.process.log();
    assert!(!shown.contains("canary-"), "{shown}");
    assert_eq!(api.all("unauthorized"), 0, "and yet all were used");
}
