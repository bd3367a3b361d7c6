//! What one scope has been through: how many were admitted by when, and where refusals began.

use super::curve::{Curve, Point};
use super::track::Track;

/// Points that a curve keeps. A climb takes a few a second, even sending none.
const POINTS_MAX: usize = 4_096;
/// Refusals that began an epoch which are remembered.
const TRIPS_MAX: usize = 6;
/// Hints that are remembered.
const NOTES_MAX: usize = 256;
/// How far back a window may reach that holds what another limit has admitted, in seconds: a minute, and the one before
/// it. With what is longer, too much agrees.
const HELD_S: f64 = 120.0;
/// For how long, and how far apart in relation to their age.
const NOTES_AGE_S: f64 = 120.0;
const NOTES_PART: f64 = 0.02;

/// The first refusal after traffic had flowed. Those that follow it within the same pause were sent
/// before the news had come, or ask whether it is over: they tell less, and a lockout more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trip {
    /// When the refused request was sent, in seconds.
    pub(super) t: f64,
    /// The rate at which requests went out then, per second.
    pub(super) rate: f64,
    /// Seconds since the last admitted request before it was sent.
    pub(super) gap: f64,
    /// Nothing that was sent at about that time was admitted out of turn: everybody who was admitted before is
    /// counted, whatever order they arrived in.
    pub(super) settled: bool,
    /// Requests had been admitted just before: as much was used as the limit leaves, and no more.
    pub(super) met: bool,
    /// How much later than others it may have arrived, in seconds.
    pub(super) late: f64,
}

/// What an answer said of a quota, and when the request that it answers was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Note {
    pub(super) t: f64,
    /// Requests in a full quota.
    pub(super) limit: f64,
    /// How many of them are used, this one included.
    pub(super) used: f64,
    /// Seconds to the reset that it states.
    pub(super) reset: Option<f64>,
}

/// A part of a record, for reading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Excerpt {
    pub(super) sends: Track,
    pub(super) ends: Track,
    /// What windows may still have held when this began: everybody, those included who were admitted before.
    pub(super) held: Option<Track>,
    /// Everybody, those included who were refused, if they count against the limit as well.
    pub(super) counted: Option<Track>,
    pub(super) trips: Vec<Trip>,
    pub(super) notes: Vec<Note>,
    /// Where pauses tell of the limit: when requests were last refused, and first admitted again, in seconds.
    pub(super) pauses: Vec<(f64, f64)>,
    /// Everybody who was admitted is counted, whatever order they arrived in: see [`Trip::settled`].
    pub(super) settled: bool,
    /// The same, if everybody whose answer took unusually long had arrived that much later; `None`: nobody's did.
    pub(super) late: Option<Box<Excerpt>>,
}

impl Excerpt {
    /// Everybody whom a window of this record may hold.
    pub(super) fn held(&self) -> &Track {
        self.held.as_ref().unwrap_or_else(|| self.counted())
    }

    /// Everybody of it who counts against the limit.
    pub(super) fn counted(&self) -> &Track {
        self.counted.as_ref().unwrap_or(&self.sends)
    }

    /// Just before `t`, where who came then counts by itself.
    pub(super) fn just_before(&self, t: f64) -> f64 {
        const NUDGE: f64 = 1e-7;
        if self.counted.is_some() { t - NUDGE } else { t }
    }

    /// Who was admitted in it: at its very beginning, windows may hold more than they admit.
    pub(super) fn admitted(&self) -> &[Point] {
        let points = self.sends.points();
        if self.held.is_some() { points.get(1..).unwrap_or_default() } else { points }
    }

    /// The part from one time to another: its trips, and who was admitted then, or up to `before` seconds earlier.
    pub(super) fn between(&self, from: f64, to: f64, before: f64) -> Self {
        let trips = self.trips.iter().filter(|trip| from < trip.t && trip.t <= to);
        Self {
            sends: self.sends.between(from - before, to),
            ends: self.ends.between(from - before, to),
            held: None,
            counted: self.counted.as_ref().map(|counted| counted.between(from - before, to)),
            trips: trips.copied().collect(),
            notes: Vec::new(),
            pauses: Vec::new(),
            settled: self.settled,
            late: self.late.as_ref().map(|late| Box::new(late.between(from, to, before))),
        }
    }
}

