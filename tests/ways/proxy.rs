//! Through tinyproxy, in the clear and over TLS.

use std::path::Path;
use std::process::Command;

use crate::certificates::{Authority, Files};
use crate::scripted::{Reply, Scripted};
use crate::support::process::{Process, free_ports, wait_for, write_file};
use crate::tls::Nginx;
use crate::world::{Daemon, SOON, World, plimsoll, sending_to, stream, until};

const PASSWORD: &str = "canary-proxy-password";

struct Proxy {
    process: Process,
    port: u16,
}

impl Proxy {
    fn start(directory: &Path) -> Self {
        let [port] = free_ports();
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nLogLevel Connect\n\
             BasicAuth plimsoll {PASSWORD}\n"
        );
        let configuration = write_file(directory, "tinyproxy.conf", &text);
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(configuration);
        let process = Process::spawn("tinyproxy", &mut command, &directory.join("tinyproxy.log"));
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        assert!(wait_for(SOON, listens).is_some(), "{}", process.log());
        Self { process, port }
    }

    /// The keys of a connection through it.
    fn keys(&self) -> String {
        keys("http", self.port)
    }
}

fn keys(scheme: &str, port: u16) -> String {
    format!(
        "[connections.default]\nproxy_url = \"{scheme}://127.0.0.1:{port}\"\n\
         proxy_user = \"plimsoll\"\nproxy_password_file = \"proxy.password\"\n"
    )
}

/// stunnel in front of a proxy: what arrives is decrypted and handed on.
struct Tunnel {
    process: Process,
    port: u16,
}

impl Tunnel {
    fn start(directory: &Path, to: &Proxy, server: &Files) -> Self {
        let [port] = free_ports();
        let (cert, key) = (server.cert.display(), server.key.display());
        let text = format!(
            "foreground = yes\npid =\ndebug = info\nsyslog = no\n[proxy]\naccept = 127.0.0.1:{port}\n\
             connect = 127.0.0.1:{}\ncert = {cert}\nkey = {key}\n",
            to.port
        );
        let configuration = write_file(directory, "stunnel.conf", &text);
        let mut command = Command::new("stunnel");
        let process =
            Process::spawn("stunnel", command.arg(configuration), &directory.join("stunnel.log"));
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        assert!(wait_for(SOON, listens).is_some(), "{}", process.log());
        Self { process, port }
    }
}

