//! Canaries: every kind of secret at once, each used, and then everything that the program says or writes is
//! searched for them.

mod probe;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use plimsoll::model::{CredentialId, EndpointId};
use plimsoll::sender::{
    AuthSettings, Bearer, CredentialSettings, InlineSecret, SecretSource, TokenStore,
};

use crate::certificates::Authority;
use crate::scripted::{Reply, Request, Scripted};
use crate::support::http;
use crate::world::{Daemon, World, plimsoll, sending_to, until};

const TOKEN: &str = "canary-token-in-a-file";
const ENV_TOKEN: &str = "canary-token-in-the-environment";
const CLIENT_SECRET: &str = "canary-client-secret";
const GRANTED: &str = "canary-granted-token";
const PROXY: &str = "canary-proxy-password";
const WEB: &str = "canary-web-password";
const HEADER: &str = "canary-header-of-a-target";
const OTLP: &str = "canary-header-of-otlp";

/// What must be found nowhere: the secrets, what basic authentication makes of them, the hash, and the keys.
struct Canaries(Vec<String>);

impl Canaries {
    #[track_caller]
    fn sing_not_in(&self, what: &str, text: &str) {
        for canary in &self.0 {
            if let Some(at) = text.find(canary.as_str()) {
                let from = text[..at].char_indices().rev().nth(200).map_or(0, |(i, _)| i);
                panic!("{what} shows {canary}: …{}", &text[from..at + canary.len()]);
            }
        }
    }
}

/// The second line of a key in PEM: nothing else has it.
fn key_text(path: &std::path::Path) -> String {
    fs::read_to_string(path).expect("there").lines().nth(1).expect("PEM").to_owned()
}

