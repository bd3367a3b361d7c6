use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn flags_become_the_highest_layer() {
    let line = "plimsoll run --config.file a.toml --config.file b.yaml \
                --web.listen-address [::]:9 --web.config.file w.yml --web.enable-lifecycle --log.level debug \
                --log.format json --for 90s --count 5 --linger";
    let Ok(Command::Run(args)) = parse(line) else { panic!("parses") };
    let sources = args.sources(Vec::new());
    assert_eq!(sources.files.len(), 2);
    let set: Vec<(&str, &str)> = sources.overrides.iter().map(|o| (&*o.key, &*o.value)).collect();
    let expected = [
        ("log.level", "debug"),
        ("log.format", "json"),
        ("web.listen_address", "[::]:9"),
        ("web.config_file", "w.yml"),
        ("web.enable_lifecycle", "true"),
    ];
    assert_eq!(set, expected);
    assert_eq!(args.run_for, "90s".parse().ok());
    assert_eq!((args.count, args.linger), (Some(5), true));
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "plimsoll",
        "plimsoll run --for 0s",
        "plimsoll run --for 90",
        "plimsoll run --count 0",
        "plimsoll run --threshold goodput>95/s",
        "plimsoll run --summary.json a.json",
        "plimsoll run --log.level loud",
        "plimsoll demo --rate fast",
        "plimsoll check",
        "plimsoll check --print-schema a.toml",
        "plimsoll completions",
    ] {
        let error = parse(line).map(|_| ()).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{line}");
    }
}

#[test]
fn every_command_explains_itself_and_its_exit_codes() {
    for command in Cli::command().get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:"), "{help}");
        assert!(command.get_name() == "completions" || help.contains("Exit codes:"), "{help}");
    }
}
