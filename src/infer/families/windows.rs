//! Limiters that count over windows.

use super::super::curve::{CLOSE_TOLERANCE_S, Point, TOLERANCE_S};
use super::super::record::{Excerpt, Trip};
use super::super::track::{Reader, Track};
use super::{Bounds, Latency, OnTheWay, Steady, blur, both, edge_blur, passed_edge, rate_at};

/// At most so many in any half-open interval of `window` seconds.
pub(in crate::infer) fn sliding(record: &Excerpt, latency: &Latency, window: f64) -> Bounds {
    let mut bounds = Bounds::new(record);
    let (mut behind, mut ahead) = (record.held().reader(), record.sends.reader());
    let (mut here, mut counted) =
        (record.counted().reader(), record.counted.as_ref().map(Track::reader));
    let (mut late, mut late_ahead) = (OnTheWay::of(record), OnTheWay::of(record));
    let mut previous = record.sends.start();
    for p in record.admitted() {
        // Only the end of a stretch is sure to have found so much used.
        let admissions = if p.t - previous > window { 4.0 } else { 1.0 };
        // Who is still on the way is not sure to have been counted.
        let n = counted.as_mut().map_or(p.n, |counted| counted.at(p.t));
        let before = n - behind.at(p.t - window) - late.at(p.t);
        let after = ahead.at(p.t + window) - p.n - late_ahead.at(p.t + window);
        if record.settled {
            let blur = edge_blur(rate_at(&mut behind, p.t - window, latency), latency);
            bounds.used_about(before, blur, admissions);
            let blur = edge_blur(rate_at(&mut here, p.t, latency), latency);
            bounds.used_about(after, blur, 1.0);
        } else {
            bounds.used(before, admissions);
            bounds.used(after, 1.0);
        }
        previous = p.t;
    }
    bounds.steady = Steady::of(record, latency, window);
    for trip in &record.trips {
        // On a slow climb the oldest request has just not left the window, closer than the curve tells.
        let before = here.at(record.just_before(trip.t)) - behind.at(trip.t - window - TOLERANCE_S);
        let edge = trip.t - window;
        let blur = blur(trip, record.settled, latency, || rate_at(&mut behind, edge, latency));
        bounds.refused_about(before, blur, late.at(edge));
    }
    bounds
}

/// Where the window that holds `t` begins, just before its first moment: a request on a boundary belongs to the
/// window that it begins.
pub(in crate::infer) fn window_begin(t: f64, window: f64, phase: f64) -> f64 {
    let windows = (t - phase) / window;
    // As `floor` has it, without a call.
    let whole = windows as i64 as f64;
    phase + (whole - if whole > windows { 1.0 } else { 0.0 }) * window - NUDGE
}

/// At most so many in each window; one of them begins at `phase` seconds, or up to `open` before or after.
pub(in crate::infer) fn fixed(
    record: &Excerpt,
    latency: &Latency,
    window: f64,
    (phase, open): (f64, f64),
) -> Bounds {
    let mut bounds = Bounds::new(record);
    let begin = |t: f64| window_begin(t, window, phase);
    let start = record.sends.start();
    let (mut from_reader, mut to_reader) = (record.held().reader(), record.sends.reader());
    let mut seen = f64::NEG_INFINITY;
    let mut late = OnTheWay::of(record);
    let mut inside = |from: f64| {
        if from > seen {
            seen = from;
            let used = to_reader.at(from + window) - from_reader.at(from) - late.at(from + window);
            if record.settled {
                let edges = both(
                    rate_at(&mut from_reader, from, latency),
                    rate_at(&mut to_reader, from + window, latency),
                );
                bounds.used_about(used, edge_blur(edges, latency), 1.0);
            } else {
                bounds.used(used, 1.0);
            }
        }
    };
    let mut previous = start;
    for p in record.admitted() {
        // Of a window that is over when traffic flows again, others admitted the most.
        if previous > start || record.held.is_none() {
            inside(begin((previous + p.t) / 2.0));
        }
        inside(begin(p.t));
        previous = p.t;
    }
    for trip in &record.trips {
        let from = begin(trip.t);
        let used = to_reader.at(trip.t) - from_reader.at(from);
        let blur = blur(trip, record.settled, latency, || rate_at(&mut from_reader, from, latency));
        // Who was refused just after a window began may have been so by the end of the one before.
        let before = match record.settled && trip.t - from < open {
            true => (to_reader.at(trip.t) - from_reader.at(from - window) - used).max(0.0),
            false => 0.0,
        };
        bounds.refused_about(used, blur, before + late.at(from));
    }
    bounds
}

