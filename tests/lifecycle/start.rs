//! Starts that fail: every reason is said at once, nothing is sent, and the exit code tells whose
//! fault it was.

use std::net::{Ipv4Addr, TcpListener};

use crate::scripted::{Reply, Scripted};
use crate::world::{World, plimsoll, sending_to, stream};

/// Runs `plimsoll run` on this configuration to its end.
fn start(world: &World, config: &str, args: &[&str]) -> (Option<i32>, String) {
    world.write("plimsoll.toml", config);
    let mut all = vec!["run", "--config.file", "plimsoll.toml"];
    all.extend(args);
    world.run(&all)
}

#[test]
fn an_address_in_use_sends_nothing() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let config = sending_to(&api.url) + &stream("s", "100/s");
    let (code, log) = start(&world, &config, &["--web.listen-address", &address]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")), "{log}");
    assert!(log.to_lowercase().contains("in use"), "{log}");
    assert_eq!(api.count(), 0);

    let (code, log) = world.run(&["simulate", "--listen-address", &address]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")), "{log}");
}

#[test]
fn every_problem_of_a_configuration_is_told_at_once() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url)
        + "timeout = \"10\"\nmethood = \"POST\"\n[streams.s]\ntarget = \"elsewhere\"\nrate = \"fast\"\n";
    let (code, log) = start(&world, &config, &[]);
    assert_eq!(code, Some(2), "{log}");
    for path in ["targets.t.timeout", "methood", "streams.s.rate"] {
        assert!(log.contains(path), "{path} in {log}");
    }
    assert!(log.contains("plimsoll.toml"), "and where it is written: {log}");
    assert_eq!(api.count(), 0);
    let (checked, said) = world.run(&["check", "plimsoll.toml"]);
    assert_eq!(checked, Some(2), "{said}");
    for path in ["targets.t.timeout", "methood", "streams.s.rate"] {
        assert!(said.contains(path), "{path} in {said}");
    }
}

#[test]
fn a_target_that_does_not_exist_is_told_with_the_next_problem() {
    let world = World::new();
    let config = sending_to("http://example.com")
        + "[streams.s]\ntarget = \"elsewhere\"\ncredential = \"nobody\"\nrate = \"1/s\"\n";
    let (code, log) = start(&world, &config, &[]);
    assert_eq!(code, Some(2), "{log}");
    for word in ["elsewhere", "nobody", "allow_plain_http"] {
        assert!(log.contains(word), "{word} in {log}");
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_told_before_anything_is_sent() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url)
        + "[credentials.file]\ntype = \"bearer\"\ntoken_file = \"absent.token\"\n\
           [credentials.env]\ntype = \"bearer\"\ntoken_env = \"ABSENT_TOKEN\"\n\
           [streams.a]\ntarget = \"t\"\ncredential = \"file\"\nrate = \"100/s\"\n\
           [streams.b]\ntarget = \"t\"\ncredential = \"env\"\nrate = \"100/s\"\n\
           [streams.c]\ntarget = \"t\"\nrate = \"100/s\"\n";
    let (code, log) = start(&world, &config, &[]);
    assert_eq!(code, Some(2), "{log}");
    for word in ["credentials.file", "absent.token", "credentials.env", "ABSENT_TOKEN"] {
        assert!(log.contains(word), "{word} in {log}");
    }
    assert_eq!(api.count(), 0);
}

#[test]
fn a_file_that_is_not_there_is_a_wrong_configuration() {
    let world = World::new();
    for args in [
        ["run", "--config.file", "absent.toml"],
        ["simulate", "--config.file", "absent.toml"],
        ["check", "--config.file", "absent.toml"],
    ] {
        let (code, log) = world.run(&args);
        assert_eq!(code, Some(2), "{args:?}: {log}");
        assert!(log.contains("absent.toml"), "{log}");
    }
}

#[test]
fn a_bad_variable_is_a_wrong_configuration() {
    let world = World::new();
    world.write("plimsoll.toml", &(sending_to("http://127.0.0.1:9") + &stream("s", "1/s")));
    for (name, value) in
        [("PLIMSOLL__STREAMS__S__RATE", "fast"), ("PLIMSOLL__STREAMS__S__RAT", "1/s")]
    {
        let mut command = plimsoll(&["run", "--config.file", "plimsoll.toml"]);
        let mut process = world.spawn(command.env(name, value));
        let status = process.wait(crate::world::SOON);
        assert_eq!(status.code(), Some(2), "{name}");
        assert!(process.log().contains(name), "{}", process.log());
    }
}
