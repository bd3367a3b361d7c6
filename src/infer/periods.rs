//! Windows that begin at fixed times: which lengths agree with all the places where one of them must have begun.

/// How many lengths there may be, the longest of them, and how closely they are told apart: by a part of what the caller
/// says matters.
const PERIODS_MAX: usize = 256;
const PART: f64 = 0.25;
/// Into how many a range of lengths is divided at first, how often each is halved before places are asked for again,
/// and how many of them are halved at once, the longest.
const FIRST: u32 = 256;
const HALVED: u32 = 3;
const RANGES_MAX: usize = 60_000;
/// So wide a range agrees because nothing contradicts it.
const WIDEST: f64 = 0.05;

/// Lengths next to each other that agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    /// Logarithm of the middle one, in seconds, and of how far they differ.
    pub(super) ln: f64,
    pub(super) wide: f64,
    /// When one of its windows begins, near the anchor, and how far that is open, in seconds.
    pub(super) begins: f64,
    pub(super) open: f64,
}

/// When a window may have begun, one of these intervals or the other, about that time; in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) at: f64,
    pub(super) within: Vec<(f64, f64)>,
}

impl Place {
    /// How much it leaves open.
    pub(super) fn open(&self) -> f64 {
        self.within.iter().map(|(from, to)| to - from).sum()
    }
}

/// What is asked for: lengths between these, in seconds, of windows that begin at times known near `anchor`, from a
/// record that goes back from there for `span` and where nothing closer than `fine` matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) lengths: (f64, f64),
    pub(super) anchor: f64,
    pub(super) span: f64,
    pub(super) fine: f64,
}

impl Wanted {
    /// The lengths of windows of which one begins at each of the places; those are asked for of windows of a length
    /// that stands for others about as long. A place that leaves more than half a window open tells nothing of it.
    /// Ranges of lengths are halved, and those left out of which none agrees: no grid would be close enough to come
    /// upon the right ones.
    pub(super) fn periods(&self, places: impl Fn(f64, f64) -> Vec<Place>) -> Vec<Period> {
        let (least, most) = self.lengths;
        if least >= most || self.span <= 0.0 {
            return Vec::new();
        }
        let closest = PART * self.fine / self.span;
        let mut wide = (most / least).ln() / f64::from(FIRST);
        let mut ranges: Vec<f64> =
            (0..FIRST).map(|i| least.ln() + wide * (f64::from(i) + 0.5)).collect();
        while wide > closest {
            let mut finer = Vec::new();
            for ln in ranges {
                let places = sharpest_first(places(ln.exp(), wide));
                self.halve((ln, wide), HALVED, &places, &mut finer);
            }
            wide /= f64::from(1_u32 << HALVED);
            ranges = longest(finer, RANGES_MAX);
        }
        let found = joined(&ranges, wide).into_iter().filter(|(_, wide)| *wide < WIDEST);
        let found = found.filter_map(|(ln, together)| {
            let places = sharpest_first(places(ln.exp(), wide));
            let left = self.common(&places, ln.exp(), wide);
            let (low, high) = (left.first()?.0, left.last()?.1);
            Some(Period { ln, wide: together, begins: (low + high) / 2.0, open: high - low })
        });
        longest(found.collect(), PERIODS_MAX)
    }

    fn halve(&self, (ln, wide): (f64, f64), times: u32, places: &[Place], left: &mut Vec<f64>) {
        if self.common(places, ln.exp(), wide).is_empty() {
            return;
        }
        if times == 0 {
            left.push(ln);
            return;
        }
        for half in [ln - wide / 4.0, ln + wide / 4.0] {
            self.halve((half, wide / 2.0), times - 1, places, left);
        }
    }

    /// When a window of about this length may begin, near the anchor; none: no one time agrees with all places.
    fn common(&self, places: &[Place], window: f64, wide: f64) -> Vec<(f64, f64)> {
        let mut left = vec![(self.anchor - window / 2.0, self.anchor + window / 2.0)];
        for place in places {
            let off = (self.anchor - place.at).abs() * wide / 2.0;
            if place.open() + 2.0 * off * place.within.len() as f64 > window / 2.0 {
                continue;
            }
            let mut both = Vec::with_capacity(2);
            for (from, to) in &place.within {
                let middle = (from + to) / 2.0;
                for (low, high) in &left {
                    // Of times a whole number of windows apart, those that may be near.
                    let first = ((low - off - to) / window).ceil() as i64;
                    let last = ((high + off - from) / window).floor() as i64;
                    for windows in first..=last.min(first + 2) {
                        let begins = middle + windows as f64 * window;
                        let half = (to - from) / 2.0 + off;
                        both.push((low.max(begins - half), high.min(begins + half)));
                    }
                }
            }
            both.retain(|(low, high)| low < high);
            if both.is_empty() {
                return both;
            }
            left = both;
        }
        left.sort_by(|a, b| a.0.total_cmp(&b.0));
        left
    }
}