/// Requests that a member of [`on_demand`] has seen in its latest window.
pub(in crate::infer) struct OnDemand {
    window: f64,
    begin: f64,
    /// What had been counted before the first request of the window.
    before: f64,
    /// Windows since the last whose beginning is sure: one after a silence of a window's length.
    chained: u32,
    sure: bool,
}

impl OnDemand {
    /// No window has begun; `sure`: nothing was sent before.
    pub(in crate::infer) const fn new(window: f64, sure: bool) -> Self {
        Self { window, begin: f64::NEG_INFINITY, before: 0.0, chained: 0, sure }
    }

    /// Requests have come evenly from one point to the next. Tells `used` what windows were found to hold
    /// so far, and how many of them.
    pub(in crate::infer) fn advance(
        &mut self,
        from: Point,
        to: Point,
        mut used: impl FnMut(f64, f64),
    ) {
        let dn = to.n - from.n;
        if dn < 1.0 {
            return;
        }
        // A single one came at the end of its piece, as in `Point::on_the_way`.
        let gap = if dn > 1.0 { (to.t - from.t) / dn } else { to.t - from.t };
        let mut next = 1.0_f64;
        while to.t >= self.begin + self.window {
            let at = |i: f64| if i >= dn { to.t } else { from.t + gap * i };
            let end = self.begin + self.window;
            // The first of the piece that the window no longer holds.
            let late = ((end - from.t) / gap.max(1e-9) - NUDGE).ceil().clamp(next, dn);
            if self.begin.is_finite() {
                used(from.n + late - 1.0 - self.before, 1.0);
            }
            let silent = late <= 1.0 && at(late) - from.t >= self.window;
            self.chained = if silent { 0 } else { self.chained.saturating_add(1) };
            self.sure |= silent;
            // Windows as long as the piece is even.
            let each = (self.window / gap.max(1e-9) - NUDGE).ceil().max(1.0);
            let whole = ((dn - late) / each).floor();
            if whole >= 1.0 {
                used(each, whole);
                self.chained = self.chained.saturating_add(whole.min(1e6) as u32);
            }
            next = late + whole * each;
            self.begin = at(next);
            self.before = from.n + next - 1.0;
            next += 1.0;
            if next > dn {
                break;
            }
        }
        used(to.n - self.before, 1.0);
    }

    /// How many of the `n` that have been counted by `t` the window of that time holds, and when it ends.
    pub(in crate::infer) fn used(&self, t: f64, n: f64) -> (f64, f64) {
        let end = self.begin + self.window;
        if t < end { (n - self.before, end) } else { (0.0, t) }
    }

    /// By how many requests the beginning may be off: jitter decides which of two begins a window, and all that
    /// follow it begin accordingly.
    fn slip(&self, rate: f64, latency: &Latency) -> f64 {
        if self.chained > 1 { (rate * latency.jitter_max).sqrt().min(0.5) } else { 0.0 }
    }
}

const NUDGE: f64 = 1e-7;
/// More windows that follow each other leave no less open.
const CHAINED_MAX: u32 = 64;

/// At most so many in each window; the next begins with the first request after it has ended. The window stands for
/// others that are longer or shorter by up to `wide`, as a logarithm: the more of them follow each other without a
/// silence, the further off is where one begins.
pub(in crate::infer) fn on_demand(
    record: &Excerpt,
    latency: &Latency,
    window: f64,
    wide: f64,
) -> Bounds {
    let mut bounds = Bounds::new(record);
    let points = record.sends.points();
    let Some(start) = points.first() else { return bounds };
    let mut windows = OnDemand::new(window, start.n < 1.0);
    let mut trips = record.trips.iter().peekable();
    let mut behind = record.sends.reader();
    let mut late = OnTheWay::of(record);
    let mut refuse = |windows: &OnDemand, trip: &Trip, n: f64, bounds: &mut Bounds| {
        let (used, _) = windows.used(trip.t, n);
        if windows.sure {
            let blur = blur(trip, record.settled, latency, || 0.0);
            let off = trip.rate.min(used / window) * window * wide / 4.0;
            let chained = f64::from(windows.chained.min(CHAINED_MAX));
            let blur = blur.hypot(windows.slip(trip.rate, latency)) + off * chained;
            bounds.refused_about(used, blur, late.at(windows.begin));
        } else {
            // Where the window begins is anybody's guess until there has been a silence: any of its requests might
            // have been the one too many.
            bounds.luck -= (used + 1.0).ln();
            let edge = trip.t - window;
            let used = n - behind.at(edge);
            let blur = blur(trip, record.settled, latency, || rate_at(&mut behind, edge, latency));
            bounds.refused_about(used, blur, late.at(edge));
        }
    };
    let mut also = OnTheWay::of(record);
    let mut previous = *start;
    for p in points {
        while let Some(trip) = trips.next_if(|trip| trip.t < p.t) {
            refuse(&windows, trip, previous.n, &mut bounds);
        }
        let missing = also.at(previous.t).max(also.at(p.t));
        windows.advance(previous, *p, |used, times| bounds.used(used - missing, times.min(8.0)));
        previous = *p;
    }
    for trip in trips {
        refuse(&windows, trip, previous.n, &mut bounds);
    }
    bounds
}

