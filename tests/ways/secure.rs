//! The daemon's own surface behind TLS and passwords, as Prometheus, a browser and a stranger meet it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::certificates::Authority;
use crate::support::http;
use crate::wire::Wire;
use crate::world::{Daemon, SOON, World, sending_to, stream, until};

/// A hash as `htpasswd -B` makes it, at the lowest cost.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).expect("a hash").replacen("$2b$", "$2y$", 1)
}

fn daemon(world: &World, web: &str, args: &[&str]) -> (Wire, Daemon) {
    let server = Wire::start(|answer| answer.ok());
    world.write("web.yml", web);
    let mut all = vec!["--web.config.file", "web.yml"];
    all.extend(args);
    let daemon = world.daemon(&(sending_to(&server.url) + &stream("s", "20/s")), &all);
    (server, daemon)
}

/// curl, which nobody here wrote: status and body.
fn curl(world: &World, args: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    command.current_dir(world.path()).args(["-sS", "--max-time", "10", "-w", "\n%{http_code}"]);
    let output = command.args(args).output().expect("curl is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    let errors = String::from_utf8_lossy(&output.stderr);
    (status.parse().unwrap_or(0), format!("{body}{errors}"))
}

#[test]
fn a_password_is_asked_for_everywhere_but_at_the_probes() {
    let world = World::new();
    let web = format!("basic_auth_users:\n  alice: {}\n", hash("canary-web"));
    let (_server, mut daemon) = daemon(&world, &web, &["--web.enable-lifecycle"]);
    for path in ["/livez", "/readyz", "/-/healthy", "/-/ready"] {
        assert_eq!(daemon.get(path).status, 200, "{path}");
    }
    let paths = ["/", "/metrics", "/config", "/api/v1/status", "/api/v1/events", "/nothing"];
    for path in paths {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic"));
        assert_eq!(answer.body, "Unauthorized\n", "and no more is told");
    }
    for path in ["/-/reload", "/-/quit", "/-/gates/open?gate=x", "/-/log/level?level=debug"] {
        assert_eq!(daemon.post(path).status, 401, "{path}");
    }
    let with = |user: &str, password: &str, path: &str| {
        let request = http::client().get(format!("{}{path}", daemon.url));
        http::send(request.basic_auth(user, Some(password))).expect("it answers").status
    };
    assert_eq!(with("alice", "canary-web", "/metrics"), 200);
    assert_eq!(with("alice", "canary-wrong", "/metrics"), 401);
    assert_eq!(with("bob", "canary-web", "/metrics"), 401);
    // Another password, without a restart; and a file with a mistake changes nothing.
    let web = format!("basic_auth_users:\n  alice: {}\n", hash("canary-new"));
    world.write("web.yml", &web);
    until("the new password", || with("alice", "canary-new", "/metrics") == 200);
    assert_eq!(with("alice", "canary-web", "/metrics"), 401);
    world.write("web.yml", &(web + "rate_limits: {}\n"));
    until("the complaint", || {
        with("alice", "canary-new", "/metrics");
        daemon.line("web configuration: the old one stays").is_some()
    });
    assert_eq!(with("alice", "canary-new", "/metrics"), 200);
    assert_eq!(with("alice", "canary-wrong", "/metrics"), 401);
    assert_eq!(daemon.process.terminate(Duration::from_secs(10)).code(), Some(0));
    assert!(!daemon.process.log().contains("canary"), "{}", daemon.process.log());
}

#[test]
fn tls_and_client_certificates_are_those_of_the_file() {
    let world = World::new();
    let ca = Authority::new("web");
    ca.file(world.path(), "ca.pem");
    ca.server(world.path(), "server", &["127.0.0.1"]);
    ca.client(world.path(), "client");
    let other = Authority::new("other");
    other.client(world.path(), "stranger");
    let web = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  \
               client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  \
               min_version: TLS12\nhttp_server_config:\n  headers:\n    \
               Strict-Transport-Security: max-age=1\n";
    let (_server, daemon) = daemon(&world, web, &[]);
    let url = daemon.url.replace("http:", "https:") + "/metrics";
    let trusted = ["--cacert", "ca.pem", &url];
    let client = |name: &str| [format!("{name}.crt"), format!("{name}.key")];
    let asked = |who: Option<&str>, more: &[&str]| {
        let [cert, key] = client(who.unwrap_or_default());
        let mut args = trusted.to_vec();
        if who.is_some() {
            args.extend(["--cert", &cert, "--key", &key]);
        }
        args.extend(more);
        curl(&world, &args)
    };
    let (status, body) = asked(Some("client"), &["-i"]);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("plimsoll_slots_sent_total") && body.contains("max-age=1"), "{body}");
    assert_eq!(asked(Some("client"), &["--tls-max", "1.2"]).0, 200);
    for (who, more) in
        [(None, &[][..]), (Some("stranger"), &[]), (Some("client"), &["--tls-max", "1.1"])]
    {
        let (status, body) = asked(who, more);
        assert_eq!(status, 0, "{who:?} {body}");
    }
    assert_eq!(curl(&world, &[&daemon.url]).0, 0, "plain HTTP is not answered");
    // A certificate that was renewed is shown to the next connection.
    let before = fs::read(world.path().join("server.crt")).expect("there");
    ca.server(world.path(), "server", &["127.0.0.1"]);
    assert_ne!(before, fs::read(world.path().join("server.crt")).expect("there"));
    until("the file to be read again", || {
        let (status, _) = asked(Some("client"), &[]);
        status == 200 && daemon.line("web configuration read again").is_some()
    });
    // An authority that did not sign the first one.
    other.file(world.path(), "ca.pem");
    other.server(world.path(), "server", &["127.0.0.1"]);
    until("the new authority", || asked(Some("stranger"), &[]).0 == 200);
    assert_eq!(asked(Some("client"), &[]).0, 0);
}

