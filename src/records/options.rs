//! What a reader is told: which format, whose a record is, what counts as refused.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::access::LogFormat;
use crate::model::Factor;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Plimsoll's own attempt log.
    Attempts,
    /// A result file of JMeter, as CSV.
    JtlCsv,
    /// A result file of JMeter, as XML.
    JtlXml,
    /// An access log.
    AccessLog,
}

impl fmt::Display for RecordFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempts => "attempt log",
            Self::JtlCsv => "JMeter result file in CSV",
            Self::JtlXml => "JMeter result file in XML",
            Self::AccessLog => "access log",
        })
    }
}

/// How records are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The format of every file; `None`: each tells its own.
    pub format: Option<RecordFormat>,
    /// The format of access logs; `None`: the usual ones are tried.
    pub log_format: Option<LogFormat>,
    /// Where the values of factors are found, over each format's own way.
    pub parties: Vec<PartyRule>,
    /// What a record must say to count. Of one field any of its values, of several fields each.
    pub only: Vec<Only>,
    /// The statuses that mean refused; `None`: as the daemon reads answers.
    pub refused: Option<BTreeSet<u16>>,
}

impl Options {
    pub(super) fn rule(&self, factor: Factor) -> Option<&PartyRule> {
        self.parties.iter().rfind(|rule| rule.factor == factor)
    }
}

/// Where a factor's value is found, such as `user=threadName`. Without a field the factor counts as not stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyRule {
    /// The factor.
    pub factor: Factor,
    /// The column, attribute or variable.
    pub field: String,
}

/// A value that a field must have, such as `label=Send a message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The column, attribute or variable.
    pub field: String,
    /// The value.
    pub value: String,
}

/// A field's name as people write it: with or without the sign of a variable.
pub(super) fn bare(field: &str) -> &str {
    let field = field.trim();
    let field = field.strip_prefix('$').unwrap_or(field);
    let field = field.strip_prefix('{').and_then(|f| f.strip_suffix('}')).unwrap_or(field);
    field.strip_prefix('%').and_then(|f| f.strip_suffix('%')).unwrap_or(field)
}

impl FromStr for PartyRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factors = Factor::ALL.map(Factor::as_str).join(", ");
        let (factor, field) =
            text.split_once('=').ok_or_else(|| format!("FACTOR=FIELD, with one of {factors}"))?;
        let factor =
            factor.trim().parse().map_err(|()| format!("the factor is one of {factors}"))?;
        Ok(Self { factor, field: bare(field).to_owned() })
    }
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, value) = text.split_once('=').ok_or("FIELD=VALUE")?;
        let field = bare(field).to_owned();
        if field.is_empty() {
            return Err("FIELD=VALUE".to_owned());
        }
        Ok(Self { field, value: value.to_owned() })
    }
}