/// What a sliding counter has counted: this window's, and of the one before the share that an interval of one window
/// still covers.
pub(in crate::infer) struct Counted<'a> {
    window: f64,
    phase: f64,
    now: Reader<'a>,
    begin: Reader<'a>,
    before: Reader<'a>,
}

impl<'a> Counted<'a> {
    /// One of its windows begins at `phase` seconds.
    pub(in crate::infer) fn of(admitted: &'a Track, window: f64, phase: f64) -> Self {
        let [now, begin, before] = [admitted.reader(), admitted.reader(), admitted.reader()];
        Self { window, phase, now, begin, before }
    }

    /// By `t`.
    pub(in crate::infer) fn at(&mut self, t: f64) -> f64 {
        self.falling(t).0
    }

    /// The same, and by how many requests a second it falls where nobody comes.
    fn falling(&mut self, t: f64) -> (f64, f64) {
        let begin = window_begin(t, self.window, self.phase);
        let at_begin = self.begin.at(begin);
        let previous = at_begin - self.before.at(begin - self.window);
        let covered = (1.0 - (t - begin) / self.window).clamp(0.0, 1.0);
        (self.now.at(t) - at_begin + previous * covered, previous / self.window)
    }
}

/// A count of parts of requests is met much closer than one of whole requests: who asks again and again is refused by next
/// to nothing, many times.
const FRACTION: f64 = 0.06;

/// At most so many by what is [`Counted`]; one of its windows begins at `phase` seconds.
pub(in crate::infer) fn counter(
    record: &Excerpt,
    latency: &Latency,
    window: f64,
    phase: f64,
) -> Bounds {
    let mut bounds = Bounds::new(record);
    let mut counted = Counted::of(record.held(), window, phase);
    let (mut begun, mut previously) = (record.counted().reader(), record.counted().reader());
    // Where nobody comes as its windows begin, so much is used to within a part of a request.
    let mut about = |t: f64, here: f64, falls: f64| {
        let begin = window_begin(t, window, phase);
        let edge = rate_at(&mut begun, begin, latency);
        let edges = both(edge, rate_at(&mut previously, begin - window, latency));
        let own = both(FRACTION + here * CLOSE_TOLERANCE_S, falls * latency.jitter);
        both(own, passed_edge(edges, latency))
    };
    let mut late = OnTheWay::of(record);
    let mut found = |t: f64, at: f64, here: f64| {
        let (used, falls) = counted.falling(t);
        let used = used - late.at(at);
        if record.settled {
            bounds.used_about(used, about(t, here, falls), 1.0);
        } else {
            bounds.used(used, 1.0);
        }
    };
    let Some(mut previous) = record.sends.points().first().copied() else { return bounds };
    let began = previous.t;
    for p in record.admitted() {
        let gap = (p.t - previous.t) / (p.n - previous.n).max(1.0);
        // The count is straight between its own edges and the curve's: it is highest at one of them, or with the
        // first request after its own. Between two who were not sent one after the other, others may have been refused.
        let alone = record.counted.is_some() && p.n - previous.n <= 1.0;
        let middle = window_begin((previous.t + p.t) / 2.0, window, phase);
        for edge in [middle, window_begin(p.t, window, phase)] {
            let first = previous.t + ((edge - previous.t) / gap.max(1e-9)).ceil() * gap + NUDGE;
            let inside = edge > previous.t && first <= p.t && !alone;
            if inside && (previous.t > began || record.held.is_none()) {
                found(edge - NUDGE, edge, 1.0 / gap.max(1e-9));
                found(first, first, 1.0 / gap.max(1e-9));
            }
        }
        found(p.t, p.t, 1.0 / gap.max(1e-9));
        previous = *p;
    }
    // Whatever its phase, it admits no more for ever than a log: who sends as much was never a moment late.
    bounds.steady = Steady::of(record, latency, window);
    let mut edge = record.sends.reader();
    for trip in &record.trips {
        let begin = window_begin(trip.t, window, phase);
        let (used, falls) = counted.falling(record.just_before(trip.t));
        let blur = if record.settled {
            let here = if trip.settled { 0.0 } else { trip.rate };
            both(about(trip.t, trip.rate, falls), passed_edge(here, latency))
        } else {
            blur(trip, false, latency, || rate_at(&mut edge, begin, latency))
        };
        bounds.refused_about(used, blur, late.at(begin));
    }
    bounds
}
