//! Gathers the attempts of one or several files into one record, in order of sending.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::gathered::{FileSummary, Gathered, said};
use super::interner::{Interner, PARTIES_MAX, set};
use super::options::{Options, RecordFormat};
use super::problem::{Problem, Problems};
use crate::infer::Decision;
use crate::infer::study::{Attempt, Named, Observations, Quota};
use crate::model::{Factor, Identity};

/// More attempts are not kept: these take half a gigabyte.
const ATTEMPTS_MAX: usize = 2_000_000;
/// Of a hundred attempts, at most one line may be unreadable: where there are more, the format is another one.
const UNREADABLE_PER_CENT: u64 = 1;
/// Names of fields that a message lists.
const NAMES_MAX: usize = 40;

/// A day in nanoseconds. Times are told from a midnight on, so that they are exact and windows keep their phase.
const DAY_NS: i64 = 86_400_000_000_000;

/// A record with fields that have names.
pub(super) trait Fields {
    /// The value of a field; `None`: there is no such field.
    fn field(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Which fields there are.
    fn names(&self) -> Vec<String>;
}

/// An attempt as a reader found it.
#[derive(Debug)]
pub(super) struct Found {
    /// Nanoseconds since 1970.
    pub(super) sent_ns: i64,
    pub(super) answered_ns: Option<i64>,
    pub(super) decision: Decision,
    /// Statuses decide, where the user says which mean refused.
    pub(super) status: Option<u16>,
    pub(super) advice_s: Option<f64>,
    pub(super) quota: Option<Quota>,
    pub(super) named: Option<Named>,
    /// The limit domain, where the record tells.
    pub(super) domain: Option<String>,
    /// Nothing says that it was an HTTP request. It counts where nothing says so of the others of its file either.
    pub(super) doubtful: bool,
}

struct Kept {
    sent_ns: i64,
    answered_ns: Option<i64>,
    attempt: Attempt,
    doubtful: bool,
}

/// Reads files, one after the other.
pub struct Gatherer {
    pub(super) options: Options,
    pub(super) files: Vec<FileSummary>,
    interner: Interner,
    kept: Vec<Kept>,
    domains: BTreeMap<String, u64>,
    resolution: f64,
    warnings: Problems,
    failures: Problems,
    remarks: Vec<String>,
    /// Of the fields that were asked for, how often each was there.
    asked: BTreeMap<String, u64>,
    names: Vec<String>,
    full: bool,
}

impl Gatherer {
    /// A record without a file.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let rules = options.parties.iter().map(|rule| &rule.field);
        let asked = rules.chain(options.only.iter().map(|only| &only.field));
        let asked = asked.filter(|field| !field.is_empty()).map(|field| (field.clone(), 0));
        Self {
            asked: asked.collect(),
            options,
            files: Vec::new(),
            interner: Interner::default(),
            kept: Vec::new(),
            domains: BTreeMap::new(),
            resolution: 0.0,
            warnings: Problems::default(),
            failures: Problems::default(),
            remarks: Vec::new(),
            names: Vec::new(),
            full: false,
        }
    }

    /// A file begins.
    pub(super) fn begin(&mut self, name: &str, format: RecordFormat, resolution: f64) {
        self.resolution = self.resolution.max(resolution);
        self.files.push(FileSummary {
            name: name.to_owned(),
            format,
            attempts: 0,
            others: 0,
            left_out: 0,
            unreadable: 0,
            cut_off: false,
        });
    }

    fn file(&mut self) -> Option<&mut FileSummary> {
        self.files.last_mut()
    }

    /// Times turned out to be less exact.
    pub(super) fn coarser(&mut self, resolution: f64) {
        self.resolution = self.resolution.max(resolution);
    }

    pub(super) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// A line or record that is no attempt.
    pub(super) fn other(&mut self) {
        if let Some(file) = self.file() {
            file.others += 1;
        }
    }

