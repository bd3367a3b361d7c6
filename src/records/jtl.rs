//! What the result files of JMeter have in common: a sample, whichever way it was written.

use std::borrow::Cow;

use http::HeaderMap;

use super::gather::{Fields, Found};
use super::response;
use crate::infer::Decision;
use crate::model::Factor;

/// Where a sample has what tells parties apart. A thread is no user: all threads may log in as the same one, so
/// nothing is said of users unless `--party` says where they are.
pub(super) const DEFAULTS: [(Factor, &str); 1] = [(Factor::Route, "label")];

/// JMeter writes milliseconds.
pub(super) const RESOLUTION_S: f64 = 0.001;
const MS: i64 = 1_000_000;

/// The short names that XML uses, by those of CSV.
const SHORT: [(&str, &str); 17] = [
    ("timeStamp", "ts"),
    ("elapsed", "t"),
    ("label", "lb"),
    ("responseCode", "rc"),
    ("responseMessage", "rm"),
    ("threadName", "tn"),
    ("dataType", "dt"),
    ("success", "s"),
    ("bytes", "by"),
    ("sentBytes", "sby"),
    ("grpThreads", "ng"),
    ("allThreads", "na"),
    ("Latency", "lt"),
    ("IdleTime", "it"),
    ("Connect", "ct"),
    ("Hostname", "hn"),
    ("URL", "java.net.URL"),
];

/// A name of a field in CSV as XML has it.
pub(super) fn short(name: &str) -> &str {
    SHORT.iter().find(|(long, _)| *long == name).map_or(name, |(_, short)| short)
}

/// The other way round.
pub(super) fn long(name: &str) -> &str {
    SHORT.iter().find(|(_, short)| *short == name).map_or(name, |(long, _)| long)
}

/// A sample: its fields by the names that CSV has for them.
pub(super) trait Sample {
    fn value(&self, name: &str) -> Option<&str>;
    fn all_names(&self) -> Vec<String>;
    /// Scripts and other samplers answer 200, too.
    fn is_http(&self) -> bool {
        self.value("URL").is_some_and(|url| !url.trim().is_empty())
    }
    fn headers(&self) -> HeaderMap {
        HeaderMap::new()
    }
    fn body(&self) -> &[u8] {
        b""
    }
}

impl<S: Sample> Fields for S {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(value) = self.value(name) {
            return Some(value.into());
        }
        match name {
            "threadGroup" => self.value("threadName").map(|name| thread_group(name).into()),
            "host" | "domain" => Some(host(self.value("URL")?)?.into()),
            "path" => {
                let uri: http::Uri = self.value("URL")?.parse().ok()?;
                Some(uri.path().to_owned().into())
            }
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.all_names();
        if self.value("threadName").is_some() {
            names.push("threadGroup".to_owned());
        }
        if self.value("URL").is_some() {
            names.extend(["host".to_owned(), "path".to_owned()]);
        }
        names
    }
}

/// `Thread Group` of `Thread Group 1-12`.
fn thread_group(name: &str) -> &str {
    let end = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let end = end.strip_suffix('-').map(|end| end.trim_end_matches(|c: char| c.is_ascii_digit()));
    end.map_or(name, str::trim_end)
}

fn host(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    // Without a name and password, which may stand before it.
    Some(match authority.port_u16() {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    })
}

/// The attempt that a sample is; `Ok(None)`: it is none.
///
/// # Errors
/// What cannot be read.
pub(super) fn attempt(sample: &impl Sample) -> Result<Option<Found>, String> {
    let code = sample.value("responseCode").unwrap_or_default().trim();
    let message = sample.value("responseMessage").unwrap_or_default();
    // A transaction controller sums up samples that have rows of their own.
    if message.starts_with("Number of samples in transaction") {
        return Ok(None);
    }
    let status = code.parse::<u16>().ok().filter(|status| (100..600).contains(status));
    if status.is_none() && !code.starts_with("Non HTTP response code") {
        return Ok(None);
    }
    let milliseconds = |name: &str| -> Result<Option<i64>, String> {
        match sample.value(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse::<i64>() {
                Ok(ms) if (0..=i64::MAX / MS).contains(&ms) => Ok(Some(ms * MS)),
                _ => Err(format!("{name}: not a number of milliseconds")),
            },
        }
    };
    let stamp = time(sample.value("timeStamp").ok_or("timeStamp: missing")?.trim())?;
    let elapsed = milliseconds("elapsed")?.unwrap_or(0);
    // The time to the first byte, connecting included; 0 where there was none.
    let latency = milliseconds("Latency")?.filter(|latency| *latency > 0);
    let connect = milliseconds("Connect")?.unwrap_or(0).min(latency.unwrap_or(elapsed));
    let answered = stamp.saturating_add(latency.unwrap_or(elapsed));
    let said = status.map(|s| response::read(s, &sample.headers(), sample.body(), answered));
    let decision = said.as_ref().map_or(Decision::Unknown, |said| said.decision);
    let said = said.as_ref();
    Ok(Some(Found {
        // The request leaves when the connection stands.
        sent_ns: stamp.saturating_add(connect),
        answered_ns: status.map(|_| answered),
        decision,
        status,
        advice_s: said.and_then(|said| said.advice_s),
        quota: said.and_then(|said| said.quota),
        named: said.and_then(|said| said.named.clone()),
        domain: sample.value("URL").and_then(host),
        doubtful: !sample.is_http(),
    }))
}

/// Nanoseconds since 1970 of a `timeStamp`: milliseconds, unless JMeter was told to write dates. Those carry no zone and
/// are taken for UTC: only differences matter.
fn time(text: &str) -> Result<i64, String> {
    let wrong = || {
        "timeStamp: neither milliseconds since 1970 nor a date such as 2026/11/24 14:03:05.123"
            .to_owned()
    };
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return text.parse::<i64>().ok().and_then(|ms| ms.checked_mul(MS)).ok_or_else(wrong);
    }
    let dashed = text.replace('/', "-");
    let at = dashed.parse::<jiff::civil::DateTime>().map_err(|_| wrong())?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    i64::try_from(at.timestamp().as_nanosecond()).map_err(|_| wrong())
}
