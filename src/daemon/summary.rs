//! The summary of a run that came to its end: on the terminal, and in files for whoever asked for them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::cli::RunArgs;
use crate::verdict::{Figures, Threshold, Verdict};

/// Tells what came of a run, everywhere it is wanted. How many thresholds were not kept.
///
/// # Errors
/// A file cannot be written.
pub(super) fn tell(
    args: &RunArgs,
    figures: Figures,
    thresholds: &[Threshold],
) -> io::Result<usize> {
    let verdict = Verdict::new(figures, thresholds);
    // A reader that has seen enough may close the pipe.
    let _ = io::stdout().write_all(verdict.to_text().as_bytes());
    if let Some(path) = &args.summary_json {
        write(path, &format!("{:#}\n", verdict.to_json()))?;
    }
    if let Some(path) = &args.summary_junit {
        write(path, &verdict.to_junit().map_err(io::Error::other)?)?;
    }
    Ok(verdict.broken())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|e| io::Error::other(format!("{}: {e}", path.display())))
}
