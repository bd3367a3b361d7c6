//! What was gathered of files.

use super::options::RecordFormat;
use super::problem::Problem;
use crate::infer::study::Observations;

/// What was found in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// Its name.
    pub name: String,
    /// What it is.
    pub format: RecordFormat,
    /// Attempts.
    pub attempts: u64,
    /// Lines or records that are no attempts.
    pub others: u64,
    /// Attempts that were left out because they were not asked for.
    pub left_out: u64,
    /// Lines or records that cannot be read.
    pub unreadable: u64,
    /// Whether its last line or record is not whole.
    pub cut_off: bool,
}

/// A record, read.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What the learner studies.
    pub observations: Observations,
    /// Each file.
    pub files: Vec<FileSummary>,
    /// What could not be read, and was left out.
    pub warnings: Vec<Problem>,
    /// Such that are not listed.
    pub more_warnings: u64,
    /// What a reader of the conclusion should know of the record, each in a sentence.
    pub remarks: Vec<String>,
}

/// What is to be said of a file, if there is anything.
pub(super) fn said(file: &FileSummary) -> Option<String> {
    let mut parts = Vec::new();
    for (count, what) in [
        (file.others, "are no attempts"),
        (file.left_out, "were not asked for"),
        (file.unreadable, "cannot be read"),
    ] {
        if count > 0 {
            parts.push(format!("{count} records {what}"));
        }
    }
    if file.cut_off {
        parts.push("its end is missing".to_owned());
    }
    (!parts.is_empty()).then(|| format!("{}: {}.", file.name, parts.join(", ")))
}
