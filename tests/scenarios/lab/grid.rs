//! From axes to cases: every combination, or few that let every two values meet.

use std::collections::BTreeSet;

/// Every combination of axes of these lengths, as an index into each.
pub(crate) fn all(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new()];
    for length in lengths {
        let longer = |row: &Vec<usize>| {
            let row = row.clone();
            (0..*length).map(move |i| [row.as_slice(), &[i]].concat())
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    rows
}

/// Two axes with a value of each; the first axis comes before the second.
type Pair = (usize, usize, usize, usize);

/// Combinations in which every two values of different axes meet at least once. Each begins with two
/// that have not met; every other axis then takes the value that brings most meetings.
pub(crate) fn pairwise(lengths: &[usize]) -> Vec<Vec<usize>> {
    if lengths.len() < 2 {
        return all(lengths);
    }
    let mut open: BTreeSet<Pair> = BTreeSet::new();
    for (a, b) in (0..lengths.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
        let values = (0..lengths[a]).flat_map(|i| (0..lengths[b]).map(move |j| (i, j)));
        open.extend(values.map(|(i, j)| (a, i, b, j)));
    }
    let mut rows = Vec::new();
    while let Some(&(a, i, b, j)) = open.first() {
        let mut row: Vec<Option<usize>> = vec![None; lengths.len()];
        (row[a], row[b]) = (Some(i), Some(j));
        for axis in 0..lengths.len() {
            if row[axis].is_none() {
                // Ties fall to another value in every row, or the first would be in nearly all.
                let turned = (0..lengths[axis]).map(|v| (v + rows.len()) % lengths[axis]);
                row[axis] = turned.max_by_key(|v| gained(&open, &row, axis, *v));
            }
        }
        let row: Vec<usize> = row.into_iter().flatten().collect();
        open.retain(|&(a, i, b, j)| row[a] != i || row[b] != j);
        rows.push(row);
    }
    rows
}

fn gained(open: &BTreeSet<Pair>, row: &[Option<usize>], axis: usize, value: usize) -> usize {
    let chosen = row.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
    let meets = |(other, v): (usize, usize)| {
        let pair = if other < axis { (other, v, axis, value) } else { (axis, value, other, v) };
        open.contains(&pair)
    };
    chosen.filter(|c| meets(*c)).count()
}
