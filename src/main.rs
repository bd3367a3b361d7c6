//! The `plimsoll` binary: parses the command line, dispatches, and turns results into exit codes.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use plimsoll::cli::{Cli, Command, EXIT_FAILURE, EXIT_OK};
use plimsoll::{check, daemon, demo, infer_files, panics, probe, report, simulate};

/// The send path allocates a few dozen times a request, most of it in the HTTP client, and a static
/// musl binary's own allocator would halve the peak rate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    panics::end_the_process();
    let cli = Cli::parse();
    let code = match &cli.command {
        Command::Run(args) => {
            told(daemon::run(args, environment()).map_err(|e| (e.exit_code(), e.to_string())))
        }
        Command::Simulate(args) => {
            told(simulate::run(args).map_err(|e| (e.exit_code(), e.to_string())))
        }
        Command::Demo(args) => told(demo::run(args).map_err(|e| (e.exit_code(), e.to_string()))),
        Command::Infer(args) => {
            let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
            infer_files::run(args, &mut out, &mut err).unwrap_or(EXIT_FAILURE)
        }
        Command::Report(args) => {
            told(report::run(args).map_err(|e| (e.exit_code(), e.to_string())))
        }
        Command::Probe(args) => match probe::run(args, environment()) {
            Ok(code) => code,
            Err(error) => told(Err((error.exit_code(), error.to_string()))),
        },
        Command::Check(args) => {
            let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
            check::check(args, &environment(), &mut out, &mut err).unwrap_or(EXIT_FAILURE)
        }
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "plimsoll", &mut script);
            // A reader that has seen enough may close the pipe.
            io::stdout().write_all(&script).map_or(EXIT_FAILURE, |()| EXIT_OK)
        }
    };
    ExitCode::from(code)
}

fn told(result: Result<(), (u8, String)>) -> u8 {
    match result {
        Ok(()) => EXIT_OK,
        Err((code, problem)) => {
            eprintln!("plimsoll: {problem}");
            code
        }
    }
}

/// The environment, without variables that are not text: none of ours can be among them.
#[expect(clippy::disallowed_methods, reason = "main is where the environment is read")]
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}
