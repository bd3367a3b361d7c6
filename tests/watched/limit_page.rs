//! The page that a probe writes, as a browser shows it.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::browser::look;
use crate::support::process::{Process, free_ports, temp_dir, write_file};

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn the_report_of_a_probe_needs_nothing_but_itself_and_can_be_read() {
    let directory = temp_dir();
    let [port] = free_ports();
    let simulation = format!(
        "listen_address = \"127.0.0.1:{port}\"\n[[operations]]\nshape = \"generic\"\npath = \"/messages\"\n\
         [[limits]]\nname = \"org\"\nkind = \"token_bucket\"\nrate = \"50/s\"\nburst = 20\nscope = [\"tenant\"]\n\
         [[tokens]]\nvalue = \"t-1\"\nclient = \"a\"\ntenant = \"acme\"\n\
         [[tokens]]\nvalue = \"t-2\"\nclient = \"b\"\ntenant = \"acme\"\n"
    );
    let mut settings = format!(
        "allow_inline_secrets = true\n[schedule]\nramp = \"0s\"\n[targets.t]\n\
         base_url = \"http://127.0.0.1:{port}\"\npath = \"/messages\"\nbody = '{{\"text\":\"<script>\"}}'\n"
    );
    for (name, token) in [("first", "t-1"), ("second", "t-2")] {
        settings += &format!(
            "[credentials.{name}]\ntype = \"bearer\"\ntoken = \"{token}\"\ntenant = \"acme\"\nclient = \"{name}\"\n\
             [streams.{name}]\ntarget = \"t\"\ncredential = \"{name}\"\nrate = \"200/s\"\n"
        );
    }
    let run = |name: &str, arguments: &[&str], text: &str| {
        let file = write_file(directory.path(), &format!("{name}.toml"), text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.env_clear().args(arguments).arg("--config.file").arg(file);
        let log = directory.path().join(format!("{name}.log"));
        Process::spawn(name, command.current_dir(directory.path()), &log)
    };
    let mut simulator = run("simulator", &["simulate"], &simulation);
    let url = format!("http://127.0.0.1:{port}/simulator/stats");
    simulator.wait_for_answer(&url, Duration::from_secs(15));
    let arguments =
        ["probe", "--stream", "first", "--max-time", "25s", "--report.html", "limit.html"];
    let mut probe = run("probe", &arguments, &settings);
    assert_eq!(probe.wait(Duration::from_secs(60)).code(), Some(0), "{}", probe.log());

    let page = format!("file://{}", directory.path().join("limit.html").display());
    let mut steps = Vec::new();
    for (width, scheme) in [(1280, "light"), (390, "light"), (320, "light"), (1280, "dark")] {
        steps.push(json!({"do": "look", "width": width, "scheme": scheme}));
        steps.push(json!({"do": "open"}));
        steps.push(json!({"do": "wait", "for": "document.querySelectorAll('svg').length >= 2"}));
        steps.push(json!({"do": "facts"}));
        steps.push(json!({"do": "contrasts"}));
    }
    let seen = look(&page, &json!(steps));
    let requests = seen["requests"].as_array().expect("a list");
    assert!(requests.iter().all(|request| *request == page), "{requests:?}");
    assert_eq!(seen["complaints"], json!([]), "its own policy lets it show everything");
    for facts in seen["facts"].as_array().expect("a list") {
        assert!(facts["overflow"].as_i64().is_some_and(|pixels| pixels <= 0), "{facts}");
    }
    let contrasts = seen["contrasts"].as_array().expect("a list");
    assert!(contrasts.len() > 50, "{}", contrasts.len());
    let faint = contrasts.iter().filter(|text| text["ratio"].as_f64().is_none_or(|r| r < 4.5));
    assert_eq!(faint.collect::<Vec<_>>(), Vec::<&serde_json::Value>::new());
}
