//! A grid that is refined where it matters.

use super::limit::Limit;

/// What a cell was found to be worth.
pub(super) trait Worth {
    /// Logarithm of its weight, without its share of the grid.
    fn weight(&self) -> f64;
}

/// A weight and nothing else.
pub(super) struct Weighed(pub(super) f64);

impl Worth for Weighed {
    fn weight(&self) -> f64 {
        self.0
    }
}

impl Worth for Limit {
    fn weight(&self) -> f64 {
        self.weight
    }
}

/// One cell of the finest level.
pub(super) struct Cell<T> {
    /// Its middle, and how wide it is.
    pub(super) at: f64,
    pub(super) width: f64,
    /// Logarithm of its share of the whole grid.
    pub(super) share: f64,
    pub(super) found: T,
}

impl<T> Cell<T> {
    /// Divides it into so many.
    pub(super) fn divide(&self, parts: u32, weigh: impl Fn(f64, f64) -> T) -> Vec<Self> {
        divide(self.at, self.width, self.share, parts, weigh)
    }
}

fn divide<T>(
    at: f64,
    width: f64,
    share: f64,
    parts: u32,
    weigh: impl Fn(f64, f64) -> T,
) -> Vec<Cell<T>> {
    let part = width / f64::from(parts);
    let share = share - f64::from(parts).ln();
    let middle = |i: u32| at - width / 2.0 + part * (f64::from(i) + 0.5);
    (0..parts)
        .map(|i| Cell { at: middle(i), width: part, share, found: weigh(middle(i), part) })
        .collect()
}

/// Divides the interval of `width` round `middle` into so many cells as `levels` begins with, those of
/// them that matter (at most `kept`) into so many as comes next, and so on. `weigh` is told a cell's middle and width.
pub(super) fn refine<T: Worth>(
    middle: f64,
    width: f64,
    levels: &[u32],
    kept: usize,
    weigh: impl Fn(f64, f64) -> T,
) -> Vec<Cell<T>> {
    let whole = |found| Cell { at: middle, width, share: 0.0, found };
    let Some((first, finer)) = levels.split_first() else { return Vec::new() };
    if *first == 1 && finer.is_empty() {
        return vec![whole(weigh(middle, width))];
    }
    let mut cells = divide(middle, width, 0.0, *first, &weigh);
    for parts in finer {
        thin(&mut cells, kept);
        cells = cells.iter().flat_map(|c| c.divide(*parts, &weigh)).collect();
    }
    cells
}

/// Weights this far below the best do not matter.
const MATTERS: f64 = 7.0;

/// Keeps about so many of the cells that matter, the heavier the likelier (systematic sampling): each of them stands
/// for as much of the whole as any other.
pub(super) fn thin<T: Worth>(cells: &mut Vec<Cell<T>>, kept: usize) {
    let best = cells.iter().map(|c| c.found.weight()).fold(f64::NEG_INFINITY, f64::max);
    cells.retain(|c| c.found.weight() > best - MATTERS);
    if cells.len() <= kept {
        return;
    }
    let mass = |c: &Cell<T>| (c.found.weight() - best).exp();
    let each = cells.iter().map(mass).sum::<f64>() / kept as f64;
    let (mut passed, mut marks) = (0.0, 0.5);
    cells.retain_mut(|c| {
        passed += mass(c);
        let times = (passed / each - marks).ceil().max(0.0);
        marks += times;
        c.share += (times * each / mass(c)).ln();
        times > 0.0
    });
}

/// Into how many cells to divide, level by level, until there are so many in all; at least twice.
pub(super) fn divisions(first: u32, wanted: f64) -> Vec<u32> {
    let mut levels = vec![first, 8, 8];
    let mut cells = f64::from(first) * 64.0;
    while cells < wanted && levels.len() < 8 {
        levels.push(8);
        cells *= 8.0;
    }
    levels
}

/// Logarithm of what cells weigh together.
pub(super) fn ln_sum<T: Worth>(cells: &[Cell<T>]) -> f64 {
    ln_sum_of(cells.iter().map(|c| c.share + c.found.weight()))
}

/// Logarithm of a sum, of the logarithms of what it is of.
pub(super) fn ln_sum_of(weights: impl Iterator<Item = f64> + Clone) -> f64 {
    let best = weights.clone().fold(f64::NEG_INFINITY, f64::max);
    if !best.is_finite() {
        return best;
    }
    best + weights.map(|w| (w - best).exp()).sum::<f64>().ln()
}