fn ended(world: &World, config: &str) -> Daemon {
    let daemon = world.daemon(config, &["--count", "10", "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    daemon.scrape().adds_up();
    daemon
}

fn accepted(daemon: &Daemon) -> f64 {
    daemon.sum("plimsoll_attempts_total", &[("outcome", "accepted")])
}

const ONE_ATTEMPT: &str = "[policy]\nmax_attempts = 1\n";

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn requests_go_through_the_proxy_unless_their_host_is_exempt() {
    let world = World::new();
    let proxy = Proxy::start(world.path());
    world.write("proxy.password", PASSWORD);
    let target = Scripted::start(|_, _| Reply::ok());
    let through = |request: &crate::scripted::Request| {
        // RFC 9110: a proxy adds its name; tinyproxy does.
        request.header("via").is_some_and(|via| via.contains("tinyproxy"))
    };
    let config = sending_to(&target.url) + ONE_ATTEMPT + &proxy.keys();
    let daemon = ended(&world, &(config.clone() + &stream("s", "40/s")));
    assert_eq!(accepted(&daemon), 10.0, "{}", daemon.process.log());
    assert_eq!(target.count(), 10);
    assert!(target.seen().iter().all(through), "{:?}", target.seen());
    assert!(target.seen().iter().all(|r| r.header("proxy-authorization").is_none()));
    assert!(!daemon.process.log().contains("canary"));

    let exempt = config + "no_proxy = [\"127.0.0.0/8\"]\n" + &stream("s", "40/s");
    let daemon = ended(&world, &exempt);
    assert_eq!(accepted(&daemon), 10.0);
    assert!(!target.seen()[10..].iter().any(through), "{:?}", target.seen());
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn tls_goes_through_the_proxy_in_a_tunnel_that_it_cannot_look_into() {
    let world = World::new();
    let proxy = Proxy::start(world.path());
    world.write("proxy.password", PASSWORD);
    world.write("token", "canary-token");
    let ca = Authority::new("private");
    ca.file(world.path(), "ca.pem");
    let server = ca.server(world.path(), "server", &["127.0.0.1"]);
    let nginx = Nginx::start(world.path(), &server, "");
    let config = sending_to(&nginx.url())
        + ONE_ATTEMPT
        + &proxy.keys()
        + "ca_file = \"ca.pem\"\n[credentials.c]\ntype = \"bearer\"\ntoken_file = \"token\"\n"
        + &stream("s", "40/s")
        + "credential = \"c\"\n";
    let daemon = ended(&world, &config);
    assert_eq!(accepted(&daemon), 10.0, "{}", daemon.process.log());
    assert_eq!(nginx.visits().len(), 10);
    let log = proxy.process.log();
    assert!(log.contains(&format!("CONNECT 127.0.0.1:{}", nginx.port)), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_proxy_that_refuses_or_is_gone_is_a_connection_that_fails() {
    let world = World::new();
    let proxy = Proxy::start(world.path());
    world.write("proxy.password", "canary-wrong");
    let ca = Authority::new("private");
    ca.file(world.path(), "ca.pem");
    let server = ca.server(world.path(), "server", &["127.0.0.1"]);
    let nginx = Nginx::start(world.path(), &server, "");
    let plain = Scripted::start(|_, _| Reply::ok());
    let [nobody] = free_ports();
    let gone = format!("[connections.default]\nproxy_url = \"http://127.0.0.1:{nobody}\"\n");
    for (url, keys) in [
        (nginx.url(), proxy.keys() + "ca_file = \"ca.pem\"\n"),
        (nginx.url(), gone.clone() + "ca_file = \"ca.pem\"\n"),
        (plain.url.clone(), gone),
    ] {
        let config = sending_to(&url) + ONE_ATTEMPT + &keys + &stream("s", "40/s");
        let daemon = ended(&world, &config);
        let failed = daemon.sum("plimsoll_errors_total", &[("kind", "connect")]);
        assert_eq!(failed, 10.0, "{url} {keys} {}", daemon.scrape().0);
        assert!(!daemon.process.log().contains("canary"));
    }
    // For a plain request tinyproxy answers 401 where it should say 407, so that it looks like the target's.
    let config = sending_to(&plain.url) + ONE_ATTEMPT + &proxy.keys() + &stream("s", "40/s");
    assert_eq!(accepted(&ended(&world, &config)), 0.0);
    assert_eq!((plain.count(), nginx.visits().len()), (0, 0));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn the_environment_names_a_proxy_too() {
    let world = World::new();
    let proxy = Proxy::start(world.path());
    // This machine, by an address that is not loopback's: that is never asked of a proxy that the environment names.
    let target = Scripted::start(|_, _| Reply::ok());
    let url = target.url.replace("127.0.0.1", "0.0.0.0");
    let config =
        sending_to(&url) + "allow_plain_http = true\n" + ONE_ATTEMPT + &stream("s", "40/s");
    world.write("plimsoll.toml", &config);
    let http_proxy = format!("http://plimsoll:{PASSWORD}@127.0.0.1:{}", proxy.port);
    for (exempt, through) in [("", true), ("0.0.0.0", false)] {
        let before = target.count();
        let mut command = plimsoll(&["run", "--config.file", "plimsoll.toml", "--count", "10"]);
        command.args(["--log.format", "json", "--linger", "--log.level", "trace"]);
        let proxies = [("http_proxy", &*http_proxy), ("HTTP_PROXY", &*http_proxy)];
        let daemon = world.daemon_by(command.envs(proxies).env("NO_PROXY", exempt));
        until("the end of the run", || daemon.line("the run is over").is_some());
        assert_eq!(accepted(&daemon), 10.0, "{}", daemon.process.log());
        let seen = target.seen().split_off(before);
        assert!(seen.iter().all(|r| r.header("via").is_some() == through), "{seen:?}");
        let shown = daemon.process.log() + &daemon.get("/config").body;
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_proxy_is_spoken_to_over_tls_if_its_certificate_is_trusted() {
    let world = World::new();
    let proxy = Proxy::start(world.path());
    world.write("proxy.password", PASSWORD);
    let ca = Authority::new("private");
    ca.file(world.path(), "ca.pem");
    let server = ca.server(world.path(), "server", &["127.0.0.1"]);
    let nginx = Nginx::start(world.path(), &server, "");
    let tunnel = Tunnel::start(world.path(), &proxy, &server);
    let plain = Scripted::start(|_, _| Reply::ok());
    let keys = keys("https", tunnel.port);
    let trusted = keys.clone() + "ca_file = \"ca.pem\"\nsystem_roots = false\n";

    // A target without TLS is asked for through it; one with TLS is tunnelled, TLS in TLS.
    let config = sending_to(&plain.url) + ONE_ATTEMPT + &trusted + &stream("s", "40/s");
    let daemon = ended(&world, &config);
    assert_eq!(accepted(&daemon), 10.0, "{}", daemon.process.log());
    assert!(plain.seen().iter().all(|r| r.header("via").is_some()), "{:?}", plain.seen());
    let config = sending_to(&nginx.url())
        + "http_version = \"auto\"\n"
        + ONE_ATTEMPT
        + &trusted
        + &stream("s", "40/s");
    let daemon = ended(&world, &config);
    assert_eq!(accepted(&daemon), 10.0, "{}", daemon.process.log());
    assert!(nginx.visits().iter().all(|visit| visit.http() == "HTTP/2.0"), "{:?}", nginx.visits());
    let log = proxy.process.log();
    assert!(log.contains(&format!("CONNECT 127.0.0.1:{}", nginx.port)), "{log}");
    let log = tunnel.process.log();
    assert!(log.contains("TLSv1.3") && !log.contains("canary"), "{log}");
    assert_eq!((plain.count(), nginx.visits().len()), (10, 10));

    // Its authority is nobody's: neither the password nor a message leaves.
    for url in [&plain.url, &nginx.url()] {
        let config = sending_to(url) + ONE_ATTEMPT + &keys + &stream("s", "40/s");
        let daemon = ended(&world, &config);
        assert_eq!(daemon.sum("plimsoll_errors_total", &[("kind", "connect")]), 10.0, "{url}");
    }
    assert_eq!((plain.count(), nginx.visits().len()), (10, 10));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn the_environment_may_name_a_proxy_that_is_spoken_to_over_tls() {
    let world = World::new();
    let proxy = Proxy::start(world.path());
    let ca = Authority::new("private");
    let ca_file = ca.file(world.path(), "ca.pem");
    let server = ca.server(world.path(), "server", &["127.0.0.1"]);
    let tunnel = Tunnel::start(world.path(), &proxy, &server);
    let target = Scripted::start(|_, _| Reply::ok());
    // As above: this machine, by an address that is not loopback's.
    let url = target.url.replace("127.0.0.1", "0.0.0.0");
    let config =
        sending_to(&url) + "allow_plain_http = true\n" + ONE_ATTEMPT + &stream("s", "40/s");
    world.write("plimsoll.toml", &config);
    let named = format!("https://plimsoll:{PASSWORD}@127.0.0.1:{}", tunnel.port);
    // The system's authorities, as OpenSSL's own variable says where they are; the second time there are none.
    let nobody = world.write("nobody.pem", "");
    for (authorities, arrive) in [(&ca_file, 10), (&nobody, 0)] {
        let before = target.count();
        let args = ["run", "--config.file", "plimsoll.toml", "--count", "10", "--linger"];
        let mut command = plimsoll(&args);
        command.args(["--log.format", "json"]).env("http_proxy", &named);
        command.env("SSL_CERT_FILE", authorities).env("SSL_CERT_DIR", "/nowhere");
        let daemon = world.daemon_by(&mut command);
        until("the end of the run", || daemon.line("the run is over").is_some());
        assert_eq!(accepted(&daemon), f64::from(arrive), "{}", daemon.process.log());
        assert_eq!(target.count() - before, arrive as usize);
        assert!(!daemon.process.log().contains("canary"));
    }
    assert!(target.seen().iter().all(|r| r.header("via").is_some()), "{:?}", target.seen());
}
