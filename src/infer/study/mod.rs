//! The learner off line: a whole record at once, concluded about with evidence; and the probe, which designs the
//! experiments that would tell more.

mod belief;
mod conclude;
mod conclusion;
mod declared;
mod design;
mod evidence;
mod lockout;
mod nested;
mod observations;
mod peeks;
mod plan;
mod posterior;
mod prober;
mod queueing;
mod scope;
mod usage;

pub use conclude::conclude;
pub use conclusion::{
    Conclusion, DeclaredFinding, Figure, Finding, KindName, KindShare, LimitFinding,
    LockoutFinding, Material, PairFinding, Reason, ScopeFinding, WithoutPrior,
};
pub use observations::{Attempt, Named, Observations, Peek, Quota};
pub use plan::{Assignment, Budget, Ended, Order};
pub use prober::{Answered, Known, Milestone, Prober, Progress, Trial};