#[test]
fn a_file_that_is_cut_short_opens_nothing() {
    let world = World::new();
    let web = format!("basic_auth_users:\n  alice: {}\n", hash("canary-web"));
    let (_server, daemon) = daemon(&world, &web, &["--web.enable-lifecycle"]);
    let with = |password: &str| {
        let request = http::client().get(format!("{}/metrics", daemon.url));
        http::send(request.basic_auth("alice", Some(password))).expect("it answers").status
    };
    // As a shell leaves it between the two halves of `> web.yml`, or on a disk that is full.
    for cut in ["", "http_server_config: {}\n"] {
        world.write("web.yml", cut);
        let complaints = || daemon.process.log().matches("the old one stays").count();
        let before = complaints();
        until("the complaint", || {
            assert_eq!(daemon.get("/metrics").status, 401, "{cut:?}");
            assert_eq!(daemon.post("/-/pause").status, 401, "{cut:?}");
            complaints() > before
        });
        assert_eq!((daemon.get("/metrics").status, with("canary-web")), (401, 200), "{cut:?}");
    }
    // One that is written slowly is taken when it is whole, and no earlier: what it begins with has another password.
    let whole = format!("{web}  bob: {}\n", hash("canary-bob"));
    for step in 1..=20 {
        world.write("web.yml", &format!("{whole}# {}\n", "#".repeat(step)));
        assert_eq!(with("canary-web"), 200);
        assert_eq!(with("canary-bob"), 401);
    }
    let bob = || {
        let request = http::client().get(format!("{}/metrics", daemon.url));
        http::send(request.basic_auth("bob", Some("canary-bob"))).expect("it answers").status
    };
    until("the whole", || bob() == 200);
}

#[test]
fn any_change_to_one_key_of_it_is_taken_or_refused_and_never_a_panic() {
    let world = World::new();
    let ca = Authority::new("web");
    ca.file(world.path(), "ca.pem");
    ca.server(world.path(), "server", &["127.0.0.1"]);
    let alice = hash("canary-web");
    let whole = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  \
         min_version: TLS12\n  max_version: TLS13\n  \
         cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  \
         prefer_server_cipher_suites: true\nhttp_server_config:\n  http2: true\n  headers:\n    \
         X-Frame-Options: deny\nbasic_auth_users:\n  alice: {alice}\n"
    );
    let odd = [
        "''",
        "x",
        "0",
        "-1",
        "9223372036854775807",
        "1e308",
        ".nan",
        "true",
        "null",
        "[]",
        "[[]]",
        "{}",
        "{a: 1}",
        "[1, x, {}]",
        "2001-01-01",
        "'\\0'",
        "!!binary aGk=",
        "&a [*a]",
        "|\n    a",
    ];
    let load = |text: &str| plimsoll::web::Security::load(&world.write("web.yml", text));
    assert!(load(&whole).is_ok(), "{:?}", load(&whole));
    let directory = format!("{}/", world.path().display());
    let lines: Vec<&str> = whole.lines().collect();
    let (mut refused, mut twice) = (0, 0);
    for (index, line) in lines.iter().enumerate() {
        let (key, _) = line.split_once(':').expect("a key");
        let changed = odd.iter().map(|value| format!("{key}: {value}"));
        let more = [String::new(), format!("{key}x: 1"), format!("{line}\n{line}")];
        for change in changed.chain(more) {
            let mut lines = lines.clone();
            lines[index] = &change;
            let Err(problem) = load(&lines.join("\n")) else { continue };
            let said = problem.to_string();
            // Of the file, or of the one that it names.
            assert!(said.starts_with(&directory) && said.contains(": "), "{change}: {said}");
            assert!(!said.contains(&alice), "{change}: {said}");
            refused += 1;
            twice += u32::from(change.ends_with(&format!("{line}\n{line}")));
        }
    }
    assert!(refused > 200, "only {refused} of the changes were refused");
    assert_eq!(twice as usize, lines.len(), "a key that is there twice");
}

