//! Bad configurations: each problem names the path, what was found, what is allowed and where it
//! came from; all of them at once; secrets never.

mod config_support;

use config_support::{WORKING, load_toml, problems, with_env};

/// A file, and its problems as `path: message; got; allowed` (the origin is checked elsewhere).
fn expect(text: &str, expected: &[&str]) {
    let differences = difference(text, expected);
    assert!(differences.is_none(), "{}", differences.unwrap_or_default());
}

fn difference(text: &str, expected: &[&str]) -> Option<String> {
    let found: Vec<String> = problems(text)
        .into_iter()
        .map(|mut p| {
            assert!(p.origin.is_none() || p.origin.as_deref() == Some("test.toml"), "{p}");
            p.origin = None;
            p.to_string()
        })
        .collect();
    (found != expected).then(|| format!("found    {found:#?}\nexpected {expected:#?}\nfor{text}"))
}

const RATE: &str = "a positive number per s, min, h or d, such as 80/s, 97.3/s or 300/min";
const DURATION: &str = "a duration with its unit, such as 250ms, 30s, 1m 30s or 24h";

#[test]
fn bad_values_of_every_kind() {
    let table: &[(&str, &str, String)] = &[
        ("rate = \"10/s\"", "rate = \"80\"", format!("streams.main.rate: not a rate; got \"80\"; allowed: {RATE}")),
        ("rate = \"10/s\"", "rate = 80", format!("streams.main.rate: wrong type; got 80; allowed: {RATE}")),
        ("rate = \"10/s\"", "rate = \"0/s\"", format!("streams.main.rate: not a rate; got \"0/s\"; allowed: {RATE}")),
        ("rate = \"10/s\"", "", format!("streams.main.rate: missing; allowed: {RATE}")),
        ("rate = \"10/s\"", "rate = \"10/s\"\nraet = 1", "streams.main.raet: unknown key; did you mean rate?; allowed: active_hours, arrivals, backoff_base, backoff_cap, catch_up_slots, credential, deadline, in_flight_max, jitter, max_attempts, messages_in_all, messages_per_day, messages_per_hour, mode, paused, ramp, rate, retry_after_jitter, retry_after_max, retry_budget_ratio, retry_budget_reserve, target, time_zone, weight".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nramp = \"30\"", format!("streams.main.ramp: not a duration; got \"30\"; allowed: {DURATION}")),
        ("rate = \"10/s\"", "rate = \"10/s\"\nramp = \"25h\"", "streams.main.ramp: too long; got \"25h\"; allowed: from 0s to 1day".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\narrivals = \"even\"", "streams.main.arrivals: not one of the allowed values; got \"even\"; allowed: uniform, poisson".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nmode = \"adaptive\"\narrivals = \"poisson\"", "streams.main.arrivals: streams.main is adaptive: it holds its rate evenly, just under a limit; got \"poisson\"; allowed: uniform in adaptive mode, or mode = \"fixed\"".to_owned()),
        ("[streams.main]", "[objectives]\nthrottled_ratio = 0.2\n[streams.main]", "objectives.throttled_ratio: too large; got 0.2; allowed: a number from 0.0001 to 0.05".to_owned()),
        ("[streams.main]", "[reload]\ninterval = \"50ms\"\n[streams.main]", "reload.interval: too short; got \"50ms\"; allowed: from 100ms to 1h".to_owned()),
        ("[streams.main]", "[objectives]\nlatency = \"10m\"\n[streams.main]", "objectives.latency: too long; got \"10m\"; allowed: from 1ms to 5m".to_owned()),
        ("[streams.main]", "[objectives]\ntoken_validity = \"1s\"\n[streams.main]", "objectives.token_validity: too short; got \"1s\"; allowed: from 10s to 1day".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nmode = \"aimd\"", "streams.main.mode: not one of the allowed values; got \"aimd\"; allowed: fixed, adaptive".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nweight = 0", "streams.main.weight: too small; got 0; allowed: a number from 0.001 to 1000.0".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nin_flight_max = 0", "streams.main.in_flight_max: too small; got 0; allowed: a whole number from 1 to 100000".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nin_flight_max = 1001", "streams.main.in_flight_max: more than the engine allows; got 1001; allowed: up to engine.in_flight_max = 1000".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nretry_budget_ratio = nan", "streams.main.retry_budget_ratio: wrong type; got \"NaN\"; allowed: a number from 0.0 to 10.0".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nbackoff_base = \"90s\"", "streams.main.backoff_cap: too short; allowed: from 1m 30s to 1day".to_owned()),
        ("target = \"api\"", "target = \"apj\"", "streams.main.target: unknown target; got \"apj\"; allowed: api".to_owned()),
        ("credential = \"bench\"", "credential = \"nobody\"", "streams.main.credential: unknown credential; got \"nobody\"; allowed: bench".to_owned()),
        ("http://127.0.0.1:9470", "http://api.example.com", "targets.api.base_url: credentials and messages would be sent unencrypted; got \"http://api.example.com\"; allowed: https, or http to this machine, or allow_plain_http = true beside it".to_owned()),
        ("http://127.0.0.1:9470", "api.example.com", "targets.api.base_url: not an absolute URL; got \"api.example.com\"; allowed: https://HOST[:PORT][/PATH]".to_owned()),
        ("http://127.0.0.1:9470", "https://me:canary@api.example.com", "targets.api.base_url: has a user or password in it; got a string; allowed: https://HOST[:PORT][/PATH]".to_owned()),
        ("path = \"/messages\"", "path = \"/{{id}}\"", "targets.api.path: unknown placeholder \"id\" at position 1; got \"/{{id}}\"; allowed: {{message_id}}, {{sequence}}, {{timestamp}}, {{timestamp_ms}}, {{timestamp_s}}, {{stream}}, {{param.NAME}}".to_owned()),
        ("path = \"/messages\"", "method = \"SEND\"", "targets.api.method: not one of the allowed values; got \"SEND\"; allowed: GET, HEAD, POST, PUT, PATCH, DELETE".to_owned()),
        ("path = \"/messages\"", "scope = [\"tenant\", \"moon\"]", "targets.api.scope[1]: not one of the allowed values; got \"moon\"; allowed: token, client, user, tenant, address, route".to_owned()),
        ("path = \"/messages\"", "success_statuses = [200, 429]", "targets.api.success_statuses: 429 says throttled; got a list; allowed: statuses of accepted requests".to_owned()),
        ("path = \"/messages\"", "connect_timeout = \"11s\"", "targets.api.connect_timeout: too long; got \"11s\"; allowed: from 1ms to 9s 999ms".to_owned()),
        ("path = \"/messages\"", "success_body_pointer = \"id\"", "targets.api.success_body_pointer: not a pointer; got \"id\"; allowed: a JSON pointer (RFC 6901), such as /id or /result/status".to_owned()),
        ("path = \"/messages\"", "headers.Host = \"x\"", "targets.api.headers.Host: set by Plimsoll itself; got a string; allowed: other headers; what authenticates belongs in a credential".to_owned()),
        ("path = \"/messages\"", "headers.x-api-key = \"canary\"", "targets.api.headers.x-api-key: looks like a secret, which may not stand in a file; got a string; allowed: a credential, or the environment variable PLIMSOLL__TARGETS__…, or allow_inline_secrets = true".to_owned()),
        ("token_env = \"TOKEN\"", "token_env = \"TOKEN\"\ntoken_file = \"t\"", "credentials.bench.token_env: token_file is set as well; got a string; allowed: one of token_file, token_env".to_owned()),
        ("token_env = \"TOKEN\"", "", "credentials.bench.token_file: missing; allowed: one of token_file, token_env".to_owned()),
        ("token_env = \"TOKEN\"", "token = \"canary\"", "credentials.bench.token: a secret may not stand in a file; got a string; allowed: token_file or token_env, or allow_inline_secrets = true".to_owned()),
        ("token_env = \"TOKEN\"", "token_env = \"eyJ.canary\"", "credentials.bench.token_env: not the name of a variable; got a string; allowed: the name of an environment variable (not its value)".to_owned()),
        ("token_env = \"TOKEN\"", "token_env = \"TOKEN\"\nclient_id = \"x\"", "credentials.bench.client_id: not used by a credential of type bearer; got \"x\"; allowed: only with type = \"oauth_client_credentials\"".to_owned()),
        ("type = \"bearer\"", "type = \"baerer\"", "credentials.bench.type: not one of the allowed values; got \"baerer\"; allowed: none, bearer, oauth_client_credentials".to_owned()),
        ("[credentials.bench]", "[credentials.Bench]", "credentials.Bench: not a name; allowed: 1 to 63 lower-case letters, digits, _ and -, the first a letter or digit".to_owned()),
        ("[targets.api]", "[web]\nlisten_address = \"nowhere\"\n[targets.api]", "web.listen_address: not an address; got \"nowhere\"; allowed: IP:PORT, such as 0.0.0.0:9469, [::]:9469 or :9469".to_owned()),
        ("[targets.api]", "[attempt_log]\npath = \" \"\n[targets.api]", "attempt_log.path: names no file; got \" \"; allowed: a path, or no such key to write none".to_owned()),
        ("[targets.api]", "[state]\nfile = \"/a\"\n[attempt_log]\npath = \"/a\"\n[targets.api]", "attempt_log.path: is the file of state.file; got \"/a\"; allowed: a file of its own".to_owned()),
        ("[targets.api]", "[wbe]\n[targets.api]", "wbe: unknown key; did you mean web?; allowed: allow_inline_secrets, attempt_log, breaker, connections, credentials, engine, lifecycle, log, objectives, policy, reload, run, safety, schedule, state, streams, targets, tracing, web".to_owned()),
        ("[targets.api]", "[targets.api]\npreset = \"genesys-agentless\"\nparams.from_address = \"+1\"", "targets.api.params.to_address: missing; the preset needs it; allowed: The person's address.".to_owned()),
    ];
    let mut differences = Vec::new();
    for (from, to, expected) in table {
        assert!(WORKING.contains(from), "{from}");
        let mut all = vec![expected.as_str()];
        // A credential of another name leaves the reference to the old one behind.
        let dangling = "streams.main.credential: unknown credential; got \"bench\"; allowed: Bench";
        if to.contains("Bench") {
            all.push(dangling);
        }
        differences.extend(difference(&WORKING.replace(from, to), &all));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_holds_sending_back_is_said_as_plainly() {
    let table: &[(&str, &str, String)] = &[
        ("rate = \"10/s\"", "rate = \"10/s\"\nmessages_per_day = 0", "streams.main.messages_per_day: too small; got 0; allowed: a whole number from 1".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\nactive_hours = [\"mon-fri 08:00-18:00\", \"8-18\"]", "streams.main.active_hours[1]: not active hours; got \"8-18\"; allowed: DAYS HH:MM-HH:MM, where DAYS are daily, one of mon to sun, or two of them with a -, such as \"mon-fri 08:00-18:00\"".to_owned()),
        ("rate = \"10/s\"", "rate = \"10/s\"\ntime_zone = \"Berlin\"", "streams.main.time_zone: no such time zone; got \"Berlin\"; allowed: a time zone of the IANA database, such as Europe/Berlin or UTC".to_owned()),
        ("[targets.api]", "[safety]\nhosts = [\"api.example.com\"]\n[targets.api]", "targets.api.base_url: 127.0.0.1 may not be sent to; got \"http://127.0.0.1:9470\"; allowed: hosts of safety.hosts: api.example.com".to_owned()),
        ("[targets.api]", "[safety]\nhosts = [\"127.0.0.1\", \"https://x\"]\n[targets.api]", "safety.hosts[1]: not the name of a host; got \"https://x\"; allowed: names of hosts without scheme, port and path, or *.NAME for all hosts below one".to_owned()),
        ("[targets.api]", "[breaker]\npause = \"2m\"\n[targets.api]", "breaker.pause_max: too short; allowed: from 2m to 1day".to_owned()),
        ("[targets.api]", "[run]\nthresholds = [\"goodput>95/s\", \"goodput>95\"]\n[targets.api]", "run.thresholds[1]: its value is not a rate, such as 95/s; got \"goodput>95\"; allowed: FIGURE, one of < <= > >=, VALUE, where FIGURE is goodput, sent_rate, an outcome, OUTCOME_ratio, skipped_ratio, delivered_ratio, or response, service, lateness or delivery with _max or a percentile, such as response_p99<500ms".to_owned()),
    ];
    let wrong = |(from, to, expected): &(&str, &str, String)| {
        difference(&WORKING.replace(from, to), &[expected.as_str()])
    };
    let differences: Vec<_> = table.iter().filter_map(wrong).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn targets_of_one_limit_domain_agree_on_its_scope() {
    let text = |scope: &str| {
        format!(
            r#"
            [targets.a]
            base_url = "http://127.0.0.1:9470"
            path = "/a"
            body = "{{}}"
            scope = ["tenant"]
            [targets.b]
            base_url = "http://127.0.0.1:9470"
            path = "/b"
            body = "{{}}"
            {scope}
            [credentials.c]
            type = "none"
            tenant = "acme"
            [streams.a]
            target = "a"
            credential = "c"
            rate = "1/s"
            [streams.b]
            target = "b"
            credential = "c"
            rate = "1/s"
            "#
        )
    };
    expect(&text("scope = [\"tenant\"]"), &[]);
    let problem = "targets.b.scope: targets.a is in the same limit domain, 127.0.0.1:9470";
    let allowed = "allowed: the scope of targets.a: tenant";
    expect(&text(""), &[&format!("{problem}; {allowed}")]);
    let got = "got a list";
    expect(&text("scope = [\"route\"]"), &[&format!("{problem}; {got}; {allowed}")]);
}

#[test]
fn a_body_is_checked_where_it_stands() {
    let text = WORKING.replace("path = \"/messages\"", "body = '{\"a\": {{stream}}}'");
    expect(
        &text,
        &[
            "targets.api.body: not JSON once rendered at position 6; got a string; allowed: JSON, with placeholders inside its strings; {{sequence}}, {{timestamp_ms}} and {{timestamp_s}} may also stand alone as numbers",
        ],
    );
}

#[test]
fn all_problems_of_a_file_come_at_once() {
    let text = r#"
        colour = "blue"
        [web]
        listen_address = "here"
        [targets.api]
        base_url = "ftp://api.example.com"
        timeout = "soon"
        [credentials.main]
        type = "oauth_client_credentials"
        client_secret = "canary"
        [streams.a]
        target = "api"
        rate = "fast"
        [streams.b]
        target = "apu"
        credential = "main"
    "#;
    let found = problems(text);
    let paths: Vec<&str> = found.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "colour",
            "credentials.main.client_id_file",
            "credentials.main.client_secret",
            "credentials.main.token_url",
            "streams.a.rate",
            "streams.b.rate",
            "streams.b.target",
            "targets.api.base_url",
            "targets.api.timeout",
            "web.listen_address",
        ]
    );
    let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(!shown.contains("canary") && !shown.contains("blue"), "{shown}");
}

#[test]
fn a_problem_says_where_its_value_came_from() {
    let problem = |env: &[(&str, &str)]| {
        let error = with_env(WORKING, env).map(|_| ()).expect_err("refused");
        error.as_slice()[0].to_string()
    };
    assert!(problems(&WORKING.replace("10/s", "ten"))[0].to_string().ends_with("; from test.toml"));
    let empty = problems(&format!("{WORKING}[empty]\n"));
    assert_eq!(empty[0].origin.as_deref(), Some("test.toml"));
    let text = problem(&[("PLIMSOLL__STREAMS__MAIN__RATE", "ten")]);
    assert!(text.ends_with("; from environment variable PLIMSOLL__STREAMS__MAIN__RATE"), "{text}");
    let text = problem(&[("PLIMSOLL__WEB__PROT", "1")]);
    assert!(text.starts_with("web.prot: unknown key"), "{text}");
    assert!(text.ends_with("; from environment variable PLIMSOLL__WEB__PROT"), "{text}");
    let text = problem(&[("PLIMSOLL__", "1")]);
    assert!(text.starts_with("PLIMSOLL__: not the name of a setting"), "{text}");
}

#[test]
fn files_that_cannot_be_read_are_named_together() {
    let directory = tempfile::tempdir().expect("a directory");
    let broken = directory.path().join("broken.toml");
    std::fs::write(&broken, "[streams.main]\nrate = \n").expect("written");
    let paths = [broken, directory.path().join("absent.yaml"), directory.path().join("x.json")];
    let error = config_support::load_paths(&paths).map(|_| ()).expect_err("refused");
    let lines = error.to_string();
    assert_eq!(error.as_slice().len(), 3, "{lines}");
    assert!(lines.contains("broken.toml: TOML parse error at line 2"), "{lines}");
    assert!(lines.contains("absent.yaml: cannot be read"), "{lines}");
    assert!(
        lines.contains("x.json: the file's format is not known; allowed: the endings"),
        "{lines}"
    );
}

#[test]
fn no_secret_is_ever_echoed() {
    // The canary stands in every place where a secret may be put, or be put by mistake.
    let places = [
        "[credentials.c]\ntoken = \"CANARY\"",
        "[credentials.c]\ntype = \"bearer\"\ntoken = [\"CANARY\"]",
        "[credentials.c]\ntype = \"bearer\"\ntoken_file = [\"CANARY\"]",
        "[credentials.c]\ntype = \"bearer\"\ntoken_env = \"CANARY x\"",
        "[credentials.c]\nclient_secret = { x = \"CANARY\" }",
        "[credentials.c]\nclient_secert = \"CANARY\"",
        "[credentials]\nc = \"CANARY\"",
        "[targets.t]\nbase_url = \"https://a:CANARY@b.example.com\"",
        "[targets.t.headers]\nauthorization = \"Bearer CANARY\"",
        "[targets.t.headers]\ncookie = \"CANARY\\u0007\"",
        "[targets.t]\nheaders = \"CANARY\"",
        "[targets.t]\nbody = \"CANARY\"",
        "[targets.t.params]\napi_key = [\"CANARY\"]",
        "[web]\npassword = \"CANARY\"",
        "credentials = \"CANARY\"",
        "token = CANARY",
        "token = \"CANARY",
        "[credentials.c]\ntoken = \"\"\"CANARY\n\\q\"\"\"",
    ];
    for place in places {
        let error = load_toml(place).map(|_| ()).expect_err(place);
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{place}\n{error:?}");
    }
    for place in ["- CANARY", "CANARY", "{CANARY: 1}: 2", "[CANARY]: 1", "a: \"CANARY", "*CANARY"] {
        let error = config_support::load_yaml(place).map(|_| ()).expect_err(place);
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{place}\n{error:?}");
    }
}

#[test]
fn a_connection_says_how_servers_are_reached() {
    let with = |keys: &str| format!("{WORKING}\n[connections.default]\n{keys}");
    let whole = "proxy_url = \"https://proxy.example.com:3128\"\nno_proxy = [\"10.0.0.0/8\"]\n\
                 proxy_user = \"me\"\nproxy_password_env = \"PASSWORD\"\nca_file = \"ca.pem\"\n\
                 system_roots = false\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\n\
                 tls_min_version = \"1.3\"\nsource_address = \"::1\"\nmax_age = \"24h\"";
    expect(&with(whole), &[]);
    let at = |rest: &str| format!("connections.default.{rest}");
    for (keys, expected) in [
        (
            "proxy_url = \"socks5://proxy\"",
            "proxy_url: neither http nor https; got \"socks5://proxy\"; allowed: http:// or https://HOST[:PORT][/PATH]",
        ),
        (
            "proxy_url = \"http://a:CANARY@proxy\"",
            "proxy_url: has a user or password in it; got a string; allowed: http:// or https://HOST[:PORT][/PATH]",
        ),
        (
            "no_proxy = [\"a\"]",
            "no_proxy: of which proxy?; got a list; allowed: proxy_url beside it",
        ),
        (
            "proxy_url = \"http://proxy\"\nproxy_user = \"me\"",
            "proxy_password_file: missing; allowed: one of proxy_password_file and proxy_password_env",
        ),
        (
            "proxy_url = \"http://proxy\"\nproxy_password_file = \"p\"",
            "proxy_user: missing; allowed: the user whose password it is",
        ),
        (
            "proxy_url = \"http://proxy\"\nproxy_user = \"me\"\nproxy_password_env = \"CANARY!\"",
            "proxy_password_env: not the name of a variable; got a string; allowed: the name of an environment variable (not its value)",
        ),
        ("cert_file = \"c.pem\"", "key_file: missing; allowed: the private key of cert_file"),
        ("key_file = \"k.pem\"", "cert_file: missing; allowed: the certificate of key_file"),
        (
            "system_roots = false",
            "system_roots: no server could be trusted; got false; allowed: true, or ca_file beside it",
        ),
        (
            "source_address = \"eth0\"",
            "source_address: not an address; got \"eth0\"; allowed: an IP address of this machine",
        ),
        (
            "tls_min_version = \"1.1\"",
            "tls_min_version: not one of the allowed values; got \"1.1\"; allowed: 1.2, 1.3",
        ),
        ("max_age = \"0s\"", "max_age: too short; got \"0s\"; allowed: from 1s to 1day"),
    ] {
        expect(&with(keys), &[&at(expected)]);
    }
    let unknown = "connection = \"nowhere\"\n";
    let message = "connection: unknown connection; got \"nowhere\"; allowed: default";
    let text = WORKING.replace("path = ", &format!("{unknown}path = "));
    expect(&text, &[&format!("targets.api.{message}")]);
    let not_used = "credentials.bench.connection: not used by a credential of type bearer; got \
                    \"nowhere\"; allowed: only with type = \"oauth_client_credentials\"";
    let text = WORKING.replace("type = ", &format!("{unknown}type = "));
    expect(&text, &[not_used]);
}