/// The record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Admitted requests, by when they were sent.
    pub(super) sends: Curve,
    /// Admitted requests, by when their answers came.
    pub(super) ends: Curve,
    pub(super) trips: Vec<Trip>,
    pub(super) notes: Vec<Note>,
    /// Who was admitted before was so by another limit, in seconds. A window may hold them still.
    since: f64,
    /// No request has been admitted since the latest refusal.
    refusing: bool,
    /// When the latest requests were admitted: what the rate at a trip is read from.
    recent: [f64; 8],
}

impl Record {
    pub(super) fn new(t: f64) -> Self {
        Self {
            sends: Curve::new(t, POINTS_MAX),
            ends: Curve::new(t, POINTS_MAX),
            trips: Vec::new(),
            notes: Vec::new(),
            since: f64::NEG_INFINITY,
            refusing: false,
            recent: [f64::NEG_INFINITY; 8],
        }
    }

    pub(super) fn admitted(&mut self, t: f64) {
        self.sends.count(t);
        self.recent.rotate_left(1);
        self.recent[7] = t;
    }

    pub(super) fn ended(&mut self, t: f64) {
        self.ends.count(t);
    }

    /// A refusal, in order of sending. True when it is a trip.
    pub(super) fn refused(&mut self, t: f64) -> bool {
        if self.refusing {
            return false;
        }
        self.refusing = true;
        let known = self.recent.iter().filter(|at| at.is_finite()).count() as f64;
        let since = self.recent.iter().copied().find(|at| at.is_finite());
        let Some(since) = since else { return false };
        let rate = known / (t - since).max(1e-6);
        if self.trips.len() == TRIPS_MAX {
            self.trips.remove(0);
        }
        self.sends.pin();
        let gap = t - self.sends.last().t;
        self.trips.push(Trip { t, rate, gap, settled: false, met: true, late: 0.0 });
        true
    }

    /// The pause that a refusal brought is not over.
    pub(super) const fn is_refusing(&self) -> bool {
        self.refusing
    }

    /// The pause that a refusal brought is over and traffic flows again. True when there was one.
    pub(super) const fn resumed(&mut self) -> bool {
        self.recent = [f64::NEG_INFINITY; 8];
        std::mem::replace(&mut self.refusing, false)
    }

    pub(super) fn noted(&mut self, note: Note) {
        if self.notes.len() == NOTES_MAX {
            self.thin_notes();
        }
        self.notes.push(note);
    }

    /// The past thins out, the present stays: those of an age are as far apart as a part of it. However fast they come,
    /// some tell of times when much was used, or little.
    fn thin_notes(&mut self) {
        let now = self.notes.last().map_or(0.0, |note| note.t);
        self.notes.retain(|note| now - note.t < NOTES_AGE_S);
        let mut part = NOTES_PART;
        while self.notes.len() > NOTES_MAX * 3 / 4 {
            let mut latest = f64::NEG_INFINITY;
            self.notes.retain(|note| {
                let kept = note.t - latest >= (now - note.t) * part;
                if kept {
                    latest = note.t;
                }
                kept
            });
            part *= 1.2;
        }
    }

    /// The record since `t`, as it is now, for reading.
    pub(super) fn excerpt(&self, t: f64) -> Excerpt {
        let since = t.max(self.since);
        Excerpt {
            sends: Track::since(&self.sends, since),
            ends: Track::since(&self.ends, since),
            held: Some(Track::since(&self.sends, since - HELD_S)),
            counted: None,
            trips: self.trips.iter().filter(|trip| trip.t > t).copied().collect(),
            notes: self.notes.iter().filter(|note| note.t > t).copied().collect(),
            pauses: Vec::new(),
            settled: false,
            late: None,
        }
    }

    /// What came before `t` was of another limit.
    pub(super) fn forget_before(&mut self, t: f64) {
        self.since = t;
        self.sends.forget_before(t - HELD_S);
        self.ends.forget_before(t - HELD_S);
        self.trips.retain(|trip| trip.t > t);
        self.notes.retain(|note| note.t > t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_fast_traffic_reach_far_back_and_are_dense_at_the_end() {
        let mut record = Record::new(0.0);
        for i in 0..40_000 {
            record.noted(Note { t: f64::from(i) / 2_000.0, limit: 10.0, used: 1.0, reset: None });
            assert!(record.notes.len() <= NOTES_MAX);
        }
        let ages: Vec<f64> = record.notes.iter().map(|note| 20.0 - note.t).collect();
        assert!(ages[0] > 10.0, "the oldest is {} s old", ages[0]);
        assert!(ages.iter().filter(|age| **age < 1.0).count() > 64, "{ages:?}");
        assert!(ages.windows(2).all(|pair| pair[0] > pair[1]), "they stay in order");
    }
}
