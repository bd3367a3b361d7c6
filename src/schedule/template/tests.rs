use super::*;
use proptest::prelude::*;

const AT: Values<'static> = Values {
    message: MessageId(0xfeed),
    sequence: 7,
    unix_ns: 1_700_000_000_123_456_789,
    stream: "agentless",
};

fn params() -> BTreeMap<String, String> {
    [
        ("id", "a/b c"),
        ("quote", "say \"hi\"\n"),
        ("flag", "true"),
        ("dots", ".."),
        ("nested", "\"{{sequence}}\" of {{stream}}"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

fn parse(path: &str, headers: &[(&str, &str)], body: &str) -> Result<RequestTemplate, String> {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let source = TemplateSource { path, headers: &headers, body: Some(body), params: &params() };
    RequestTemplate::parse(&source)
        .map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn body(body: &str) -> Result<String, String> {
    let template = parse("/m", &[], body)?;
    Ok(String::from_utf8(template.render(&AT).body.to_vec()).expect("UTF-8"))
}

#[test]
fn a_payload_without_placeholders_is_sent_as_it_stands_and_shared() {
    let payload = r#"{"to":{"id":"participant-id"},"text":"message"}"#;
    let template = parse("/m", &[("content-type", "application/json")], payload).expect("valid");
    let (first, second) = (template.render(&AT), template.render(&AT));
    assert_eq!(first.body, payload.as_bytes());
    assert_eq!(first.body.as_ptr(), second.body.as_ptr(), "one allocation for all requests");
    assert!(matches!(first.path, Cow::Borrowed("/m")));
    assert!(matches!(first.headers, Cow::Borrowed(_)));
}

#[test]
fn every_placeholder_has_its_value() {
    for (template, rendered) in [
        (r#""{{message_id}}""#, r#""0000000000000000000000000000feed""#),
        (r#"{"n":{{sequence}}}"#, r#"{"n":7}"#),
        (r#"["{{ timestamp }}"]"#, r#"["2023-11-14T22:13:20.123Z"]"#),
        ("{{timestamp_ms}}", "1700000000123"),
        ("{{timestamp_s}}", "1700000000"),
        (r#""from {{stream}}""#, r#""from agentless""#),
        (r#""{{param.quote}}""#, r#""say \"hi\"\n""#),
        (r#"{"on":{{param.flag}}}"#, r#"{"on":true}"#),
        (r#""{{param.nested}}""#, r#""\"7\" of agentless""#),
    ] {
        assert_eq!(body(template).as_deref(), Ok(rendered), "{template}");
    }
}

#[test]
fn values_are_percent_encoded_in_the_path_and_its_name_stays_the_same() {
    let template = parse("/c/{{param.id}}/m/{{message_id}}?at={{timestamp}}", &[], "").expect("ok");
    let rendered = template.render(&AT);
    assert_eq!(
        rendered.path,
        "/c/a%2Fb%20c/m/0000000000000000000000000000feed?at=2023-11-14T22%3A13%3A20.123Z"
    );
    assert!(rendered.body.is_empty());
    assert_eq!(template.path_template(), "/c/{id}/m/{message_id}");
}

#[test]
fn headers_are_rendered_and_cannot_be_broken_out_of() {
    let template =
        parse("/m", &[("x-id", "{{stream}}-{{sequence}}"), ("x-b", "1")], "").expect("ok");
    let evil = Values { stream: "a\r\nx: y", ..AT };
    let rendered = template.render(&evil);
    assert_eq!(rendered.headers[1].1, "a??x: y-7");
    assert_eq!(rendered.headers[0].1, "1");
}

#[test]
fn faults_name_the_part_the_place_and_what_is_allowed() {
    let list = format!("allowed: {PLACEHOLDERS}");
    for (path, header, body, expected) in [
        ("/{{nope}}", "", "", format!("path: unknown placeholder \"nope\" at position 1; {list}")),
        ("/a/{{x", "", "", format!("path: {{{{ without }}}} at position 3; {list}")),
        ("m", "", "", "path: does not begin with / at position 0; allowed: an absolute path, such as /messages".to_owned()),
        ("/a/{{param.dots}}/b", "", "", "path: has a . or .. segment, which HTTP clients rewrite; allowed: segments other than . and ..".to_owned()),
        ("/m", "{{param.none}}", "", "headers.x: no parameter of the name \"none\" at position 0; allowed: the target's params (dots, flag, id, nested, quote)".to_owned()),
        ("/m", "\u{7f}", "", "headers.x: not a header value once rendered; allowed: text without control characters".to_owned()),
    ] {
        let found = parse(path, &[("x", header)], body).map(|_| ()).expect_err(path);
        assert_eq!(found, expected);
    }
}

#[test]
fn a_body_that_is_not_json_for_every_message_is_refused_where_it_breaks() {
    for (template, position) in [
        ("{\"a\":1,}", 7),
        ("{{message_id}}", 0),
        ("{\"a\":{{stream}}}", 5),
        // Valid for one message and not for the next.
        ("{\"a\": 1{{sequence}}, \"b\": 0{{sequence}}}", 27),
        ("\"\\u{{sequence}}\"", 15),
        ("{\n\"a\": {{timestamp}}}", 7),
    ] {
        let error = body(template).expect_err(template);
        assert!(error.starts_with("body: not JSON once rendered at position"), "{error}");
        let at: usize = error
            .split("position ")
            .nth(1)
            .and_then(|r| r.split(';').next())
            .and_then(|n| n.parse().ok())
            .expect("a position");
        assert!(at.abs_diff(position) <= 2, "{template}: {at}, expected about {position}");
    }
}

#[test]
fn nothing_that_is_sent_shows_in_debug_output() {
    let template = parse("/m", &[("x-key", "canary")], "\"canary\"").expect("valid");
    assert!(!format!("{template:?}{:?}", template.render(&AT)).contains("canary"));
    assert!(parse("/a/%2e%2E/b", &[], "").is_err(), "clients read %2e as a dot");
}

#[test]
fn all_faults_are_reported_at_once() {
    let errors = parse("nope", &[("bad name", "x"), ("x", "{{y}}")], "{").expect_err("four faults");
    assert_eq!(errors.lines().count(), 4, "{errors}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(path in ".{0,40}", header in ".{0,40}", text in ".{0,40}") {
        let _ = parse(&path, &[("x", &header)], &text);
        let _ = parse("/m", &[], &format!("\"{text}{{{{sequence}}}}\""));
    }

    #[test]
    fn whatever_parses_renders_to_json_and_a_path(
        value in ".{0,20}", sequence in any::<u64>(), unix_ns in any::<i64>(), message in any::<u128>(), stream in ".{0,20}",
    ) {
        prop_assume!(!value.contains("{{"));
        let params = [("p".to_owned(), value)].into();
        let headers = [("x".to_owned(), "{{stream}}{{timestamp}}".to_owned())].into();
        let source = TemplateSource {
            path: "/{{stream}}x/{{param.p}}x",
            headers: &headers,
            body: Some(r#"{"{{param.p}}":{{sequence}},"t":"{{timestamp}}{{stream}}"}"#),
            params: &params,
        };
        let template = RequestTemplate::parse(&source).expect("any parameter can be escaped");
        let rendered = template.render(&Values { message: MessageId(message), sequence, unix_ns, stream: &stream });
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&rendered.body).is_ok());
        prop_assert!(rendered.path.parse::<PathAndQuery>().is_ok());
    }
}