#[test]
fn what_is_not_understood_is_refused_at_the_start() {
    let world = World::new();
    let ca = Authority::new("web");
    ca.server(world.path(), "server", &["127.0.0.1"]);
    ca.server(world.path(), "another", &["127.0.0.1"]);
    world.write("plimsoll.toml", &(sending_to("http://127.0.0.1:1") + &stream("s", "1/h")));
    let tls = "tls_server_config:\n  cert_file: server.crt\n";
    let both = format!("{tls}  key_file: server.key\n");
    for (web, expected) in [
        ("basic_auth_users:\n  alice: canary-plain\n", "basic_auth_users.alice: not a bcrypt hash"),
        ("basic_auth_user: {}\n", "not known"),
        ("canary: [", "not YAML"),
        (tls, "cert_file and key_file are missing"),
        (&format!("{tls}  key_file: nowhere.key\n"), "nowhere.key: entity not found"),
        (&format!("{tls}  key_file: another.key\n"), "do not fit together"),
        (&format!("{tls}  key_file: server.crt\n"), "no private key in PEM"),
        (&format!("{both}  client_auth_type: RequestClientCert\n"), "not supported"),
        (&format!("{both}  client_auth_type: RequireAndVerifyClientCert\n"), "client_ca_file"),
        (&format!("{both}  min_version: TLS10\n"), "not supported"),
        (&format!("{both}  min_version: TLS13\n  max_version: TLS12\n"), "below min_version"),
        (
            &format!("{both}  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n"),
            "TLS_RSA_WITH_RC4_128_SHA",
        ),
        (&format!("{both}  client_allowed_sans: [a]\n"), "client_allowed_sans"),
        ("http_server_config:\n  headers:\n    X-Canary: a\n", "X-Canary: not one of"),
    ] {
        world.write("web.yml", web);
        let args = ["run", "--config.file", "plimsoll.toml", "--web.config.file", "web.yml"];
        let (code, log) = world.run(&args);
        assert_eq!(code, Some(2), "{web}\n{log}");
        assert!(log.contains("web.config_file: ") && log.contains(expected), "{web}\n{log}");
        assert!(!log.contains("canary-plain"), "{log}");
    }
}

#[test]
fn every_page_tells_browsers_to_be_strict() {
    let world = World::new();
    let (_server, daemon) = daemon(&world, "", &[]);
    for path in ["/", "/metrics", "/config", "/api/v1/status", "/livez", "/nothing"] {
        let answer = daemon.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
    }
    let page = daemon.get("/").body;
    for inline in ["<style", "style=", "<script>", "onclick", "javascript:"] {
        assert!(!page.contains(inline), "the page holds {inline}, which its own policy forbids");
    }
}

/// What it answers to these bytes.
fn raw(daemon: &Daemon, bytes: &[u8]) -> String {
    let address = daemon.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a positive time");
    // It may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_are_bounded_and_controls_are_off() {
    let world = World::new();
    let (_server, daemon) = daemon(&world, "", &[]);
    for path in ["/-/reload", "/-/quit", "/-/gates/open?gate=x", "/-/log/level?level=debug"] {
        assert_eq!(daemon.post(path).status, 403, "{path}");
    }
    let close = "host: x\r\nconnection: close\r\n";
    let long = format!("POST /-/quit HTTP/1.1\r\n{close}content-length: 70000\r\n\r\n");
    assert!(raw(&daemon, long.as_bytes()).starts_with("HTTP/1.1 413"));
    let chunked =
        format!("POST /-/quit HTTP/1.1\r\n{close}transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(raw(&daemon, chunked.as_bytes()).starts_with("HTTP/1.1 413"));
    let fields = format!("x-long: {}\r\n", "a".repeat(300_000));
    let answer = raw(&daemon, format!("GET /livez HTTP/1.1\r\n{close}{fields}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = "x-many: a\r\n".repeat(200);
    let answer = raw(&daemon, format!("GET /livez HTTP/1.1\r\n{close}{many}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(daemon.get("/livez").status, 200);
}

#[test]
fn the_log_level_is_changed_while_it_runs() {
    let world = World::new();
    let (_server, daemon) = daemon(&world, "", &["--web.enable-lifecycle"]);
    let debug = || daemon.line("attempt ended").is_some();
    until("traffic", || daemon.sum("plimsoll_slots_sent_total", &[]) > 10.0);
    assert!(!debug());
    for wrong in ["/-/log/level", "/-/log/level?level=loud", "/-/log/level?level=plimsoll=trace"] {
        assert_eq!(daemon.post(wrong).status, 400, "{wrong}");
    }
    assert_eq!(daemon.post("/-/log/level?level=debug").status, 200);
    until("debug lines", debug);
    // A reload puts it back to what is configured.
    assert_eq!(daemon.post("/-/reload").status, 200);
    let config = fs::read_to_string(world.path().join("plimsoll.toml")).expect("there");
    world.write("plimsoll.toml", &(config + "[log]\nlevel = \"error\"\n"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    assert!(daemon.line("takes effect only at the next start").is_none());
    assert!(Path::new(&world.path().join("web.yml")).is_file());
}