/// Whoever contradicts a length is asked first.
fn sharpest_first(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_by(|a, b| a.open().total_cmp(&b.open()));
    places
}

/// The last of them, which are ordered by length: the shorter, the more agree by chance.
fn longest<T>(mut ordered: Vec<T>, most: usize) -> Vec<T> {
    ordered.drain(..ordered.len().saturating_sub(most));
    ordered
}

/// Middles of ranges that lie next to each other, as the middle of all of them and how wide they are together.
fn joined(ranges: &[f64], wide: f64) -> Vec<(f64, f64)> {
    let apart = |a: &f64, b: &f64| b - a < 1.5 * wide;
    let join = |run: &[f64]| {
        let (first, last) = (run[0], run[run.len() - 1]);
        ((first + last) / 2.0, last - first + wide)
    };
    ranges.chunk_by(apart).map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(window: f64, phase: f64, asked_every: f64, about: &[f64]) -> Vec<Period> {
        let place = |about: &f64| {
            let end = phase + ((about - phase) / window).ceil() * window;
            let asked = about + ((end - about) / asked_every).floor() * asked_every;
            Place { at: asked, within: vec![(asked, asked + asked_every)] }
        };
        let places: Vec<Place> = about.iter().map(place).collect();
        let (first, last) = (about[0], about[about.len() - 1]);
        let lengths = (0.5, 300.0);
        let wanted = Wanted { lengths, anchor: last, span: last - first, fine: asked_every };
        wanted.periods(|_, _| places.clone())
    }

    fn right(found: &[Period], window: f64) -> &Period {
        let right = found.iter().find(|p| (p.ln - f64::ln(window)).abs() <= p.wide);
        right.expect("it is among them")
    }

    #[test]
    fn the_length_that_made_the_pauses_is_among_few() {
        let (window, phase) = (2.775_f64, 1.343_f64);
        // Asked every 0.2 s, at times that have nothing to do with it.
        let found = found(window, phase, 0.2, &[3.0, 41.0, 67.5, 102.1, 158.9]);
        let off = ((right(&found, window).begins - phase) / window).rem_euclid(1.0);
        assert!(off.min(1.0 - off) * window < 0.2, "{found:?}");
        let open: f64 = found.iter().filter(|p| p.ln > f64::ln(0.5)).map(|p| p.wide).sum();
        assert!(open < 1.5, "of {:.1}: {open}", f64::ln(600.0));
    }

    #[test]
    fn of_sharp_places_hours_apart_few_lengths_are_left() {
        let (window, phase) = (20.295_f64, 17.657_f64);
        let about = [100.0, 768.4, 1_884.7, 2_965.2, 5_039.1, 7_200.3];
        let found = found(window, phase, 0.005, &about);
        assert!(right(&found, window).wide < 1e-5);
        let near = found.iter().filter(|p| p.ln > f64::ln(10.0)).count();
        assert!(near < 4, "{near}");
    }

    #[test]
    fn of_two_times_at_which_a_window_may_have_begun_one_is_enough() {
        let window = 7.3_f64;
        let place = |i: f64| {
            let at = i * window;
            let other = at + 1.0 + (i * 0.37).fract() * 4.0;
            Place { at, within: vec![(at - 0.01, at + 0.01), (other, other + 0.02)] }
        };
        let places: Vec<Place> = [3.0, 11.0, 17.0, 30.0, 44.0].map(place).into();
        let (anchor, span) = (44.0 * window, 41.0 * window);
        let wanted = Wanted { lengths: (1.0, 300.0), anchor, span, fine: 0.02 };
        let found = wanted.periods(|_, _| places.clone());
        assert!(right(&found, window).wide < 1e-3);
    }

    #[test]
    fn of_more_lengths_than_are_looked_at_the_longest_are() {
        // Each place leaves a second open, and milliseconds matter: of short windows any length agrees.
        let (window, phase) = (41.3_f64, 6.1_f64);
        let place = |i: f64| {
            let at = phase + i * window - 0.4;
            Place { at, within: vec![(at, at + 1.0)] }
        };
        let places: Vec<Place> = [1.0, 3.0, 4.0, 8.0].map(place).into();
        let (anchor, span) = (phase + 8.0 * window, 7.0 * window);
        let wanted = Wanted { lengths: (0.5, 300.0), anchor, span, fine: 0.001 };
        let found = wanted.periods(|_, _| places.clone());
        right(&found, window);
        assert!(found.len() <= PERIODS_MAX && found[0].ln > f64::ln(1.0), "{}", found[0].ln.exp());
    }

    #[test]
    fn no_places_tell_nothing() {
        let wanted = Wanted { lengths: (1.0, 300.0), anchor: 9.0, span: 9.0, fine: 0.1 };
        assert!(wanted.periods(|_, _| Vec::new()).is_empty());
    }
}
