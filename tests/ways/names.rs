//! Names that move: the daemon in a mount namespace of its own, whose `resolv.conf` names a small server of ours.
//!
//! The C library asks on port 53 only, so the server needs root: `tests/run` has that where CI runs it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::Wire;
use crate::world::{Daemon, World, sending_to, stream, until};

/// What it says of every name.
#[derive(Clone, Copy, Debug)]
enum Says {
    Address(Ipv4Addr),
    /// SERVFAIL: the servers of the name cannot be asked.
    Failure,
    /// Nothing at all.
    Silence,
}

/// A name server.
struct Dns {
    address: Ipv4Addr,
    says: Arc<Mutex<Says>>,
}

impl Dns {
    /// Each test takes an address of its own.
    fn start(address: [u8; 4], says: Says) -> Self {
        let address = Ipv4Addr::from(address);
        let socket = UdpSocket::bind((address, 53))
            .unwrap_or_else(|e| panic!("port 53 of {address}, which needs root: {e}"));
        let says = Arc::new(Mutex::new(says));
        let now = Arc::clone(&says);
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = answer(&buffer[..length], *lock(&now)) {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { address, says }
    }

    fn say(&self, says: Says) {
        *lock(&self.says) = says;
    }

    /// A daemon that knows no other name server.
    fn daemon(&self, world: &World, config: &str) -> Daemon {
        world.write("plimsoll.toml", config);
        let resolv = format!("nameserver {}\noptions timeout:1 attempts:1\n", self.address);
        world.write("resolv.conf", &resolv);
        let script = "mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_plimsoll")]);
        command.args(["run", "--config.file", "plimsoll.toml", "--log.format", "json"]);
        world.daemon_by(&mut command)
    }
}

fn lock(says: &Mutex<Says>) -> MutexGuard<'_, Says> {
    says.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 1035: the header with the question, and for an `A` question one answer that points back at its name.
fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let name_end = 12 + query.get(12..)?.iter().position(|b| *b == 0)?;
    let question_end = name_end + 5;
    let kind = query.get(name_end + 1..name_end + 3)?;
    let address = match says {
        Says::Silence => return None,
        Says::Failure => None,
        Says::Address(address) => Some(address).filter(|_| kind == [0, 1]),
    };
    let code = if matches!(says, Says::Failure) { 2 } else { 0 };
    let mut out = query.get(..2)?.to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    out.extend(query.get(12..question_end)?);
    if let Some(address) = address {
        // Name, type A, class IN, no time to live, four bytes.
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        out.extend(address.octets());
    }
    Some(out)
}

/// Two servers on one port of two addresses.
fn two(first: [u8; 4], second: [u8; 4]) -> (Wire, Wire, u16) {
    let ok = |answer: &mut crate::wire::Answering<'_>| answer.ok();
    let one = Wire::start_at(SocketAddr::from((first, 0)), ok);
    let port = one.url.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    (one, Wire::start_at(SocketAddr::from((second, port)), ok), port)
}

fn config(port: u16) -> String {
    sending_to(&format!("http://api.plimsoll.test:{port}"))
        + "allow_plain_http = true\n[connections.default]\nmax_age = \"1s\"\n"
        + &stream("s", "50/s")
}

fn failed(daemon: &Daemon) -> f64 {
    daemon.sum("plimsoll_attempts_total", &[("outcome", "failed")])
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn connections_follow_a_name_that_moves_and_lose_nothing() {
    let (old, new, port) = two([127, 0, 53, 2], [127, 0, 53, 3]);
    let dns = Dns::start([127, 0, 53, 1], Says::Address([127, 0, 53, 2].into()));
    let world = World::new();
    let daemon = dns.daemon(&world, &config(port));
    until("traffic", || old.count() > 100);
    assert_eq!(new.count(), 0);
    dns.say(Says::Address([127, 0, 53, 3].into()));
    until("traffic at the new address", || new.count() > 20);
    // Whatever was under way has ended by now.
    let left_behind = old.count();
    until("more of it", || new.count() > 120);
    assert_eq!(old.count(), left_behind, "the old address is left for good");
    assert_eq!(failed(&daemon), 0.0);
    daemon.scrape().adds_up();
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn an_outage_of_dns_does_not_end_what_works() {
    let (server, _, port) = two([127, 0, 53, 12], [127, 0, 53, 13]);
    let dns = Dns::start([127, 0, 53, 11], Says::Address([127, 0, 53, 12].into()));
    let world = World::new();
    let daemon = dns.daemon(&world, &config(port));
    until("traffic", || server.count() > 20);
    for outage in [Says::Failure, Says::Silence] {
        dns.say(outage);
        until("the complaint", || daemon.line("its last address goes on").is_some());
        let before = server.count();
        until("traffic in spite of it", || server.count() > before + 200);
    }
    assert_eq!(failed(&daemon), 0.0, "{}", daemon.process.log());
    daemon.scrape().adds_up();
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_name_that_is_not_known_yet_is_a_connection_that_fails_until_it_is() {
    let (server, _, port) = two([127, 0, 53, 22], [127, 0, 53, 23]);
    let dns = Dns::start([127, 0, 53, 21], Says::Failure);
    let world = World::new();
    let daemon = dns.daemon(&world, &config(port));
    until("failures", || failed(&daemon) > 20.0);
    let scrape = daemon.scrape();
    scrape.adds_up();
    let connect = scrape.sum("plimsoll_errors_total", &[("kind", "connect")]);
    assert_eq!(connect, scrape.sum("plimsoll_attempts_total", &[("outcome", "failed")]));
    assert!(
        daemon.line("requests fail").is_some_and(|l| l["reason"].to_string().contains("lookup"))
    );
    dns.say(Says::Address([127, 0, 53, 22].into()));
    until("traffic", || server.count() > 20);
    daemon.scrape().adds_up();
}
