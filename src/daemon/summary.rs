//! The summary of a run that is over: on the terminal, and in files for whoever asked for them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::cli::RunArgs;
use crate::verdict::Verdict;

/// Tells what came of a run, everywhere it is wanted.
///
/// # Errors
/// A file cannot be written.
pub(super) fn tell(args: &RunArgs, verdict: &Verdict) -> io::Result<()> {
    // A reader that has seen enough may close the pipe.
    let _ = io::stdout().write_all(verdict.to_text().as_bytes());
    if let Some(path) = &args.summary_json {
        write(path, &format!("{:#}\n", verdict.to_json()))?;
    }
    if let Some(path) = &args.summary_junit {
        write(path, &verdict.to_junit().map_err(io::Error::other)?)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|e| io::Error::other(format!("{}: {e}", path.display())))
}
