//! Access logs of nginx, Apache and Envoy.

use super::*;
use crate::infer::study::Attempt;

fn with(format: &str, options: Options) -> Options {
    Options { log_format: Some(format.parse().expect("a format")), ..options }
}

/// Milliseconds after 2026-11-24T14:00:00Z.
fn ms(seconds: f64) -> i64 {
    (seconds * 1e3).round() as i64 - 14 * 3_600_000
}

fn times(attempt: &Attempt) -> (i64, Option<i64>) {
    (ms(attempt.sent), attempt.answered.map(ms))
}

#[test]
fn nginx_writes_at_the_end_of_a_request() {
    let format = r#"$remote_addr [$time_local] $msec "$request" $status $request_time "$http_authorization" $sent_http_retry_after"#;
    let text = "\
10.0.0.1 [24/Nov/2026:14:00:02 +0000] 1795528802.250 \"POST /m?x HTTP/1.1\" 200 0.150 \"Bearer a\" -
10.0.0.2 [24/Nov/2026:14:00:02 +0000] 1795528802.300 \"POST /m HTTP/1.1\" 429 0.000 \"Bearer \\x22b\" 30
10.0.0.2 [24/Nov/2026:14:00:02 +0000] 1795528802.400 \"POST /m HTTP/1.1\" 503 0.001 \"Bearer a\" 2
10.0.0.2 [24/Nov/2026:14:00:02 +0000] 1795528802.500 \"POST /m HTTP/1.1\" 503 0.001 \"-\" -
10.0.0.2 [24/Nov/2026:14:00:0";
    let options = with(format, party(&["token=$http_authorization", "route=path"]));
    let gathered = read_with(options, &[text]).expect("read");
    assert_eq!((counts(&gathered), gathered.files[0].cut_off), ([2, 2, 0], true));
    let observations = &gathered.observations;
    assert_eq!(observations.resolution, 0.001);
    let found: Vec<_> = observations.attempts.iter().map(times).collect();
    assert_eq!(
        found,
        [(2100, Some(2250)), (2300, Some(2300)), (2399, Some(2400)), (2499, Some(2500))]
    );
    assert_eq!(observations.attempts[1].advice, Some(30.0));
    let who: Vec<_> =
        observations.parties.iter().map(|p| (&*p.address, &*p.token, &*p.route)).collect();
    assert_eq!(
        who,
        [
            ("10.0.0.1", "token-1", "/m"),
            ("10.0.0.2", "token-2", "/m"),
            ("10.0.0.2", "token-1", "/m"),
            ("10.0.0.2", "", "/m")
        ]
    );
    assert!(!format!("{gathered:?}").contains("Bearer"), "nobody's to read");
}

#[test]
fn nginx_says_itself_what_its_limit_decided() {
    // As the JSON of `escape=json`.
    let format = r#"{"t":$msec,"d":$request_time,"s":$status,"l":"$limit_req_status","a":"$http_user_agent"}"#;
    let line = |word: &str| {
        format!(r#"{{"t":1795528802.250,"d":0.000,"s":503,"l":"{word}","a":"x \"y\" z"}}"#)
    };
    let text = ["REJECTED", "PASSED", "DELAYED"].map(line).join("\n");
    let options = with(format, party(&["user=http_user_agent"]));
    let gathered = read_with(options, &[&text]).expect("read");
    assert_eq!(counts(&gathered), [2, 1, 0]);
    assert_eq!(&*gathered.observations.parties[0].user, "x \"y\" z");
}

#[test]
fn json_has_keys_and_no_order() {
    let format = r#"{"time": "%START_TIME%", "code": %RESPONSE_CODE%, "took": "%DURATION%", "req": {"who": "%REQ(X-Tenant)%"}, "x": "a%PROTOCOL%"}"#;
    let text = r#"{"req":{"who":"acme/\"1\""},"took":3,"code":429,"time":"2026-11-24T14:00:02.310Z","new":[1]}"#;
    let options = with(format, party(&["tenant=REQ(X-Tenant)"]));
    let gathered = read_with(options, &[text]).expect("read");
    assert_eq!(counts(&gathered), [0, 1, 0]);
    assert_eq!(times(&gathered.observations.attempts[0]), (2310, Some(2313)));
    assert_eq!(&*gathered.observations.parties[0].tenant, "acme/\"1\"");
}

#[test]
fn the_usual_formats_are_recognised() {
    let common = "10.0.0.1 - - [24/Nov/2026:15:00:02 +0100] \"GET / HTTP/1.1\" 429 12\n";
    let combined = common.trim_end().to_owned() + " \"-\" \"curl/8 (x)\"\n";
    let envoy = "[2026-11-24T14:00:02.310Z] \"POST /api/v1/locations HTTP/2\" 204 - 154 0 226 100 \
                 \"10.0.35.28\" \"nsq2http\" \"cc21d9b0-cf5c\" \"locations\" \"tcp://10.0.2.1:80\"\n";
    for text in [common, &combined] {
        let gathered = read(text);
        assert_eq!(counts(&gathered), [0, 1, 0]);
        assert_eq!(gathered.observations.resolution, 1.0);
        assert_eq!(times(&gathered.observations.attempts[0]), (2000, None));
        assert_eq!(&*gathered.observations.parties[0].address, "10.0.0.1");
        assert!(gathered.remarks[0].contains("does not tell how long"), "{:?}", gathered.remarks);
    }
    let gathered = read(envoy);
    assert_eq!(gathered.observations.resolution, 0.001);
    assert_eq!(times(&gathered.observations.attempts[0]), (2310, Some(2536)));
    let longer = combined.trim_end().to_owned() + " 0.003\n";
    let refused = read_with(Options::default(), &[&longer]).expect_err("another format");
    assert!(told(&refused).contains("--log-format"), "{refused:?}");
}

#[test]
fn apache_and_envoy_write_when_a_request_began() {
    let apache = r#"%h %l %u %t \"%r\" %>s %b %D %{Retry-After}o %{X-Tenant}i"#;
    let text = "::1 - - [24/Nov/2026:14:00:02 +0000] \"GET / HTTP/1.1\" 503 12 1500 7 acme\n";
    let gathered =
        read_with(with(apache, party(&["tenant=http_x_tenant"])), &[text]).expect("read");
    assert_eq!(counts(&gathered), [0, 1, 0]);
    let attempt = &gathered.observations.attempts[0];
    assert_eq!((times(attempt), attempt.advice), ((2000, Some(2002)), Some(7.0)));
    assert_eq!(&*gathered.observations.parties[0].tenant, "acme");
    let exact = "%{usec}t %>s %D";
    let gathered = read_with(with(exact, Options::default()), &["1795528802000300 429 900\n"]);
    let observations = gathered.expect("read").observations;
    assert!(observations.resolution < 1e-5 && times(&observations.attempts[0]).0 == 2000);
    let envoy =
        "%START_TIME(%s.%3f)% %RESPONSE_CODE% %DURATION% %RESP(Retry-After)% %REQ(AUTHORIZATION)%";
    let options = with(envoy, party(&["client=req(authorization)"]));
    let gathered = read_with(options, &["1795528802.250 429 3 11 Bearer-x\n"]).expect("read");
    assert_eq!(gathered.observations.attempts[0].advice, Some(11.0));
    assert_eq!(&*gathered.observations.parties[0].client, "client-1");
}

#[test]
fn a_format_that_cannot_be_used_says_why() {
    let refused = |text: &str| text.parse::<crate::records::LogFormat>().expect_err(text);
    for (text, why) in [
        ("nonsense", "not one of combined, common, envoy"),
        ("$status", "has no time"),
        ("$msec", "has no status"),
        ("$msec$status", "nothing stands between msec and status"),
        ("$msec ${status", "a { without its }"),
        ("$msec $", "a $ without a name"),
        ("%t %", "a % without a letter"),
        ("%START_TIME(%d/%b)% %RESPONSE_CODE%", "START_TIME(%d/%b)"),
    ] {
        let said = refused(text);
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn what_is_otherwise_is_named_by_line_and_not_quoted() {
    let good = "1795528802.250 200 0.1\n";
    let text = good.repeat(200) + "1795528802.250 200 s3cret\nx\n";
    let format = "$msec $status $request_time";
    let gathered = read_with(with(format, Options::default()), &[&text]).expect("read");
    let told = told(&gathered.warnings);
    assert!(told.contains("f0:201: the duration is no number"), "{told}");
    assert!(told.contains("f0:202: at column 1: after msec its format has \" \""), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn zeros_that_a_number_leaves_away_make_times_no_less_exact() {
    let format = r#"{"t":$msec,"d":$request_time,"s":$status}"#;
    let line = |t: &str| format!(r#"{{"t":{t},"d":0.001,"s":200}}"#);
    let text = ["1795528802.700", "1795528802.783", "1795528803.000"].map(line).join("\n");
    let gathered = read_with(with(format, Options::default()), &[&text]).expect("read");
    assert_eq!(gathered.observations.resolution, 0.001);
}