    /// A line or record that should be one and cannot be read.
    pub(super) fn unreadable(&mut self, line: u64, message: impl Into<String>) {
        let Some(file) = self.files.last_mut() else { return };
        file.unreadable += 1;
        let (file, line, message) = (file.name.clone(), Some(line), message.into());
        self.warnings.push(Problem { file, line, message });
    }

    /// The file is at its end: what is doubtful is no attempt where others are without doubt.
    pub(super) fn end(&mut self, kept_before: usize) {
        let own = &self.kept[kept_before..];
        if own.iter().all(|kept| kept.doubtful) {
            return;
        }
        let certain = own.iter().filter(|kept| !kept.doubtful).count();
        let doubtful = (own.len() - certain) as u64;
        let mut position = 0;
        self.kept.retain(|kept| {
            position += 1;
            position <= kept_before || !kept.doubtful
        });
        if let Some(file) = self.file() {
            file.attempts -= doubtful;
            file.others += doubtful;
        }
    }

    /// How many attempts there are.
    pub(super) const fn count(&self) -> usize {
        self.kept.len()
    }

    /// The file ends in the middle of something.
    pub(super) fn cut_off(&mut self) {
        if let Some(file) = self.file() {
            file.cut_off = true;
        }
    }

    /// A file of which nothing can be used.
    pub fn failed(&mut self, file: &str, line: Option<u64>, message: impl Into<String>) {
        self.failures.push(Problem { file: file.to_owned(), line, message: message.into() });
    }

    /// An attempt; `defaults` say where its format has the factors that the user says nothing of.
    pub(super) fn attempt(
        &mut self,
        fields: &impl Fields,
        defaults: &[(Factor, &str)],
        found: Found,
    ) {
        if self.names.is_empty() {
            self.names = fields.names();
        }
        for (field, times) in &mut self.asked {
            *times += u64::from(fields.field(field).is_some());
        }
        if !self.is_asked_for(fields) {
            if let Some(file) = self.file() {
                file.left_out += 1;
            }
            return;
        }
        if self.kept.len() == ATTEMPTS_MAX {
            self.full = true;
            return;
        }
        let identity = self.identity(fields, defaults);
        let Some(party) = self.interner.party(identity) else { return };
        let decision = match (&self.options.refused, found.status) {
            (Some(refused), Some(status)) if refused.contains(&status) => Decision::Refused,
            // It was refused by a reading that the user has replaced.
            (Some(_), Some(_)) if found.decision == Decision::Refused => Decision::Admitted,
            _ => found.decision,
        };
        if decision == Decision::Refused
            && let Some(named) = found.named
        {
            *self.interner.named.entry(named).or_default() += 1;
        }
        if let Some(domain) = found.domain {
            *self.domains.entry(domain).or_default() += 1;
        }
        let advice = found.advice_s.filter(|_| decision == Decision::Refused);
        let attempt =
            Attempt { sent: 0.0, answered: None, decision, party, advice, quota: found.quota };
        let (sent_ns, answered_ns) = (found.sent_ns, found.answered_ns);
        self.kept.push(Kept { sent_ns, answered_ns, attempt, doubtful: found.doubtful });
        if let Some(file) = self.file() {
            file.attempts += 1;
        }
    }

    fn is_asked_for(&self, fields: &impl Fields) -> bool {
        let only = &self.options.only;
        only.iter().all(|one| {
            let value = fields.field(&one.field);
            let mut allowed = only.iter().filter(|other| other.field == one.field);
            value.is_some_and(|value| allowed.any(|other| other.value == value))
        })
    }

    fn identity(&mut self, fields: &impl Fields, defaults: &[(Factor, &str)]) -> Identity {
        let mut identity = Identity::default();
        for factor in Factor::ALL {
            let default = defaults.iter().find(|(of, _)| *of == factor).map(|(_, field)| *field);
            let (field, own) = match self.options.rule(factor) {
                Some(rule) => (Some(&*rule.field), false),
                None => (default, true),
            };
            let Some(value) = field.and_then(|field| fields.field(field)) else { continue };
            let field = field.unwrap_or_default();
            // The attempt log names credentials, and holds nothing that is secret.
            let value: Arc<str> = match own && field == "credential" {
                true => value.into(),
                false => self.interner.shown(factor, field, &value),
            };
            set(&mut identity, factor, value);
        }
        identity
    }

