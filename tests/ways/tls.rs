//! A private authority and mutual TLS, with nginx at the other end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::certificates::{Authority, Files};
use crate::support::process::{Process, free_ports, wait_for, write_file};
use crate::world::{Daemon, SOON, World, sending_to, stream, until};

/// nginx with TLS, which notes who came, and how.
pub(crate) struct Nginx {
    _process: Process,
    pub(crate) port: u16,
    directory: PathBuf,
}

/// A line of its log: protocol, TLS version, what became of the client's certificate, its subject, `Authorization`,
/// the number of the connection.
#[derive(Debug)]
pub(crate) struct Visit(Vec<String>);

impl Visit {
    pub(crate) fn http(&self) -> &str {
        &self.0[0]
    }
    pub(crate) fn tls(&self) -> &str {
        &self.0[1]
    }
    pub(crate) fn verified(&self) -> &str {
        &self.0[2]
    }
    pub(crate) fn subject(&self) -> &str {
        &self.0[3]
    }
    pub(crate) fn connection(&self) -> &str {
        &self.0[5]
    }
}

impl Nginx {
    /// `keys` go into its `server` block.
    pub(crate) fn start(directory: &Path, server: &Files, keys: &str) -> Self {
        Self::speaking("TLSv1.2 TLSv1.3", directory, server, keys)
    }

    fn speaking(protocols: &str, directory: &Path, server: &Files, keys: &str) -> Self {
        let [port] = free_ports();
        let (cert, key) = (server.cert.display(), server.key.display());
        let text = format!(
            r#"
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ }}
http {{
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  log_format visits '$server_protocol|$ssl_protocol|$ssl_client_verify|$ssl_client_s_dn|'
    '$http_authorization|$connection';
  access_log visits.log visits;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols {protocols};
    {keys}
    location / {{ return 200 '{{}}'; }}
    location = /-/healthy {{ access_log off; return 204; }}
  }}
}}
"#
        );
        let configuration = write_file(directory, "nginx.conf", &text);
        let mut command = Command::new("nginx");
        command.env("PATH", "/usr/sbin:/usr/bin:/bin");
        command.arg("-p").arg(directory).arg("-c").arg(configuration).args(["-e", "stderr"]);
        let process = Process::spawn("nginx", &mut command, &directory.join("nginx.log"));
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        assert!(wait_for(SOON, listens).is_some(), "{}", process.log());
        Self { _process: process, port, directory: directory.to_owned() }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn visits(&self) -> Vec<Visit> {
        let log = fs::read_to_string(self.directory.join("visits.log")).unwrap_or_default();
        log.lines().map(|l| Visit(l.split('|').map(str::to_owned).collect())).collect()
    }
}

/// A world with nginx in it, its authority and one client's certificate.
struct Private {
    world: World,
    ca: Authority,
    nginx: Nginx,
}

fn private(keys: &str) -> Private {
    private_speaking("TLSv1.2 TLSv1.3", keys)
}

fn private_speaking(protocols: &str, keys: &str) -> Private {
    let world = World::new();
    let ca = Authority::new("private");
    let ca_file = ca.file(world.path(), "ca.pem");
    ca.client(world.path(), "client");
    let server = ca.server(world.path(), "server", &["127.0.0.1", "localhost"]);
    let keys = keys.replace("CA", &ca_file.display().to_string());
    let nginx = Nginx::speaking(protocols, world.path(), &server, &keys);
    Private { world, ca, nginx }
}

const MUTUAL: &str = "ssl_client_certificate CA; ssl_verify_client on;";
const CERTIFICATE: &str = "cert_file = \"client.crt\"\nkey_file = \"client.key\"\n";

impl Private {
    /// A daemon that has sent `count` requests over this connection.
    fn sent(&self, target: &str, connection: &str, count: u64) -> Daemon {
        let config = sending_to(&self.nginx.url())
            + target
            + "[connections.default]\n"
            + connection
            + "[policy]\nmax_attempts = 1\n"
            + &stream("s", "40/s");
        let daemon = self.world.daemon(&config, &["--count", &count.to_string(), "--linger"]);
        until("the end of the run", || daemon.line("the run is over").is_some());
        daemon.scrape().adds_up();
        daemon
    }
}

