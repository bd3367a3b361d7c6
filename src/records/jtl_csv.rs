//! JMeter's result file in CSV. Columns come in any order, the header names them; without one, in JMeter's own.

use std::io::{self, BufRead};

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::gather::Gatherer;
use super::guard::Guard;
use super::jtl::{self, DEFAULTS, Sample};

/// The columns of JMeter since version 4, in its order.
const COLUMNS: [&str; 17] = [
    "timeStamp",
    "elapsed",
    "label",
    "responseCode",
    "responseMessage",
    "threadName",
    "dataType",
    "success",
    "failureMessage",
    "bytes",
    "sentBytes",
    "grpThreads",
    "allThreads",
    "URL",
    "Latency",
    "IdleTime",
    "Connect",
];
/// These have had their places in every version.
const ALWAYS: usize = 8;
/// Without these there is nothing to be learned.
const NEEDED: [&str; 2] = ["timeStamp", "responseCode"];

/// Separates the columns of a header or first row, if it is one of JMeter's.
pub(super) fn delimiter(line: &str) -> Option<u8> {
    [b',', b';', b'\t', b'|'].into_iter().find(|delimiter| {
        let mut cells =
            line.split(char::from(*delimiter)).map(|cell| cell.trim().trim_matches('"'));
        let is_header =
            cells.clone().any(|c| c == "timeStamp") && cells.clone().any(|c| c == "elapsed");
        let number = |c: Option<&str>| {
            c.is_some_and(|c| !c.is_empty() && c.bytes().all(|b| b.is_ascii_digit()))
        };
        let many = cells.clone().count() >= ALWAYS;
        is_header || (many && number(cells.next()) && number(cells.next()))
    })
}

struct Row<'a> {
    columns: &'a [String],
    cells: &'a StringRecord,
}

impl Sample for Row<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let position = self.columns.iter().position(|column| column == name)?;
        // Written so where a sample has none.
        self.cells.get(position).map(|cell| if cell == "null" { "" } else { cell })
    }

    fn all_names(&self) -> Vec<String> {
        self.columns.to_vec()
    }
}

pub(super) fn read(input: impl BufRead, delimiter: u8, out: &mut Gatherer) -> io::Result<()> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    let mut rows = builder.from_reader(Guard::new(input));
    let mut columns: Vec<String> = Vec::new();
    let mut bytes = csv::ByteRecord::new();
    // A row that is shorter than the others is a problem only when another comes after it.
    let mut short: Option<u64> = None;
    loop {
        rows.get_mut().next();
        match rows.read_byte_record(&mut bytes) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => match error.into_kind() {
                ErrorKind::Io(error) => return Err(error),
                _ => continue,
            },
        }
        let line = bytes.position().map_or(0, csv::Position::line);
        let cells = StringRecord::from_byte_record_lossy(bytes.clone());
        let is_header = cells.iter().any(|cell| cell.trim() == "timeStamp");
        if is_header {
            let named: Vec<_> = cells.iter().map(|cell| cell.trim().to_owned()).collect();
            if !columns.is_empty() {
                // Written again where a run went on in the same file.
                out.other();
            }
            let file = out.files.last().map(|file| file.name.clone()).unwrap_or_default();
            for needed in NEEDED.iter().filter(|needed| !named.iter().any(|name| name == *needed)) {
                let text = format!(
                    "there is no column {needed}; JMeter's jmeter.save.saveservice.* switch it on"
                );
                out.failed(&file, Some(line), text);
            }
            columns = named;
            continue;
        }
        if columns.is_empty() {
            let known = if cells.len() >= COLUMNS.len() { COLUMNS.len() } else { ALWAYS };
            columns = COLUMNS[..known].iter().map(|name| (*name).to_owned()).collect();
        }
        if let Some(line) = short.take() {
            out.unreadable(line, "fewer columns than the header");
        }
        if cells.len() < columns.len() {
            short = Some(line);
            continue;
        }
        let row = Row { columns: &columns, cells: &cells };
        match jtl::attempt(&row) {
            Ok(Some(found)) => out.attempt(&row, &DEFAULTS, found),
            Ok(None) => out.other(),
            Err(problem) => out.unreadable(line, problem),
        }
    }
    if short.is_some() {
        out.cut_off();
    }
    Ok(())
}
