//! The file: what is shipped is valid, and what is wrong is said all at once.

use config::{Config, File, FileFormat};

use super::super::{Distribution, Problem, SimulatorSettings};

fn read(text: &str) -> Result<SimulatorSettings, config::ConfigError> {
    let source = File::from_str(text, FileFormat::Toml);
    Config::builder().add_source(source).build()?.try_deserialize()
}

fn problems(text: &str) -> Vec<Problem> {
    read(text).expect("readable").validate().expect_err("it has problems")
}

fn paths(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|p| p.path.as_str()).collect()
}

#[test]
fn the_shipped_files_are_valid_and_agree_with_the_schema() {
    let schema = schemars::schema_for!(SimulatorSettings);
    let validator = jsonschema::validator_for(schema.as_value()).expect("a schema");
    for (name, text) in [
        ("reference", include_str!("../../../config/simulator.toml")),
        ("genesys", include_str!("../../../config/simulator-genesys.toml")),
    ] {
        let settings = read(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let json = serde_json::to_value(&settings).expect("JSON");
        let complaints: Vec<_> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
        assert_eq!(complaints, Vec::<String>::new(), "{name}");
        settings.validate().unwrap_or_else(|p| panic!("{name}: {p:?}"));
    }
}

#[test]
fn an_empty_file_is_the_default() {
    let settings = read("").expect("readable");
    assert_eq!(settings, SimulatorSettings::default());
    settings.validate().expect("valid");
}

/// Everything the reference file says is a default, apart from what it says is none.
#[test]
fn the_reference_file_tells_the_defaults() {
    let text = include_str!("../../../config/simulator.toml");
    let shown = read(text).expect("readable");
    let default = SimulatorSettings::default();
    assert_eq!(shown.latency.distribution, Distribution::Lognormal);
    let shown = SimulatorSettings {
        clients: default.clients.clone(),
        tokens: default.tokens.clone(),
        operations: default.operations.clone(),
        limits: default.limits.clone(),
        latency: default.latency.clone(),
        ..shown
    };
    assert_eq!(shown, default);
}

#[test]
fn an_unknown_key_is_an_error_wherever_it_is() {
    for text in ["lantency = 1", "[faults]\nreset = 1", "[[limits]]\nname = \"a\"\nscopes = []"] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let found = problems(
        r#"
        connections_max = 0
        quota_headers = ["ietf_structured", "ietf_draft07"]
        operations = [{ path = "messages" }, { shape = "generic", method = "P OST" }]
        [[limits]]
        name = "a b"
        kind = "token_bucket"
        window = "1s"
        [[limits]]
        name = "twice"
        limit = 5
        window = "1s"
        lockout_kind = "fixed"
        [[limits]]
        name = "twice"
        limit = 5
        window = "1s"
        changes = [{ after = "2s", limit = 3 }, { after = "1s" }]
        [faults]
        error_ratio = 0.7
        stall_ratio = 0.7
        error_statuses = [200]
        [latency]
        mean = "1m"
        "#,
    );
    assert_eq!(
        paths(&found),
        [
            "connections_max",
            "quota_headers",
            "operations[0].path",
            "operations[1].method",
            "limits[0].name",
            "limits[0].window",
            "limits[0].rate",
            "limits[1].lockout",
            "limits[2].name",
            "limits[2].changes[1].after",
            "limits[2].changes[1]",
            "latency.mean",
            "faults",
            "faults.error_statuses[0]",
        ]
    );
    assert_eq!(found[5].message, "token_bucket does not read it; allowed: rate, burst");
}

#[test]
fn a_limit_at_the_login_knows_no_token() {
    let found = problems(
        r#"
        [[limits]]
        name = "login"
        applies_to = "login"
        kind = "concurrency"
        limit = 1
        scope = ["client", "token"]
        "#,
    );
    assert_eq!(paths(&found), ["limits[0].scope", "limits[0].kind"]);
}
