//! `plimsoll infer`: what the limit is, from a record that exists already.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::cli::{EXIT_FAILURE, EXIT_OK, EXIT_USAGE, InferArgs, InferFormat};
use crate::findings::{self, Report, Source, Studied, Subject, Vendor};
use crate::infer::study::{Named, conclude};
use crate::records::{self, Gathered, Gatherer, Problem};

/// What a compressed file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// As much of a file as is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Reads the files, concludes, and writes the report to `out`, problems to `err`. Answers with the exit code.
///
/// # Errors
/// `out` or `err` cannot be written to.
pub fn run(args: &InferArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let gathered = match gather(args) {
        Ok(gathered) => gathered,
        Err(problems) => {
            for problem in &problems {
                writeln!(err, "plimsoll: {problem}")?;
            }
            return Ok(EXIT_USAGE);
        }
    };
    let mut observations = gathered.observations;
    if let Some(file) = &args.declared {
        match declared(file) {
            Ok(limits) => observations.declared = records::of_rates(limits, &observations.named),
            Err(problem) => {
                writeln!(err, "plimsoll: --declared {problem}")?;
                return Ok(EXIT_USAGE);
            }
        }
    }
    for warning in &gathered.warnings {
        writeln!(err, "plimsoll: warning: {warning}")?;
    }
    if gathered.more_warnings > 0 {
        writeln!(err, "plimsoll: warning: {} more of the kind", gathered.more_warnings)?;
    }
    let mut conclusion = conclude(&observations);
    conclusion.remarks.extend(gathered.remarks);
    let report = Report::new(Studied {
        generator: format!("plimsoll {}", env!("CARGO_PKG_VERSION")),
        subject: subject(args),
        names: Vec::new(),
        observations: &observations,
        conclusion,
        unix_origin: None,
        experiment: None,
    });
    match tell(args.format, &report, out) {
        Ok(()) => Ok(EXIT_OK),
        // A reader that has seen enough may close the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(EXIT_OK),
        Err(error) => {
            writeln!(err, "plimsoll: cannot write the report: {error}")?;
            Ok(EXIT_FAILURE)
        }
    }
}

/// Everything that the files hold, or every reason why it cannot be read.
fn gather(args: &InferArgs) -> Result<Gathered, Vec<Problem>> {
    let mut gatherer = Gatherer::new(args.options());
    for path in &args.files {
        let name = path.display().to_string();
        match open(path) {
            Ok(input) => gatherer.read(&name, input),
            Err(error) => gatherer.failed(&name, None, format!("cannot be read: {error}")),
        }
    }
    gatherer.finish()
}

/// The limits that a file declares, or why it cannot be used.
pub(crate) fn declared(file: &Path) -> Result<Vec<Named>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string());
    let limits = text.and_then(|text| records::declared_limits(&text));
    limits.map_err(|problem| format!("{}: {problem}", file.display()))
}

/// A file's content, decompressed if need be. `-` is the standard input.
fn open(path: &PathBuf) -> io::Result<Box<dyn BufRead>> {
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::with_capacity(CHUNK_BYTES, io::stdin()))
    } else {
        Box::new(BufReader::with_capacity(CHUNK_BYTES, File::open(path)?))
    };
    // A first reading of a pipe may be shorter than this; of a file never.
    Ok(match input.fill_buf()?.starts_with(&GZIP) {
        true => Box::new(BufReader::with_capacity(CHUNK_BYTES, MultiGzDecoder::new(input))),
        false => input,
    })
}

fn subject(args: &InferArgs) -> Subject {
    let files = args.files.iter().map(|path| path.display().to_string()).collect();
    let source = Source::Record { files };
    Subject { source, target: None, server: None, operation: None, vendor: Vendor::Other }
}

fn tell(format: InferFormat, report: &Report, out: &mut impl Write) -> io::Result<()> {
    match format {
        InferFormat::Json => writeln!(out, "{}", report.to_json()?),
        InferFormat::Text => out.write_all(findings::to_text(report).as_bytes()),
        InferFormat::Html => out.write_all(findings::to_html(report).as_bytes()),
    }
}
