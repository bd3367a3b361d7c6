//! A probe sits a case, in virtual time.

use std::time::Duration;

use plimsoll::infer::Decision;
use plimsoll::infer::study::{
    Answered, Assignment, Budget, Conclusion, Ended, Milestone, Order, Prober, Quota,
};
use plimsoll::model::{
    Answer, AttemptId, CredentialId, EndpointId, MessageId, Moment, QuotaHint, SendOrder, SpanId,
    StreamId, Verdict,
};
use plimsoll::netem::World;

use crate::case::Case;

/// How it went.
pub(crate) struct Sat {
    pub(crate) ended: Ended,
    pub(crate) conclusion: Conclusion,
    pub(crate) milestones: Vec<Milestone>,
    pub(crate) requests: u64,
    pub(crate) throttles: u64,
    pub(crate) seconds: f64,
    pub(crate) experiments: usize,
}

struct Sending {
    party: usize,
    left: u64,
    gap: Duration,
    next: Moment,
}

/// Puts a probe to a case.
pub(crate) fn sit(case: &Case, watch: bool) -> Sat {
    let parties = Case::parties();
    let mut world = World::new(case.seed, case.network.clone(), case.server()).with_log_max(0);
    let start = Moment::ZERO + Duration::from_secs(100);
    let budget = Budget {
        requests: 2_000_000,
        throttles: 100_000,
        time: Duration::from_secs(6 * 3_600),
        rate: case.ceiling,
    };
    let assignment = Assignment { parties: parties.clone(), budget, peek: false };
    let mut prober = Prober::new(assignment, start);
    let mut now = start;
    let mut sending: Option<Sending> = None;
    let mut next_attempt = 0_u64;
    let mut told = 0;
    let ended = loop {
        let mut wake = Moment::NEVER;
        match prober.poll(now) {
            Order::Done(ended) => break ended,
            Order::Stop => sending = None,
            Order::Send { party, rate, count, .. } => {
                let gap = Duration::from_secs_f64(1.0 / rate);
                sending = Some(Sending { party, left: count, gap, next: now });
            }
            Order::WakeAt(at) => wake = at,
        }
        if watch && prober.trials().len() > told {
            told = prober.trials().len();
            println!("  {:?} {:?}", now.since(start), prober.progress());
        }
        let next_send = sending.as_ref().map_or(Moment::NEVER, |s| s.next);
        now = wake.min(next_send).min(world.next_at().unwrap_or(Moment::NEVER)).max(now);
        while let Some((attempt, answer)) = world.deliver(now) {
            let answered = answered(&answer);
            if answered.decision == Decision::Refused {
                sending = None;
            }
            prober.answered(attempt, answered);
        }
        if let Some(s) = sending.as_mut().filter(|s| s.next <= now) {
            let attempt = AttemptId(next_attempt);
            next_attempt += 1;
            world.send(now, order(attempt, s.party, now), &parties[s.party]);
            s.left -= 1;
            s.next += s.gap;
            let party = s.party;
            if s.left == 0 {
                sending = None;
            }
            prober.sent(party, attempt, now);
        }
    };
    sat(&prober, ended, now.since(start), watch)
}

fn sat(prober: &Prober, ended: Ended, after: Duration, watch: bool) -> Sat {
    if watch {
        prober.trials().iter().for_each(|t| println!("    {t:?}"));
    }
    let observations = prober.observations();
    Sat {
        ended,
        conclusion: prober.conclude(),
        milestones: prober.milestones().to_vec(),
        requests: observations.attempts.len() as u64,
        throttles: prober.progress().throttles,
        seconds: after.as_secs_f64(),
        experiments: prober.trials().len(),
    }
}

fn answered(answer: &Answer) -> Answered {
    let decision = match answer.verdict {
        Verdict::Throttled => Decision::Refused,
        Verdict::Accepted => Decision::Admitted,
        _ => Decision::Unknown,
    };
    let quota = QuotaHint::tightest(&answer.hints).map(|(hint, limit, remaining)| Quota {
        limit,
        remaining,
        reset: hint.reset.map(|d| d.as_secs_f64()),
    });
    let at = answer.headers_at.unwrap_or(answer.done_at);
    Answered { decision, at, advice: answer.advice.wait(), quota }
}

fn order(attempt: AttemptId, party: usize, at: Moment) -> SendOrder {
    SendOrder {
        attempt,
        stream: StreamId(party as u32),
        endpoint: EndpointId(0),
        credential: CredentialId(party as u32),
        token_generation: 1,
        message: MessageId(u128::from(attempt.0) + 1),
        sequence: attempt.0,
        resend: 0,
        span: SpanId(1),
        due: at,
        first_due: at,
        ordered_at: at,
        resume: false,
    }
}