fn attempts(daemon: &Daemon, outcome: &str) -> f64 {
    daemon.sum("plimsoll_attempts_total", &[("outcome", outcome)])
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_private_authority_and_a_client_certificate_are_used() {
    let private = private(MUTUAL);
    let connection = "ca_file = \"ca.pem\"\nsystem_roots = false\n".to_owned() + CERTIFICATE;
    for (version, http) in [("1.1", "HTTP/1.1"), ("auto", "HTTP/2.0")] {
        let before = private.nginx.visits().len();
        let keys = format!("http_version = \"{version}\"\n");
        let daemon = private.sent(&keys, &connection, 20);
        assert_eq!(attempts(&daemon, "accepted"), 20.0, "{}", daemon.process.log());
        let visits = private.nginx.visits().split_off(before);
        assert_eq!(visits.len(), 20);
        for visit in visits {
            assert_eq!((visit.http(), visit.tls()), (http, "TLSv1.3"), "{visit:?}");
            assert_eq!((visit.verified(), visit.subject()), ("SUCCESS", "CN=client"), "{visit:?}");
        }
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn who_is_not_trusted_is_not_sent_to() {
    let private = private("");
    // Its authority is nobody's: no request may have arrived.
    let daemon = private.sent("", "", 5);
    assert_eq!(daemon.sum("plimsoll_errors_total", &[("kind", "connect")]), 5.0);
    // The right authority, and the wrong name.
    let wrong = private.ca.server(private.world.path(), "wrong", &["elsewhere.example"]);
    let other = tempfile::tempdir().expect("a directory");
    let nginx = Nginx::start(other.path(), &wrong, "");
    let private = Private { nginx, ..private };
    let daemon = private.sent("", "ca_file = \"ca.pem\"\n", 5);
    assert_eq!(daemon.sum("plimsoll_errors_total", &[("kind", "connect")]), 5.0);
    assert!(private.nginx.visits().is_empty());
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_server_that_wants_a_certificate_refuses_who_has_none() {
    let private = private(MUTUAL);
    let daemon = private.sent("", "ca_file = \"ca.pem\"\n", 5);
    // nginx answers 400 after the handshake.
    assert_eq!(attempts(&daemon, "rejected"), 5.0);
    assert!(private.nginx.visits().iter().all(|visit| visit.verified() == "NONE"));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_head_that_is_too_long_is_given_up_with_http_2_too() {
    // 80 KiB of fields: more than is taken with HTTP/2, less than with HTTP/1.1.
    let value = "a".repeat(4_000);
    let fields: String = (0..20).map(|n| format!("add_header x-long-{n} {value};")).collect();
    let private = private(&fields);
    for (version, outcome) in [("1.1", "accepted"), ("auto", "failed")] {
        let keys = format!("http_version = \"{version}\"\n");
        let daemon = private.sent(&keys, "ca_file = \"ca.pem\"\n", 5);
        assert_eq!(attempts(&daemon, outcome), 5.0, "{version}: {}", daemon.process.log());
    }
    let spoken: Vec<_> = private.nginx.visits().iter().map(|v| v.http().to_owned()).collect();
    assert!(spoken.iter().any(|http| http == "HTTP/2.0"), "{spoken:?}");
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn the_oldest_version_of_tls_is_kept_to() {
    let private = private_speaking("TLSv1.2", "");
    let ca = "ca_file = \"ca.pem\"\n";
    let daemon = private.sent("", ca, 5);
    assert_eq!(attempts(&daemon, "accepted"), 5.0);
    assert!(private.nginx.visits().iter().all(|visit| visit.tls() == "TLSv1.2"));
    let daemon = private.sent("", &format!("{ca}tls_min_version = \"1.3\"\n"), 5);
    assert_eq!(daemon.sum("plimsoll_errors_total", &[("kind", "connect")]), 5.0);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_certificate_that_was_renewed_is_shown_without_a_restart_and_nothing_is_lost() {
    let private = private(MUTUAL);
    let config = sending_to(&private.nginx.url())
        + "[connections.default]\nmax_age = \"1s\"\nca_file = \"ca.pem\"\n"
        + CERTIFICATE
        + &stream("s", "50/s");
    let mut daemon = private.world.daemon(&config, &[]);
    let shown = |name: &str| {
        let subject = format!("CN={name}");
        private.nginx.visits().last().is_some_and(|visit| visit.subject() == subject)
    };
    until("traffic", || shown("client"));
    // A rotation that is half done: the new certificate does not fit the old key.
    let renewed = private.ca.client(private.world.path(), "renewed");
    let path = |name: &str| private.world.path().join(name);
    fs::write(path("client.crt"), "half a certifi").expect("written");
    until("the complaint", || daemon.line("connections are not renewed").is_some());
    fs::copy(renewed.cert, path("client.crt")).expect("copied");
    fs::copy(renewed.key, path("client.key")).expect("copied");
    until("the new certificate", || shown("renewed"));
    assert_eq!(daemon.process.terminate(Duration::from_secs(10)).code(), Some(0));
    let visits = private.nginx.visits();
    let mut connections: Vec<&str> = visits.iter().map(|visit| visit.connection()).collect();
    connections.dedup();
    assert!(connections.len() >= 2, "{connections:?}");
    assert!(visits.iter().all(|visit| visit.verified() == "SUCCESS"));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_connection_of_http_2_that_has_come_of_age_ends_what_it_carries_and_the_next_takes_over() {
    let world = World::new();
    // Some fifteen requests are under way at any time.
    let api = world.api("[latency]\ndistribution = \"constant\"\nmean = \"300ms\"\n");
    let ca = Authority::new("private");
    ca.file(world.path(), "ca.pem");
    let server = ca.server(world.path(), "server", &["127.0.0.1"]);
    let keys =
        format!("location = /messages {{ proxy_pass {}; proxy_http_version 1.1; }}", api.url);
    let nginx = Nginx::start(world.path(), &server, &keys);
    let config = sending_to(&nginx.url())
        + "http_version = \"auto\"\n[connections.default]\nmax_age = \"1s\"\nca_file = \"ca.pem\"\n"
        + &stream("s", "50/s");
    let mut daemon = world.daemon(&config, &[]);
    let connections = || {
        let visits = nginx.visits();
        let mut each: Vec<_> = visits.iter().map(|visit| visit.connection().to_owned()).collect();
        each.sort();
        each.dedup();
        (each.len(), visits.len())
    };
    until("several generations", || connections().0 >= 5);
    assert_eq!(daemon.process.terminate(Duration::from_secs(10)).code(), Some(0));
    // Many to a connection, and a connection a second: that is what HTTP/2 and `max_age` are for.
    let (each, requests) = connections();
    assert!(requests >= 15 * (each - 1), "{requests} requests on {each} connections");
    assert!(nginx.visits().iter().all(|visit| visit.http() == "HTTP/2.0"));
    // Those that were under way when it was renewed have been answered: each message once.
    assert_eq!(api.all("received"), requests as u64);
    assert_eq!(api.all("accepted"), requests as u64);
    let log = daemon.process.log();
    assert!(!log.contains("requests fail"), "{log}");
}
