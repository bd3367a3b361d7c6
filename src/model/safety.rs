//! The words of the safety envelope: caps, pauses, circuit breakers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::outcome::labels;
use super::{CapStatus, Moment};

labels!(
    /// What a cap on messages spans.
    CapWindow {
        /// Any sixty minutes.
        Hour = "hour",
        /// Any twenty-four hours.
        Day = "day",
        /// All messages ever, across restarts.
        All = "all",
    }
);

impl CapWindow {
    /// The length of [`Self::Hour`].
    pub const HOUR: Duration = Duration::from_secs(60 * 60);
    /// The length of [`Self::Day`].
    pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Traffic flows.
    Closed,
    /// Nothing is sent to the limit domain.
    Open,
    /// One request asks whether the API is back.
    HalfOpen,
}

/// Whom a cap or a pause concerns: one stream by its name, or `None`: all together.
pub type Subject = Option<Arc<str>>;

/// The name under which [`Subject`] is shown. `*` is no name of a stream.
#[must_use]
pub fn subject_name(subject: &Subject) -> &str {
    subject.as_deref().unwrap_or("*")
}

/// How one subject stands with the safety envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectSafety {
    /// Who.
    pub subject: Subject,
    /// It is paused by itself.
    pub paused: bool,
    /// Its active hours are on, or it has none.
    pub active: bool,
    /// Its caps.
    pub caps: Vec<CapStatus>,
}

/// A change of the safety envelope.
#[derive(Clone, Debug, PartialEq)]
pub enum SafetyChange {
    /// Nothing more is sent until somebody resumes it.
    Paused {
        /// Who.
        subject: Subject,
        /// Why.
        by: PausedBy,
    },
    /// Sent again, unless something else holds it back.
    Resumed {
        /// Who.
        subject: Subject,
        /// Why.
        by: PausedBy,
    },
    /// A cap was reached.
    CapReached {
        /// Whose.
        subject: Subject,
        /// Which.
        window: CapWindow,
        /// Messages that it allows.
        cap: u64,
        /// When it leaves room for another; `None`: not by itself.
        room_at: Option<Moment>,
    },
    /// A cap that was reached leaves room again.
    CapFreed {
        /// Whose.
        subject: Subject,
        /// Which.
        window: CapWindow,
    },
    /// The active hours of a stream began, or were over.
    Hours {
        /// Its name.
        stream: Arc<str>,
        /// They began.
        active: bool,
    },
}

labels!(
    /// Who paused, or resumed.
    PausedBy {
        /// Configuration: at the start, or by a reload that changed `paused`.
        Configuration = "configuration",
        /// An operator, by HTTP or by signal.
        Operator = "operator",
        /// An operator, in an earlier run; or nobody knows what earlier runs sent under a cap.
        Memory = "memory",
    }
);

/// A change of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerChange {
    /// Too many failures in a row, or the trial failed.
    Opened {
        /// Nothing is sent before this.
        until: Moment,
        /// Failures in a row.
        failures: u32,
    },
    /// The trial went out.
    HalfOpen,
    /// The trial was answered.
    Closed {
        /// How long traffic was held back.
        held: Duration,
    },
}

/// What one run tells the next about the safety envelope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SafetyMemory {
    /// What was counted, by subject.
    pub counts: Vec<(Subject, CountMemory)>,
    /// What an operator had paused.
    pub paused: Vec<Subject>,
}

/// What was counted for one subject. Ages are spans before the memory was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountMemory {
    /// Messages of the last hour: how long ago the latest of so many was sent.
    pub hour: Vec<(Duration, u64)>,
    /// The same of the last day.
    pub day: Vec<(Duration, u64)>,
    /// All messages ever.
    pub in_all: u64,
    /// Messages that may have been sent after the memory was made: they count as sent.
    pub reserved: u64,
}

impl SafetyMemory {
    /// What is left of it after some time without a daemon.
    #[must_use]
    pub fn later(&self, elapsed: Duration) -> Self {
        let counts = self.counts.iter().map(|(s, count)| (s.clone(), count.later(elapsed)));
        Self { counts: counts.collect(), paused: self.paused.clone() }
    }
}

impl CountMemory {
    /// What is left of it after some time. What was reserved may have been sent at its end.
    #[must_use]
    pub fn later(&self, elapsed: Duration) -> Self {
        let left = |steps: &[(Duration, u64)], window: Duration| {
            let later = steps.iter().map(|(age, count)| (age.saturating_add(elapsed), *count));
            later.filter(|(age, _)| *age < window).collect()
        };
        Self {
            hour: left(&self.hour, CapWindow::HOUR),
            day: left(&self.day, CapWindow::DAY),
            ..*self
        }
    }
}
