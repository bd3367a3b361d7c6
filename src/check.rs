//! `plimsoll check`: says whether configuration is valid, and everything that is wrong with it.

use std::io::{self, Write};

use crate::cli::{CheckArgs, EXIT_OK, EXIT_USAGE};
use crate::config::{
    ConfigFile, FileSource, Problem, Problems, Settings, Sources, load, load_as, schema_of,
};
use crate::simulator::{Simulation, SimulatorSettings};

/// Checks what the arguments name: results to `out`, problems and warnings to `err`. Answers with
/// the exit code.
///
/// # Errors
/// `out` or `err` cannot be written to.
pub fn check(
    args: &CheckArgs,
    env: &[(String, String)],
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    if args.print_schema {
        let schema = if args.simulator {
            schema_of::<SimulatorSettings>()
        } else {
            schema_of::<ConfigFile>()
        };
        writeln!(out, "{schema:#}")?;
        return Ok(EXIT_OK);
    }
    let alone = args.files.iter().map(|file| vec![file.clone()]);
    let layered = Some(args.config.config_file.clone()).filter(|files| !files.is_empty());
    let mut code = EXIT_OK;
    for files in alone.chain(layered) {
        let name = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" + ");
        let files = files.into_iter().map(FileSource::Path).collect();
        let checked = if args.simulator { simulator(files) } else { daemon(files, env) };
        match checked {
            Ok((summary, warnings)) => {
                for warning in &warnings {
                    writeln!(err, "{name}: warning: {warning}")?;
                }
                writeln!(out, "{name}: ok: {summary}")?;
            }
            Err(problems) => {
                code = EXIT_USAGE;
                let count = counted(problems.as_slice().len(), "problem");
                writeln!(err, "{name}: {count}")?;
                for problem in problems.as_slice() {
                    writeln!(err, "  {problem}")?;
                }
            }
        }
    }
    Ok(code)
}

/// What is said of a file that is valid: what it comes to, and warnings.
type Said = (String, Vec<String>);

fn daemon(files: Vec<FileSource>, env: &[(String, String)]) -> Result<Said, Problems> {
    let settings = load(&Sources { files, env: env.to_vec(), overrides: Vec::new() })?;
    Ok((summary(&settings), settings.warnings))
}

fn simulator(files: Vec<FileSource>) -> Result<Said, Problems> {
    let simulation = load_simulation(&Sources { files, ..Sources::default() })?;
    Ok((format!("a simulation on {}", simulation.listen_address()), Vec::new()))
}

/// Reads and checks the configuration of `plimsoll simulate`.
///
/// # Errors
/// Every problem there is.
pub fn load_simulation(sources: &Sources) -> Result<Simulation, Problems> {
    let settings: SimulatorSettings = load_as(sources)?;
    settings.validate().map_err(|problems| {
        Problems::new(problems.into_iter().map(|p| Problem::new(p.path, p.message)).collect())
    })
}

fn summary(settings: &Settings) -> String {
    let total: f64 = settings.streams.iter().map(|s| s.schedule.rate.per_second()).sum();
    format!(
        "{}, {}, {}; at most {}/s in all",
        counted(settings.streams.len(), "stream"),
        counted(settings.targets.len(), "target"),
        counted(settings.credentials.len(), "credential"),
        (total * 1000.0).round() / 1000.0,
    )
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
