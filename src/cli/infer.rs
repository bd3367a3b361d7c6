//! `plimsoll infer`: its flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::records::{LogFormat, Only, Options, PartyRule, RecordFormat};

/// `plimsoll infer`.
#[derive(Args, Clone, Debug)]
pub struct InferArgs {
    /// Records to read, together as one: attempt logs, JMeter result files, access logs; gzip'd ones
    /// too; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What the files are
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub input_format: InputFormat,
    /// Format of access logs: combined, common, envoy, or as nginx ('$msec $request_time $status'),
    /// Apache ('%{usec}t %D %>s') or Envoy ('%START_TIME% %DURATION% %RESPONSE_CODE%') have it
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Where a record says who sent it: token, client, user, tenant, address or route, and the column,
    /// attribute or variable that holds it, such as user=threadGroup, token=http_authorization,
    /// route=label; may be repeated. What may be secret is shown as token-1, token-2, ...
    #[arg(long = "party", value_name = "FACTOR=FIELD")]
    pub parties: Vec<PartyRule>,
    /// Read only what has this value in a field, such as label=Send or domain=api.example.com; may be
    /// repeated: of one field any of the values, of several fields each
    #[arg(long, value_name = "FIELD=VALUE")]
    pub only: Vec<Only>,
    /// Statuses that mean refused [default: 429, and 503 or 403 whose headers say so where a record
    /// has them]
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(100..600))]
    pub refused_status: Vec<u16>,
    /// What the vendor's declared-limits API answered, as JSON: shown beside what is measured
    #[arg(long, value_name = "FILE")]
    pub declared: Option<PathBuf>,
    /// How to print the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: InferFormat,
}

/// Formats of `--input-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Each file tells by its beginning.
    #[default]
    Auto,
    /// Plimsoll's attempt log.
    Attempts,
    /// JMeter's result file in CSV.
    JtlCsv,
    /// JMeter's result file in XML.
    JtlXml,
    /// An access log.
    AccessLog,
}

/// Formats of `--format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum InferFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For people, as a page with pictures.
    Html,
}

impl InferArgs {
    /// How the files are to be read.
    #[must_use]
    pub fn options(&self) -> Options {
        let refused = self.refused_status.iter().copied().collect();
        Options {
            format: match self.input_format {
                InputFormat::Auto => None,
                InputFormat::Attempts => Some(RecordFormat::Attempts),
                InputFormat::JtlCsv => Some(RecordFormat::JtlCsv),
                InputFormat::JtlXml => Some(RecordFormat::JtlXml),
                InputFormat::AccessLog => Some(RecordFormat::AccessLog),
            },
            log_format: self.log_format.clone(),
            parties: self.parties.clone(),
            only: self.only.clone(),
            refused: Some(refused).filter(|_| !self.refused_status.is_empty()),
        }
    }
}
