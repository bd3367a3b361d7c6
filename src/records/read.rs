//! Reads a file of whichever format.

use std::io::{self, BufRead, Cursor, Read};

use super::access;
use super::gather::Gatherer;
use super::options::RecordFormat;
use super::{jtl, jtl_csv, jtl_xml, own};

/// The beginning of a file that its format is told by.
const HEAD_BYTES: u64 = 64 * 1024;

/// A format, with what it takes to read it.
enum Detected<'a> {
    Attempts,
    JtlCsv(u8),
    JtlXml,
    AccessLog(&'a access::LogFormat),
}

impl Gatherer {
    /// Reads a file, named for messages.
    pub fn read(&mut self, name: &str, mut input: impl BufRead) {
        let mut head = Vec::new();
        let looked = (&mut input).take(HEAD_BYTES).read_to_end(&mut head);
        if let Err(error) = looked
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            return self.failed(name, None, error.to_string());
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let text = text.trim_start_matches('\u{feff}');
        if head.starts_with("\u{feff}".as_bytes()) {
            head.drain(..3);
        }
        let log_format = self.options.log_format.clone();
        let detected = match detect(text, self.options.format, log_format.as_ref()) {
            Ok(detected) => detected,
            Err(problem) => return self.failed(name, None, problem),
        };
        let input = Cursor::new(head).chain(input);
        let before = self.count();
        let read = match detected {
            Detected::Attempts => {
                self.begin(name, RecordFormat::Attempts, 0.0);
                own::read(input, self)
            }
            Detected::JtlCsv(delimiter) => {
                self.begin(name, RecordFormat::JtlCsv, jtl::RESOLUTION_S);
                jtl_csv::read(input, delimiter, self)
            }
            Detected::JtlXml => {
                self.begin(name, RecordFormat::JtlXml, jtl::RESOLUTION_S);
                jtl_xml::read(input, self)
            }
            Detected::AccessLog(format) => {
                self.begin(name, RecordFormat::AccessLog, 0.0);
                access::read(input, format, self)
            }
        };
        self.end(before);
        match read {
            Ok(()) => {}
            // A compressed file that is still being written, or was not copied as a whole.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.cut_off(),
            Err(error) => self.failed(name, None, error.to_string()),
        }
    }
}

/// The format that a file begins in.
fn detect<'a>(
    head: &str,
    wanted: Option<RecordFormat>,
    log_format: Option<&'a access::LogFormat>,
) -> Result<Detected<'a>, String> {
    let mut lines = head.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().ok_or("is empty")?.trim_start();
    let delimiter = jtl_csv::delimiter(first);
    let usual = || {
        let line = std::iter::once(first).chain(lines).find(|line| !line.starts_with('#'))?;
        access::usual().iter().find(|format| format.matches(line).is_ok())
    };
    let access = || {
        let found = log_format.or_else(usual).map(Detected::AccessLog);
        found.ok_or_else(|| {
            "is in none of the formats that are known: an attempt log, JMeter's CSV or XML, an access log in the \
             formats common, combined or envoy. For another format of access logs say --log-format"
                .to_owned()
        })
    };
    match wanted {
        Some(RecordFormat::Attempts) => Ok(Detected::Attempts),
        Some(RecordFormat::JtlCsv) => Ok(Detected::JtlCsv(delimiter.unwrap_or(b','))),
        Some(RecordFormat::JtlXml) => Ok(Detected::JtlXml),
        Some(RecordFormat::AccessLog) => access(),
        None if first.starts_with("<?xml") || first.starts_with("<testResults") => {
            Ok(Detected::JtlXml)
        }
        None if first.starts_with('{') && log_format.is_none() => Ok(Detected::Attempts),
        None if first.starts_with('{') && is_own(first) => Ok(Detected::Attempts),
        None => delimiter.map_or_else(access, |delimiter| Ok(Detected::JtlCsv(delimiter))),
    }
}

fn is_own(line: &str) -> bool {
    line.contains("\"sent_at\"") && line.contains("\"outcome\"")
}
