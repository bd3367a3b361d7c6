//! JMeter's result file in XML. Samples may hold the samples that they are made of (redirects, transactions); those are
//! the requests, and what holds them is none.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use http::{HeaderMap, HeaderName, HeaderValue};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::gather::Gatherer;
use super::guard::Guard;
use super::jtl::{self, DEFAULTS, Sample, long, short};

/// Samples within samples; JMeter writes two or three.
const DEPTH_MAX: usize = 32;
/// The parts of a sample's body that are looked at, and as much of each.
const TEXT_MAX: usize = 64 * 1024;
const PARTS: [&str; 4] = ["java.net.URL", "responseHeader", "responseData", "queryString"];

/// A sample that has begun.
#[derive(Debug, Default)]
struct Open {
    line: u64,
    values: BTreeMap<String, String>,
    /// It is an `httpSample`.
    is_http: bool,
    /// It holds other samples.
    is_made_of_others: bool,
}

impl Sample for Open {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(short(name)).or_else(|| self.values.get(name)).map(String::as_str)
    }

    fn all_names(&self) -> Vec<String> {
        let shown = self.values.keys().filter(|name| !PARTS[1..].contains(&name.as_str()));
        shown.map(|name| long(name).to_owned()).collect()
    }

    fn is_http(&self) -> bool {
        self.is_http || self.values.contains_key("java.net.URL")
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in self.values.get("responseHeader").into_iter().flat_map(|text| text.lines()) {
            if let Some((name, value)) = line.split_once(':')
                && let (Ok(name), Ok(value)) =
                    (name.trim().parse::<HeaderName>(), HeaderValue::from_str(value.trim()))
            {
                headers.append(name, value);
            }
        }
        headers
    }

    fn body(&self) -> &[u8] {
        self.values.get("responseData").map(String::as_bytes).unwrap_or_default()
    }
}

/// How far a file has been read.
#[derive(Default)]
struct Samples {
    open: Vec<Open>,
    /// The part of a sample that text belongs to.
    part: Option<&'static str>,
    /// The end of the results has come.
    ended: bool,
}

pub(super) fn read(input: impl BufRead, out: &mut Gatherer) -> io::Result<()> {
    let mut reader = Reader::from_reader(Guard::new(input));
    let mut buffer = Vec::new();
    let mut samples = Samples::default();
    loop {
        buffer.clear();
        reader.get_mut().next();
        let line = reader.get_ref().line();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) => break,
            Ok(event) => samples.take(event, line, out),
            Err(quick_xml::Error::Io(error)) => {
                return Err(io::Error::new(error.kind(), error.to_string()));
            }
            // A file that is cut off ends so.
            Err(_) if at_end(&mut reader) => break,
            Err(_) => {
                out.unreadable(line, "no well-formed XML; nothing after it is read");
                break;
            }
        }
        if samples.open.len() > DEPTH_MAX {
            out.unreadable(line, format!("samples within samples, more than {DEPTH_MAX} deep"));
            break;
        }
    }
    if !samples.open.is_empty() || !samples.ended {
        out.cut_off();
    }
    Ok(())
}

impl Samples {
    fn take(&mut self, event: Event<'_>, line: u64, out: &mut Gatherer) {
        match event {
            Event::Start(element) if is_sample(element.name().as_ref()) => {
                self.inside_of_another();
                self.open.push(begun(&element, line));
            }
            Event::Empty(element) if is_sample(element.name().as_ref()) => {
                self.inside_of_another();
                tell(&begun(&element, line), out);
            }
            Event::Start(element) => {
                self.part =
                    PARTS.into_iter().find(|name| element.name().as_ref() == name.as_bytes());
            }
            Event::End(element) => {
                self.part = None;
                if is_sample(element.name().as_ref())
                    && let Some(sample) = self.open.pop()
                {
                    tell(&sample, out);
                }
                self.ended |= element.name().as_ref() == b"testResults";
            }
            Event::Text(text) => self.add(text.decode().ok().as_deref()),
            Event::CData(text) => self.add(text.decode().ok().as_deref()),
            Event::GeneralRef(reference) => {
                let name = reference.decode().unwrap_or_default();
                let text = format!("&{name};");
                self.add(quick_xml::escape::unescape(&text).ok().as_deref());
            }
            _ => {}
        }
    }

    fn inside_of_another(&mut self) {
        if let Some(parent) = self.open.last_mut() {
            parent.is_made_of_others = true;
        }
    }

    fn add(&mut self, text: Option<&str>) {
        if let (Some(sample), Some(part), Some(text)) = (self.open.last_mut(), self.part, text) {
            let value = sample.values.entry(part.to_owned()).or_default();
            value.extend(text.chars().take(TEXT_MAX.saturating_sub(value.len())));
        }
    }
}

/// Whether nothing follows.
fn at_end<R: BufRead>(reader: &mut Reader<Guard<R>>) -> bool {
    let rest = reader.get_mut();
    rest.next();
    rest.fill_buf().is_ok_and(<[u8]>::is_empty)
}

fn is_sample(name: &[u8]) -> bool {
    matches!(name, b"httpSample" | b"sample")
}

fn begun(element: &BytesStart<'_>, line: u64) -> Open {
    let mut values = BTreeMap::new();
    for attribute in element.attributes().with_checks(false).flatten() {
        let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
        let value = String::from_utf8_lossy(&attribute.value).into_owned();
        let value = quick_xml::escape::unescape(&value).map(|v| v.into_owned()).unwrap_or(value);
        values.insert(name, value);
    }
    let is_http = element.name().as_ref() == b"httpSample";
    Open { line, values, is_http, is_made_of_others: false }
}

fn tell(sample: &Open, out: &mut Gatherer) {
    if sample.is_made_of_others {
        return out.other();
    }
    match jtl::attempt(sample) {
        Ok(Some(found)) => out.attempt(sample, &DEFAULTS, found),
        Ok(None) => out.other(),
        Err(problem) => out.unreadable(sample.line, problem),
    }
}
