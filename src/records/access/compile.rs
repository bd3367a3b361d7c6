//! A format of access logs, taken apart: what stands between the variables, and what each variable is good for.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use http::HeaderName;

use super::time::Form;
use super::{apache, envoy, json, nginx};

/// Whether a log writes when a request came, or when it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Begin,
    End,
}

/// The unit of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Whole seconds.
    Seconds,
    /// Seconds with milliseconds after the point.
    Fractions,
    Milliseconds,
    Microseconds,
}

impl Unit {
    pub(super) const fn seconds(self) -> f64 {
        match self {
            Self::Seconds | Self::Fractions => 1.0,
            Self::Milliseconds => 1e-3,
            Self::Microseconds => 1e-6,
        }
    }

    pub(super) const fn exact(self) -> f64 {
        match self {
            Self::Seconds => 1.0,
            Self::Fractions | Self::Milliseconds => 1e-3,
            Self::Microseconds => 1e-6,
        }
    }
}

/// What a variable is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Clock(Edge, Form),
    Took(Unit),
    Status,
    /// `PASSED`, `REJECTED`: nginx's own word.
    LimitStatus,
    Request,
    /// A header of the response.
    Header(HeaderName),
    Address,
    Other,
}

/// A variable of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) role: Role,
}

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Variable(Variable),
}

/// The format of an access log: nginx's (`$msec $status`), Apache's (`%t %>s`) or Envoy's (`%START_TIME%
/// %RESPONSE_CODE%`), or the name of a usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    pub(super) variables: Vec<Variable>,
    /// What stands before each variable, and after the last.
    pub(super) texts: Vec<String>,
    /// Of a format that is JSON: where each variable stands.
    pub(super) pointers: Option<Vec<Option<String>>>,
}

/// Names of formats, and what they stand for.
const USUAL: [(&str, &str); 3] = [
    (
        "combined",
        r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#,
    ),
    ("common", r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent"#),
    (
        "envoy",
        r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    ),
];

static USUAL_FORMATS: LazyLock<Vec<LogFormat>> =
    LazyLock::new(|| USUAL.iter().filter_map(|(_, text)| text.parse().ok()).collect());

/// Formats that are tried where none is stated.
pub(in crate::records) fn usual() -> &'static [LogFormat] {
    &USUAL_FORMATS
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_matches(['\n', '\r']);
        let text = USUAL.iter().find(|(name, _)| *name == text).map_or(text, |(_, format)| format);
        if text.contains('$') {
            return Self::of(nginx::pieces(text)?);
        }
        if envoy::is_envoy(text) {
            return Self::of(envoy::pieces(text)?);
        }
        if text.contains('%') {
            return Self::of(apache::pieces(text)?);
        }
        let names = USUAL.map(|(name, _)| name).join(", ");
        Err(format!(
            "no variable in it, and not one of {names}: nginx's $status, Apache's %>s or Envoy's %RESPONSE_CODE%"
        ))
    }
}

impl LogFormat {
    fn of(pieces: Vec<Piece>) -> Result<Self, String> {
        let (mut variables, mut texts): (Vec<Variable>, _) = (Vec::new(), vec![String::new()]);
        for piece in pieces {
            match piece {
                Piece::Text(text) => texts.last_mut().into_iter().for_each(|t| t.push_str(&text)),
                Piece::Variable(variable) => {
                    if texts.last().is_some_and(String::is_empty)
                        && let Some(before) = variables.last()
                    {
                        let (a, b) = (&before.name, &variable.name);
                        return Err(format!("nothing stands between {a} and {b}"));
                    }
                    variables.push(variable);
                    texts.push(String::new());
                }
            }
        }
        let format = Self { pointers: json::pointers(&texts), variables, texts };
        if !format.has(|role| matches!(role, Role::Clock(..))) {
            return Err(
                "has no time: $msec, $time_iso8601, $time_local, %t or %START_TIME%".to_owned()
            );
        }
        if !format.has(|role| matches!(role, Role::Status | Role::LimitStatus)) {
            return Err("has no status: $status, %>s or %RESPONSE_CODE%".to_owned());
        }
        Ok(format.with_the_best_clock())
    }

    fn has(&self, wanted: impl Fn(&Role) -> bool) -> bool {
        self.variables.iter().any(|variable| wanted(&variable.role))
    }

    /// Of several times the most exact one counts.
    fn with_the_best_clock(mut self) -> Self {
        let exactness = |role: &Role| match role {
            Role::Clock(_, form) => Some(form.rank()),
            _ => None,
        };
        let best = self.variables.iter().filter_map(|v| exactness(&v.role)).max();
        let mut chosen = false;
        for variable in &mut self.variables {
            if let Some(rank) = exactness(&variable.role) {
                if chosen || Some(rank) != best {
                    variable.role = Role::Other;
                } else {
                    chosen = true;
                }
            }
        }
        self
    }

    pub(super) fn tells_duration(&self) -> bool {
        self.has(|role| matches!(role, Role::Took(_) | Role::Clock(Edge::Begin, _)))
    }

    /// The name of the variable that holds the client's address.
    pub(super) fn address(&self) -> Option<&str> {
        let variable = self.variables.iter().find(|v| v.role == Role::Address)?;
        Some(&variable.name)
    }

    /// The variable of a name, as nginx, Envoy or a person would write it.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|variable| variable.name.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (text, variable) in self.texts.iter().zip(&self.variables) {
            write!(f, "{text}<{}>", variable.name)?;
        }
        f.write_str(self.texts.last().map_or("", String::as_str))
    }
}
