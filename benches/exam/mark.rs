//! The marks.

use std::collections::BTreeMap;
use std::fmt;

use plimsoll::infer::study::{Figure, Finding, KindName, Known, ScopeFinding};
use plimsoll::model::{Factor, Kind, Scope};

use crate::case::Case;
use crate::sit::Sat;

/// What a case came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// `None`: unknown.
    pub(crate) kind: Option<bool>,
    pub(crate) found: Option<KindName>,
    pub(crate) rate: Option<f64>,
    pub(crate) rate_right: bool,
    pub(crate) rate_covered: Option<bool>,
    pub(crate) burst: Option<f64>,
    pub(crate) burst_right: bool,
    pub(crate) burst_covered: Option<bool>,
    /// Whether refused requests count; `None`: not said.
    pub(crate) refused_count: Option<bool>,
    /// `None`: not decided.
    pub(crate) scope: Option<bool>,
    pub(crate) behind: Behind,
}

/// What is said of a limit behind the first, and whether there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// Whether one is said, and whether that is right.
    pub(crate) said: bool,
    pub(crate) told_right: bool,
    pub(crate) kind: Option<bool>,
    /// How far off, and whether the interval holds the truth.
    pub(crate) rate: Option<(f64, bool)>,
    pub(crate) burst: Option<(f64, bool)>,
    pub(crate) scope: Option<bool>,
}

impl Mark {
    pub(crate) fn is_right(&self) -> bool {
        self.kind == Some(true) && self.rate_right && self.burst_right
    }
}

/// Marks of many.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    matrix: BTreeMap<&'static str, BTreeMap<String, u32>>,
    all: Vec<Mark>,
    costs: Vec<Costs>,
    ended: BTreeMap<String, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Costs {
    numbers: Option<(f64, f64)>,
    kind: Option<(f64, f64)>,
}

fn known<T: Copy>(finding: &Finding<T>) -> Option<T> {
    match finding {
        Finding::Known { value, .. } => Some(*value),
        Finding::Unknown { .. } => None,
    }
}

/// Marks a case.
pub(crate) fn mark(case: &Case, sat: &Sat) -> Mark {
    let limit = sat.conclusion.limits.first();
    let (rate, burst) = case.truth();
    let found = limit.and_then(|l| known(&l.kind));
    let said_rate = limit.and_then(|l| known(&l.rate));
    let said_burst = limit.and_then(|l| known(&l.burst));
    let inside = |f: Figure, truth: f64| f.low - 1e-9 <= truth && truth <= f.high + 1e-9;
    Mark {
        kind: found.map(|found| alike(&case.limiter.kind, found)),
        found,
        rate: said_rate.map(|f| f.value / rate - 1.0),
        rate_right: said_rate.is_some_and(|f| (f.value / rate - 1.0).abs() <= 0.01),
        rate_covered: said_rate.map(|f| inside(f, rate)),
        burst: said_burst.map(|f| f.value),
        burst_right: said_burst.is_some_and(|f| (f.value - burst).abs() <= (burst * 0.02).max(1.0)),
        burst_covered: said_burst.map(|f| inside(f, burst)),
        refused_count: limit
            .and_then(|l| known(&l.refused_count))
            .map(|count| count == case.limiter.counts_refused),
        scope: limit.and_then(|l| scope(&case.scope, &l.scope)),
        behind: behind(case, sat),
    }
}

fn behind(case: &Case, sat: &Sat) -> Behind {
    let limit = sat.conclusion.limits.get(1);
    let truth = case.truth_behind();
    let inside = |f: Figure, truth: f64| f.low - 1e-9 <= truth && truth <= f.high + 1e-9;
    let (kind, rate, burst) = truth.unwrap_or((case.limiter.kind, f64::NAN, f64::NAN));
    let tenant = Scope::Shared([Factor::Tenant].into());
    Behind {
        said: limit.is_some(),
        told_right: limit.is_some() == truth.is_some(),
        kind: limit.and_then(|l| known(&l.kind)).map(|found| alike(&kind, found)),
        rate: limit.and_then(|l| known(&l.rate)).map(|f| (f.value / rate - 1.0, inside(f, rate))),
        burst: limit.and_then(|l| known(&l.burst)).map(|f| (f.value - burst, inside(f, burst))),
        scope: limit.and_then(|l| scope(&tenant, &l.scope)),
    }
}

/// Whether the true scope is among those that are said.
fn scope(truth: &Scope, said: &Finding<ScopeFinding>) -> Option<bool> {
    let Finding::Known { value, .. } = said else { return None };
    let Scope::Shared(truth) = truth else { return None };
    let truth: Vec<Factor> = truth.iter().copied().collect();
    Some(value.factors == truth || value.alike.contains(&truth))
}

/// Whether a name is right for a limiter: one that admits one at a time by any name.
fn alike(truth: &Kind, found: KindName) -> bool {
    let one = match truth {
        Kind::SlidingLog { limit, .. } | Kind::OnDemandWindow { limit, .. } => *limit == 1,
        Kind::TokenBucket { burst, .. } => *burst == 1,
        _ => false,
    };
    let spaced = [KindName::SlidingLog, KindName::OnDemandWindow, KindName::TokenBucket];
    KindName::of(truth) == found || (one && spaced.contains(&found))
}

