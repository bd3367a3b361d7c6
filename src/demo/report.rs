//! What the demo shows: a few lines that move on a terminal, plain lines elsewhere, and a summary.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::{GateState, Rate, Status, StreamStatus};

/// Shows one status after another. Clones share the place on the terminal.
#[derive(Clone)]
pub(super) struct Report {
    rate: Rate,
    limit: Rate,
    /// Whether lines may be drawn over.
    moving: bool,
    before: Option<Seen>,
    /// Lines that the next picture replaces.
    drawn: Arc<AtomicUsize>,
}

/// The sums of one look.
#[derive(Clone, Copy)]
struct Seen {
    at: f64,
    sent: u64,
    accepted: u64,
    throttled: u64,
}

impl Seen {
    fn of(status: &Status) -> Self {
        let sum = |f: fn(&StreamStatus) -> u64| status.streams.iter().map(f).sum();
        Self {
            at: status.at,
            sent: sum(|s| s.sent),
            accepted: sum(|s| outcome(s, "accepted")),
            throttled: sum(|s| outcome(s, "throttled")),
        }
    }
}

fn outcome(stream: &StreamStatus, name: &str) -> u64 {
    stream.outcomes.get(name).copied().unwrap_or_default()
}

impl Report {
    pub(super) fn new(rate: Rate, limit: Rate, moving: bool) -> Self {
        let drawn = Arc::new(AtomicUsize::new(0));
        Self { rate, limit, moving, before: None, drawn }
    }

    /// Shows what has happened since the last look.
    pub(super) fn show(&mut self, status: &Status) -> io::Result<()> {
        let now = Seen::of(status);
        let Some(before) = self.before.replace(now) else { return Ok(()) };
        let seconds = (now.at - before.at).max(f64::EPSILON);
        let rate = |a: u64, b: u64| (b - a) as f64 / seconds;
        let sent = rate(before.sent, now.sent);
        let throttled = now.throttled - before.throttled;
        let ended = (now.accepted - before.accepted) + throttled;
        let lines = [
            format!("  sent        {sent:6.1}/s of {}", self.rate),
            format!("  accepted    {:6.1}/s", rate(before.accepted, now.accepted)),
            format!("  429 share   {:6.1} %", percent(throttled, ended)),
            format!("  gate        {}", gate(status)),
            format!("  headroom    {:6.1} %", 100.0 * (1.0 - sent / self.limit.per_second())),
        ];
        if self.moving { self.draw(&lines) } else { self.log(&lines) }
    }

    fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let up = self.drawn.swap(lines.len(), Ordering::Relaxed);
        if up > 0 {
            write!(out, "\x1b[{up}A")?;
        }
        for line in lines {
            writeln!(out, "\x1b[2K{line}")?;
        }
        out.flush()
    }

    fn log(&self, lines: &[String]) -> io::Result<()> {
        let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = lines.iter().map(words).collect::<Vec<_>>().join(" | ");
        writeln!(io::stdout().lock(), "{line}")
    }

    /// What happened, in a sentence or two.
    pub(super) fn summary(&mut self, status: &Status) -> String {
        let end = Seen::of(status);
        let epochs: u64 = status.gates.iter().map(|g| g.epochs).sum();
        let held: f64 = status.gates.iter().map(|g| g.held_seconds).sum();
        let seconds = status.uptime_seconds;
        let goodput = end.accepted as f64 / seconds.max(f64::EPSILON);
        let counted = format!(
            "In {seconds:.0} s the API accepted {} of {} requests ({goodput:.1}/s)",
            end.accepted, end.sent
        );
        let named = status.streams.iter().find_map(|s| s.named_limit.as_deref());
        let named = named.map(|n| format!(", naming {n}")).unwrap_or_default();
        if epochs == 0 && self.rate.per_second() > self.limit.per_second() {
            return format!(
                "{counted} and refused none: it ended before the daemon, at {}, could meet the limit \
                 of {}. Let it run for longer.",
                self.rate, self.limit
            );
        }
        if epochs == 0 {
            return format!(
                "{counted} and refused none: {} stays below its limit of {}.",
                self.rate, self.limit
            );
        }
        let times = if epochs == 1 {
            "once, and kept".to_owned()
        } else {
            format!("{epochs} times, and each time kept")
        };
        format!(
            "{counted} and refused {} with 429{named}: at {} the daemon met the limit of {} {times} \
             the silence that the API asked for, {held:.0} s in all.\n\
             Try `plimsoll demo --rate {}` to see what staying below it is worth.",
            end.throttled,
            self.rate,
            self.limit,
            just_below(self.limit),
        )
    }
}

/// Nineteen twentieths of a rate, as a person would type it.
fn just_below(limit: Rate) -> String {
    let below = Rate::from_per_second(limit.per_second() * 0.95);
    below.unwrap_or(limit).to_string()
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// The most closed of the gates.
fn gate(status: &Status) -> String {
    let closed = status.gates.iter().filter(|g| g.state == GateState::Closed);
    let longest = closed.filter_map(|g| g.until).fold(0.0_f64, f64::max);
    if longest > 0.0 {
        return format!("closed for {:.1} s more", (longest - status.at).max(0.0));
    }
    let half_open = status.gates.iter().any(|g| g.state == GateState::HalfOpen);
    if half_open { "half open: one request asks".to_owned() } else { "open".to_owned() }
}