/// An API that is a login server, too, and a proxy: whatever is asked, it grants.
fn everything() -> Scripted {
    Scripted::start(|_, request: &Request| {
        if request.line.contains("/oauth/token") {
            return Reply::Body(
                200,
                format!(r#"{{"access_token":"{GRANTED}","token_type":"bearer","expires_in":600}}"#),
            );
        }
        // Some of the messages are refused, so that they are traced and logged.
        match request.body.len() % 3 {
            0 => Reply::Status(429, "retry-after: 0\r\n".to_owned()),
            _ => Reply::ok(),
        }
    })
}

fn config(api: &Scripted, proxy: &Scripted, otlp: &Scripted) -> String {
    let url = &api.url;
    let mut text = sending_to(url)
        + "headers = { x-message = \"{{sequence}}\" }\n"
        + &format!(
            "[targets.proxied]\nbase_url = \"{url}\"\npath = \"/proxied\"\nconnection = \"p\"\n\
             [targets.private]\nbase_url = \"https://127.0.0.1:1\"\npath = \"/private\"\n\
             connection = \"p\"\nbody = \"{{}}\"\n\
             [connections.p]\nproxy_url = \"{}\"\nproxy_user = \"me\"\n\
             proxy_password_file = \"proxy.secret\"\nca_file = \"ca.pem\"\n\
             cert_file = \"client.crt\"\nkey_file = \"client.key\"\nmax_age = \"1s\"\n\
             [credentials.file]\ntype = \"bearer\"\ntoken_file = \"token.secret\"\n\
             [credentials.env]\ntype = \"bearer\"\ntoken_env = \"CANARY_TOKEN\"\n\
             [credentials.oauth]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
             client_secret_file = \"client.secret\"\ntoken_url = \"{url}/oauth/token\"\n\
             [tracing]\nendpoint = \"{}\"\nprotocol = \"http/protobuf\"\nsample_ratio = 1.0\n\
             [state]\nfile = \"state.json\"\ninterval = \"1s\"\n\
             [attempt_log]\npath = \"attempts.ndjson\"\n",
            proxy.url,
            otlp.url.clone() + "/v1/traces",
        );
    for (name, target, credential) in [
        ("file", "t", "file"),
        ("env", "t", "env"),
        ("oauth", "t", "oauth"),
        ("proxied", "proxied", "file"),
        ("private", "private", "file"),
    ] {
        text += &format!(
            "[streams.{name}]\ntarget = \"{target}\"\ncredential = \"{credential}\"\nrate = \"10/s\"\n"
        );
    }
    text
}

fn start(world: &World) -> Daemon {
    let args = "run --config.file plimsoll.toml --log.format json --log.level trace \
                --web.enable-lifecycle --web.config.file web.yml";
    let mut command = plimsoll(&args.split_whitespace().collect::<Vec<_>>());
    command.env("CANARY_TOKEN", ENV_TOKEN);
    command.env("PLIMSOLL__TARGETS__T__HEADERS__X_API_KEY", HEADER);
    command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={OTLP}"));
    command.env("OTEL_BSP_SCHEDULE_DELAY", "200");
    command.env("RUST_BACKTRACE", "full");
    world.daemon_by(&mut command)
}

fn get(daemon: &Daemon, path: &str, accept: &str) -> String {
    let request = http::client().get(format!("{}{path}", daemon.url)).header("accept", accept);
    let answer = http::send(request.basic_auth("alice", Some(WEB))).expect("it answers");
    format!("{:?}{}", answer.headers, answer.body)
}

/// Listens to events until each of these has come.
fn listen(daemon: &Daemon, wanted: &[&str]) -> String {
    let address = daemon.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let alice = BASE64_STANDARD.encode(format!("alice:{WEB}"));
    let head = "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Basic ";
    stream.write_all(format!("{head}{alice}\r\n\r\n").as_bytes()).expect("it reads");
    let mut told = String::new();
    until("events", || {
        let mut some = [0; 4_096];
        let n = stream.read(&mut some).expect("it tells");
        told.push_str(&String::from_utf8_lossy(&some[..n]));
        wanted.iter().all(|event| told.contains(event))
    });
    told
}

#[test]
fn no_canary_sings() {
    let world = World::new();
    let ca = Authority::new("private");
    ca.file(world.path(), "ca.pem");
    let client = ca.client(world.path(), "client");
    for (name, secret) in
        [("token.secret", TOKEN), ("client.secret", CLIENT_SECRET), ("proxy.secret", PROXY)]
    {
        world.write(name, &format!("{secret}\n"));
    }
    let hash = bcrypt::hash(WEB, 4).expect("a hash");
    world.write("web.yml", &format!("basic_auth_users:\n  alice: {hash}\n"));
    let (api, proxy, otlp) = (everything(), everything(), everything());
    let config = config(&api, &proxy, &otlp);
    world.write("plimsoll.toml", &config);
    let basic = |user: &str, password: &str| BASE64_STANDARD.encode(format!("{user}:{password}"));
    let canaries = Canaries(vec![
        "canary-".to_owned(),
        basic("app", CLIENT_SECRET),
        basic("me", PROXY),
        basic("alice", WEB),
        hash,
        key_text(&client.key),
    ]);
    let mut daemon = start(&world);

    // Each is used.
    let authorization = |seen: &[Request], value: &str| {
        seen.iter().any(|r| r.header("authorization") == Some(value))
    };
    until("every secret at work", || {
        let (seen, proxied, traced) = (api.seen(), proxy.seen(), otlp.seen());
        [TOKEN, ENV_TOKEN, GRANTED]
            .iter()
            .all(|token| authorization(&seen, &format!("Bearer {token}")))
            && authorization(&seen, &format!("Basic {}", basic("app", CLIENT_SECRET)))
            && seen.iter().any(|r| r.header("x_api_key") == Some(HEADER))
            && proxied.iter().any(|r| {
                r.header("proxy-authorization") == Some(&format!("Basic {}", basic("me", PROXY)))
            })
            && authorization(&traced, OTLP)
    });
    until("failures of the private target", || daemon.line("requests fail").is_some());
    until("a state file", || world.path().join("state.json").is_file());

    // What it says while it runs.
    for path in
        ["/", "/metrics", "/config", "/api/v1/status", "/api/v1/history", "/livez", "/nothing"]
    {
        canaries.sing_not_in(path, &get(&daemon, path, "*/*"));
    }
    let told = listen(&daemon, &["event: status", "event: gate"]);
    canaries.sing_not_in("/api/v1/events", &told);
    let open = get(&daemon, "/metrics", "application/openmetrics-text; version=1.0.0");
    canaries.sing_not_in("OpenMetrics", &open);
    // The bundle, by the command that makes it.
    world.write("web.secret", WEB);
    let bundle = bundle(&world, &daemon.url);
    assert!(bundle.contains("proxy_password_file") && bundle.contains("plimsoll_slots_sent_total"));
    canaries.sing_not_in("the bundle", &bundle);

    of_mistakes(&world, &daemon, &config, &canaries);

    // What it leaves behind.
    assert_eq!(daemon.process.terminate(Duration::from_secs(20)).code(), Some(0));
    canaries.sing_not_in("the log", &daemon.process.log());
    let state = fs::read_to_string(world.path().join("state.json")).expect("written");
    canaries.sing_not_in("the state file", &state);
    let attempts = fs::read_to_string(world.path().join("attempts.ndjson")).expect("written");
    assert!(attempts.contains("throttled"), "there is something to look through");
    canaries.sing_not_in("the attempt log", &attempts);
    let traced = otlp.seen();
    assert!(traced.iter().any(|r| r.body.len() > 100));
    for request in traced {
        canaries.sing_not_in("a trace", &String::from_utf8_lossy(&request.body));
    }
    // Messages carry no secret but in the headers that are for it.
    for request in api.seen() {
        canaries.sing_not_in("a message", &String::from_utf8_lossy(&request.body));
        canaries.sing_not_in("a request line", &request.line);
    }
}

/// What it says of mistakes: in the configuration, in its files, in the web configuration.
fn of_mistakes(world: &World, daemon: &Daemon, config: &str, canaries: &Canaries) {
    let post = |path: &str| {
        let request = http::client().post(format!("{}{path}", daemon.url));
        let answer = http::send(request.basic_auth("alice", Some(WEB))).expect("it answers");
        assert_eq!(answer.status, 500, "{}", answer.body);
        answer.body
    };
    for mistake in [
        config.to_owned() + "rates = 1\n",
        config.replace("token_file = \"token.secret\"", &format!("token = \"{TOKEN}\"")),
        config.replace("token_file = \"token.secret\"", &format!("token_fil = \"{TOKEN}\"")),
        config.replace("\"CANARY_TOKEN\"", &format!("\"{ENV_TOKEN}\"")),
        config.replace("http://127", &format!("http://me:{PROXY}@127")),
    ] {
        assert_ne!(mistake, config);
        world.write("plimsoll.toml", &mistake);
        canaries.sing_not_in("a refused reload", &post("/-/reload"));
        let (code, said) = world.run(&["check", "plimsoll.toml"]);
        assert_eq!(code, Some(2));
        canaries.sing_not_in("plimsoll check", &said);
    }
    world.write("plimsoll.toml", config);
    for (file, text) in [
        ("token.secret", format!("{TOKEN}\nsecond line")),
        (
            "client.key",
            format!("-----BEGIN PRIVATE KEY-----\n{PROXY}\n-----END PRIVATE KEY-----\n"),
        ),
    ] {
        let path = world.path().join(file);
        let good = fs::read(&path).expect("there");
        fs::write(&path, text).expect("written");
        canaries.sing_not_in("a refused file", &post("/-/reload"));
        fs::write(&path, good).expect("written");
    }
    world.write("web.yml", &format!("basic_auth_users:\n  alice: {WEB}\n  {WEB}: [\n"));
    until("the complaint", || {
        get(daemon, "/metrics", "*/*");
        daemon.line("web configuration: the old one stays").is_some()
    });
}

/// Makes a bundle; all of its files, one after the other.
fn bundle(world: &World, url: &str) -> String {
    let args = ["report", url, "--http.user", "alice", "--http.password-file", "web.secret"];
    let (code, said) = world.run(&args);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("plimsoll-report.tar.gz: report.txt, livez.txt"), "{said}");
    let file = fs::File::open(world.path().join("plimsoll-report.tar.gz")).expect("written");
    let mut bundle = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let (mut text, mut names) = (String::new(), Vec::new());
    for entry in bundle.entries().expect("a bundle") {
        let mut entry = entry.expect("an entry");
        names.push(entry.path().expect("a path").display().to_string());
        entry.read_to_string(&mut text).expect("text");
    }
    for name in ["report.txt", "config.yaml", "metrics.txt", "status.json", "readyz.txt"] {
        assert!(names.contains(&format!("plimsoll-report/{name}")), "{names:?}");
    }
    text
}