    /// The whole record.
    ///
    /// # Errors
    /// Every reason why it cannot be used.
    pub fn finish(mut self) -> Result<Gathered, Vec<Problem>> {
        self.judge();
        if !self.failures.kept.is_empty() {
            let mut all = self.failures.kept;
            all.append(&mut self.warnings.kept);
            return Err(all);
        }
        self.kept.sort_by_key(|kept| kept.sent_ns);
        let first = self.kept.first().map_or(0, |kept| kept.sent_ns);
        let base = first.div_euclid(DAY_NS) * DAY_NS;
        let seconds = |ns: i64| ns.saturating_sub(base) as f64 / 1e9;
        let attempts = self.kept.iter().map(|kept| Attempt {
            sent: seconds(kept.sent_ns),
            answered: kept.answered_ns.map(seconds),
            ..kept.attempt
        });
        let mut observed: Vec<_> = attempts.collect();
        let parties = self.interner.used(&mut observed);
        let mut named: Vec<_> = self.interner.named.into_iter().collect();
        named.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        let observations = Observations {
            attempts: observed,
            parties,
            resolution: self.resolution,
            named,
            declared: Vec::new(),
            peeks: Vec::new(),
        };
        let remarks = self.remarks.into_iter().chain(self.files.iter().filter_map(said)).collect();
        Ok(Gathered {
            observations,
            files: self.files,
            warnings: self.warnings.kept,
            more_warnings: self.warnings.more,
            remarks,
        })
    }

    fn judge(&mut self) {
        let mut found = Vec::new();
        for file in &self.files {
            let name = file.name.clone();
            if file.unreadable * 100 > (file.attempts + file.left_out) * UNREADABLE_PER_CENT {
                let (n, format) = (file.unreadable, file.format);
                found.push((
                    name,
                    format!("is no {format}: {n} of its records cannot be read as such"),
                ));
            } else if file.attempts + file.left_out == 0 {
                found.push((name, format!("holds no attempt (read as: {})", file.format)));
            }
        }
        let all = self.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>().join(" + ");
        if !self.names.is_empty() {
            let mut there = self.names.clone();
            there.truncate(NAMES_MAX);
            for (field, _) in self.asked.iter().filter(|(_, times)| **times == 0) {
                let there = there.join(", ");
                found.push((
                    all.clone(),
                    format!("no record has a field {field:?}; there are: {there}"),
                ));
            }
        }
        let left_out: u64 = self.files.iter().map(|file| file.left_out).sum();
        if found.is_empty() && self.failures.kept.is_empty() && self.kept.is_empty() && left_out > 0
        {
            found.push((all.clone(), "no record has what --only asks for".to_owned()));
        }
        if self.full {
            let text = format!(
                "more than {ATTEMPTS_MAX} attempts: give a part of the files, or choose with --only"
            );
            found.push((all.clone(), text));
        }
        if self.interner.is_full() {
            let text = format!(
                "more than {PARTIES_MAX} parties: a field of --party tells requests apart, and not who sent them"
            );
            found.push((all.clone(), text));
        }
        let chosen = self.options.only.iter().any(|only| matches!(&*only.field, "domain" | "host"));
        if self.domains.len() > 1 && !chosen {
            let names: Vec<_> =
                self.domains.iter().map(|(name, n)| format!("{name} ({n})")).collect();
            let text = format!(
                "attempts at several hosts, whose limits have nothing to do with each other: {}. Say which, such as --only domain={}",
                names.join(", "),
                self.domains.iter().max_by_key(|(_, n)| **n).map_or("", |(name, _)| name),
            );
            found.push((all, text));
        }
        for (file, message) in found {
            self.failed(&file, None, message);
        }
    }
}
