//! `plimsoll check`: says whether configuration is valid, and everything that is wrong with it.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::cli::{CheckArgs, EXIT_OK, EXIT_USAGE};
use crate::config::{ConfigFile, FileSource, Problems, Settings, Sources, load, schema_of};

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
        writeln!(out, "{:#}", schema_of::<ConfigFile>())?;
        return Ok(EXIT_OK);
    }
    let alone = args.files.iter().map(|file| vec![file.clone()]);
    let layered = Some(args.config.config_file.clone()).filter(|files| !files.is_empty());
    let mut code = EXIT_OK;
    for files in alone.chain(layered) {
        let name = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" + ");
        match checked(files, env) {
            Ok(settings) => {
                for warning in &settings.warnings {
                    writeln!(err, "{name}: warning: {warning}")?;
                }
                writeln!(out, "{name}: ok: {}", summary(&settings))?;
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

fn checked(files: Vec<PathBuf>, env: &[(String, String)]) -> Result<Settings, Problems> {
    let files = files.into_iter().map(FileSource::Path).collect();
    load(&Sources { files, env: env.to_vec(), overrides: Vec::new() })
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