/// A case in a line.
pub(crate) fn line(case: &Case, sat: &Sat, mark: &Mark) -> String {
    let (rate, burst) = case.truth();
    format!(
        "{case}\n   {:?} experiments {} requests {} ({:.1} C) throttles {} seconds {:.0} kind {:?} {:?} rate {rate:.3} off {:?} covered {:?} burst {burst} said {:?} covered {:?}\n   {:?}\n   {}\n   {:.2?}",
        sat.ended,
        sat.experiments,
        sat.requests,
        sat.requests as f64 / burst,
        sat.throttles,
        sat.seconds,
        mark.found,
        mark.kind,
        mark.rate,
        mark.rate_covered,
        mark.burst,
        mark.burst_covered,
        sat.conclusion.limits.first().map(|l| (known(&l.rate), known(&l.burst), &l.kinds)),
        scope_line(mark),
        Costs::of(case, sat),
    )
}

fn scope_line(mark: &Mark) -> String {
    let Mark { refused_count, scope, behind, .. } = mark;
    format!("whether refused requests count {refused_count:?} scope right {scope:?} {behind:?}")
}

impl Costs {
    fn of(case: &Case, sat: &Sat) -> Self {
        let (_, burst) = case.truth();
        let window = case.limiter.kind.window().as_secs_f64();
        let at = |known: Known, times: f64| {
            let reached = sat.milestones.iter().find(|m| m.known == known)?;
            let requests = reached.requests as f64 / (times * (3.0 * burst).max(1_500.0));
            Some((requests, reached.after.as_secs_f64() / (times * (5.0 * window).max(300.0))))
        };
        Self { numbers: at(Known::Numbers, 1.0), kind: at(Known::Kind, 2.0) }
    }
}

impl Marks {
    pub(crate) fn enter(&mut self, case: &Case, sat: &Sat, mark: Mark) {
        let found = mark.found.map_or("unknown".to_owned(), |k| k.words().to_owned());
        *self.matrix.entry(case.kind_name()).or_default().entry(found).or_default() += 1;
        *self.ended.entry(format!("{:?}", sat.ended)).or_default() += 1;
        self.all.push(mark);
        self.costs.push(Costs::of(case, sat));
    }

    pub(crate) fn share(&self, of: impl Fn(&Mark) -> bool) -> f64 {
        self.all.iter().filter(|m| of(m)).count() as f64 / self.all.len().max(1) as f64
    }

    pub(crate) fn covered(&self, of: impl Fn(&Mark) -> Option<bool>) -> f64 {
        let said: Vec<bool> = self.all.iter().filter_map(of).collect();
        said.iter().filter(|c| **c).count() as f64 / said.len().max(1) as f64
    }
}

impl Marks {
    /// What was said of limits behind the first: of none, where there is none.
    fn behind(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |of: &dyn Fn(&Behind) -> bool| self.share(|m| of(&m.behind)) * 100.0;
        writeln!(
            f,
            "limit behind     {:.1} % said, {:.1} % rightly",
            percent(&|b| b.said),
            percent(&|b| b.told_right)
        )?;
        writeln!(
            f,
            "of that          kind right {:.1} %, wrong {:.1} %; rate right {:.1} %, burst right {:.1} %; scope right {:.1} %, wrong {:.1} %",
            percent(&|b| b.kind == Some(true)),
            percent(&|b| b.kind == Some(false)),
            percent(&|b| b.rate.is_some_and(|(off, _)| off.abs() <= 0.02)),
            percent(&|b| b.burst.is_some_and(|(off, _)| off.abs() <= 2.0)),
            percent(&|b| b.scope == Some(true)),
            percent(&|b| b.scope == Some(false)),
        )
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (truth, found) in &self.matrix {
            writeln!(f, "{truth:18} {found:?}")?;
        }
        let percent = |share: f64| share * 100.0;
        writeln!(f, "cases            {} {:?}", self.all.len(), self.ended)?;
        writeln!(f, "kind right       {:.1} %", percent(self.share(|m| m.kind == Some(true))))?;
        writeln!(f, "kind wrong       {:.1} %", percent(self.share(|m| m.kind == Some(false))))?;
        writeln!(f, "rate right       {:.1} %", percent(self.share(|m| m.rate_right)))?;
        writeln!(f, "burst right      {:.1} %", percent(self.share(|m| m.burst_right)))?;
        writeln!(f, "rate covered     {:.1} %", percent(self.covered(|m| m.rate_covered)))?;
        writeln!(f, "burst covered    {:.1} %", percent(self.covered(|m| m.burst_covered)))?;
        let refused_count = |is| percent(self.share(|m| m.refused_count == Some(is)));
        writeln!(
            f,
            "refused count    {:.1} %, wrong {:.1} %",
            refused_count(true),
            refused_count(false)
        )?;
        writeln!(f, "scope decided    {:.1} %", percent(self.share(|m| m.scope.is_some())))?;
        writeln!(f, "scope wrong      {:.1} %", percent(self.share(|m| m.scope == Some(false))))?;
        self.behind(f)?;
        for (what, of) in [
            ("rate and burst", (|c: &Costs| c.numbers) as fn(&Costs) -> Option<(f64, f64)>),
            ("and the kind", |c: &Costs| c.kind),
        ] {
            let mut requests: Vec<f64> =
                self.costs.iter().map(|c| of(c).map_or(9.9, |c| c.0)).collect();
            let mut seconds: Vec<f64> =
                self.costs.iter().map(|c| of(c).map_or(9.9, |c| c.1)).collect();
            requests.sort_by(f64::total_cmp);
            seconds.sort_by(f64::total_cmp);
            let q =
                |v: &[f64], q: f64| v.get((v.len() as f64 * q) as usize).copied().unwrap_or(0.0);
            writeln!(
                f,
                "{what:16} of the requests allowed: median {:.2}, p90 {:.2}; of the time: median {:.2}, p90 {:.2}",
                q(&requests, 0.5),
                q(&requests, 0.9),
                q(&seconds, 0.5),
                q(&seconds, 0.9)
            )?;
        }
        Ok(())
    }
}
