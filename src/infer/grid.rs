//! A grid that is refined where it matters.

use super::fit::Limit;

/// One cell of the finest level.
pub(super) struct Cell {
    /// Its middle, and how wide it is.
    pub(super) at: f64,
    pub(super) width: f64,
    /// Logarithm of its share of the whole grid.
    pub(super) share: f64,
    pub(super) found: Limit,
}

/// Divides the interval of `width` round `middle` into so many cells as `levels` begins with, those of
/// them that matter (at most `kept`) into so many as comes next, and so on. `weigh` is told a cell's middle and width.
pub(super) fn refine(
    middle: f64,
    width: f64,
    levels: &[u32],
    kept: usize,
    weigh: impl Fn(f64, f64) -> Limit,
) -> Vec<Cell> {
    let whole = |found| Cell { at: middle, width, share: 0.0, found };
    let Some((first, finer)) = levels.split_first() else { return Vec::new() };
    if *first == 1 && finer.is_empty() {
        return vec![whole(weigh(middle, width))];
    }
    let divide = |at: f64, width: f64, share: f64, parts: u32| -> Vec<Cell> {
        let part = width / f64::from(parts);
        let share = share - f64::from(parts).ln();
        let middle = |i: u32| at - width / 2.0 + part * (f64::from(i) + 0.5);
        (0..parts)
            .map(|i| Cell { at: middle(i), width: part, share, found: weigh(middle(i), part) })
            .collect()
    };
    let mut cells = divide(middle, width, 0.0, *first);
    for parts in finer {
        thin(&mut cells, kept);
        cells = cells.iter().flat_map(|c| divide(c.at, c.width, c.share, *parts)).collect();
    }
    cells
}

/// Weights this far below the best do not matter.
const MATTERS: f64 = 7.0;

/// Drops cells that do not matter, and so many of the others, evenly, that no more than `kept` are left:
/// those stand for the dropped ones, too.
fn thin(cells: &mut Vec<Cell>, kept: usize) {
    let best = cells.iter().map(|c| c.found.weight).fold(f64::NEG_INFINITY, f64::max);
    cells.retain(|c| c.found.weight > best - MATTERS);
    let every = cells.len().div_ceil(kept);
    if every > 1 {
        let mut index = 0;
        cells.retain(|_| {
            index += 1;
            index % every == every / 2
        });
        cells.iter_mut().for_each(|c| c.share += (every as f64).ln());
    }
}