#[test]
fn a_report_says_what_it_could_not_have() {
    let world = World::new();
    let [nobody] = crate::support::process::free_ports();
    let url = format!("http://127.0.0.1:{nobody}");
    let (code, said) = world.run(&["report", &url]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not answer") && said.contains("refused"), "{said}");
    assert!(!world.path().join("plimsoll-report.tar.gz").exists());
    let (code, said) = world.run(&["report", "http://me:canary@127.0.0.1"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!said.contains("canary"), "{said}");
    let halting = Scripted::start(|_, request: &Request| match request.line.contains("/metrics") {
        true => Reply::Close,
        false => Reply::ok(),
    });
    let (code, said) = world.run(&["report", &halting.url, "-o", "part.tar.gz"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not in it: /metrics"), "{said}");
    assert!(world.path().join("part.tar.gz").is_file());
}

/// The one setting of the child below.
const CHILD: &str = "PLIMSOLL_TEST_PANIC";

#[test]
#[expect(clippy::disallowed_methods, reason = "the child of a test is told so by its environment")]
fn a_task_that_panics_ends_the_process_and_shows_no_secret() {
    if std::env::var_os(CHILD).is_some() {
        panic_in_a_task();
    }
    let this = "canary::a_task_that_panics_ends_the_process_and_shows_no_secret";
    let program = std::env::current_exe().expect("this very program");
    let mut command = Command::new(program);
    command.args(["--exact", this, "--nocapture"]).env(CHILD, "1").env("RUST_BACKTRACE", "full");
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("panicked at") && said.contains("everything there is"), "{said}");
    for shown in ["Bearer(generation 1)", "<secret>", "CredentialSettings", "plimsoll-task"] {
        assert!(said.contains(shown), "{shown} is not in {said}");
    }
    assert!(!said.contains("canary-"), "{said}");
    assert!(!said.contains("lived on"), "the other tasks ended with it: {said}");
}

/// As the binary does it: the hook, a task on a runtime, and every type that holds a secret in the message.
#[expect(clippy::disallowed_methods, reason = "outlives the panic, if nothing ends it")]
fn panic_in_a_task() -> ! {
    plimsoll::panics::end_the_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("plimsoll-task")
        .build()
        .expect("a runtime");
    let secret = secrecy::SecretString::from(TOKEN);
    let bearer = Bearer::new(&secret, 1).expect("printable");
    let mut store = TokenStore::default();
    store.put(CredentialId(1), &secret).expect("printable");
    let inline = SecretSource::Inline(InlineSecret::new(CLIENT_SECRET.to_owned()));
    let credential = CredentialSettings {
        id: CredentialId(1),
        name: Arc::from("c"),
        auth: Some(AuthSettings::Bearer(inline)),
    };
    let copy = (bearer.clone(), Bytes::from_static(b"{}"), EndpointId(1));
    let task = runtime.spawn(async move {
        panic!("everything there is: {bearer:?} {store:?} {credential:?} {secret:?} {copy:?}");
    });
    while !task.is_finished() {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_secs(2));
    println!("lived on");
    std::process::exit(0);
}
