//! The safety envelope: caps on messages, pauses, active hours. It only ever holds back.
//!
//! Where a state file is kept, a cap's count is written *ahead*: the file vouches for so many more messages
//! before the first of them is sent, and what it vouches for counts as sent after a crash. So no crash at
//! any moment lets a cap be overrun; it may cost what was reserved, which is two seconds' worth.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::stream::Stream;
use super::{Engine, HELD_WAKE, Output, Plan};
use crate::engine::slots::Hold;
use crate::model::{
    CapStatus, CapWindow, CountMemory, Event, Moment, PausedBy, SafetyChange, SafetyMemory,
    SkipReason, Subject, SubjectSafety, WallOffset,
};
use crate::policy::{CapSettings, MessageCount};

/// How much sending is reserved in the state file at once.
const RESERVED: Duration = Duration::from_secs(2);

/// What one stream, or all together, has used, and whether it is paused.
#[derive(Debug, Default)]
pub(super) struct Account {
    subject: Subject,
    caps: CapSettings,
    count: MessageCount,
    /// Per second, as configured.
    rate: f64,
    pub(super) paused: bool,
    /// Configuration paused it, so that it does again whether or not a later run is told.
    by_configuration: bool,
    /// What configuration said last about pausing it.
    configured: Option<bool>,
    /// Whether the active hours are on, as far as was told.
    active: bool,
    /// Caps that were told to be reached.
    reached: [bool; CapWindow::ALL.len()],
    /// Messages of this run: those sent, those that the state file vouches for, and those that it was
    /// asked to vouch for.
    sent: u64,
    vouched: u64,
    asked: u64,
    /// A later run should know its count, although it may have no cap now.
    kept: bool,
    /// Configuration names it.
    named: bool,
}

/// Every account. The first is that of all together.
#[derive(Debug)]
pub(super) struct SafetyDesk {
    accounts: Vec<Account>,
    /// Whether counts are written ahead to a state file.
    recorded: bool,
    wall: Option<WallOffset>,
    /// The latest reservation that was asked for ...
    ticket: u64,
    /// ... and has not been answered.
    outstanding: bool,
}

/// The account of all streams together.
pub(super) const ALL: usize = 0;

impl Default for SafetyDesk {
    fn default() -> Self {
        let accounts = vec![Account { active: true, named: true, ..Account::default() }];
        Self { accounts, recorded: false, wall: None, ticket: 0, outstanding: false }
    }
}

type Outbox = VecDeque<Output>;

fn tell(outbox: &mut Outbox, change: SafetyChange) {
    outbox.push_back(Output::Event(Event::Safety(Box::new(change))));
}

impl Account {
    /// Messages that it may send before the state file has to vouch for more.
    const fn vouched_left(&self) -> u64 {
        self.vouched.saturating_sub(self.sent)
    }

    /// What the state file should vouch for, if that is to be asked for now.
    fn reservation(&self) -> Option<u64> {
        if self.caps.is_none() {
            return None;
        }
        let batch = (self.rate * RESERVED.as_secs_f64()).ceil().max(1.0) as u64;
        let wanted = batch.min(self.count.room(&self.caps));
        let left = self.vouched_left();
        (wanted > left && left <= wanted / 2).then(|| self.sent + wanted)
    }

    fn look(&mut self, outbox: &mut Outbox) {
        for window in CapWindow::ALL {
            let (subject, window) = (self.subject.clone(), *window);
            let cap = self.caps.of(window);
            let reached = cap.filter(|cap| self.count.used(window) >= *cap);
            let before = std::mem::replace(&mut self.reached[window.index()], reached.is_some());
            match (before, reached) {
                (false, Some(cap)) => {
                    let room_at = self.count.room_at(window, cap);
                    tell(outbox, SafetyChange::CapReached { subject, window, cap, room_at });
                }
                (true, None) => tell(outbox, SafetyChange::CapFreed { subject, window }),
                _ => {}
            }
        }
    }

    fn pause(&mut self, paused: bool, by: PausedBy, outbox: &mut Outbox) {
        if std::mem::replace(&mut self.paused, paused) == paused {
            return;
        }
        self.by_configuration = by == PausedBy::Configuration;
        let subject = self.subject.clone();
        tell(
            outbox,
            match paused {
                true => SafetyChange::Paused { subject, by },
                false => SafetyChange::Resumed { subject, by },
            },
        );
    }

    /// Configuration says whether it is paused. That counts at the start, and when it changes.
    fn configure(&mut self, paused: bool, outbox: &mut Outbox) {
        let before = self.configured.replace(paused);
        if before.is_some_and(|before| before != paused) || (before.is_none() && paused) {
            self.pause(paused, PausedBy::Configuration, outbox);
        }
    }

    /// Why a new message may not be sent.
    fn bars(&self, recorded: bool) -> Option<SkipReason> {
        if self.caps.is_none() {
            return None;
        }
        if self.count.room(&self.caps) == 0 {
            return Some(SkipReason::Capped);
        }
        (recorded && self.vouched_left() == 0).then_some(SkipReason::Unrecorded)
    }

    fn status(&self, now: Moment, wall: WallOffset) -> Vec<CapStatus> {
        let one = |window: &CapWindow| {
            let cap = self.caps.of(*window)?;
            let used = self.count.used(*window);
            let room_at = (used >= cap).then(|| self.count.room_at(*window, cap)).flatten();
            Some(CapStatus {
                window: *window,
                limit: cap,
                used,
                reached: used >= cap,
                room_at: room_at.map(|at| wall.unix_seconds(at.max(now))),
            })
        };
        CapWindow::ALL.iter().filter_map(one).collect()
    }
}

impl SafetyDesk {
    /// What an earlier run knew.
    pub(super) fn recall(&mut self, memory: &SafetyMemory, now: Moment, outbox: &mut Outbox) {
        for (subject, count) in &memory.counts {
            let i = self.account(subject);
            self.accounts[i].count = MessageCount::recalled(count, now);
            self.accounts[i].kept = true;
        }
        for subject in &memory.paused {
            let i = self.account(subject);
            self.accounts[i].pause(true, PausedBy::Memory, outbox);
        }
    }

    /// The account of a subject, made when it is not there.
    fn account(&mut self, subject: &Subject) -> usize {
        let found = self.accounts.iter().position(|account| account.subject == *subject);
        found.unwrap_or_else(|| {
            let subject = subject.clone();
            self.accounts.push(Account { subject, active: true, ..Account::default() });
            self.accounts.len() - 1
        })
    }

    pub(super) fn of_stream(&mut self, name: &Arc<str>) -> usize {
        self.account(&Some(Arc::clone(name)))
    }

    pub(super) fn get(&self, account: usize) -> &Account {
        &self.accounts[account]
    }

    /// Takes the caps and pauses of a plan.
    fn apply(&mut self, plan: &Plan, outbox: &mut Outbox) {
        self.recorded = plan.safety.recorded;
        self.accounts.iter_mut().for_each(|account| account.named = false);
        let all = &mut self.accounts[ALL];
        all.named = true;
        all.caps = plan.safety.caps;
        all.rate = plan.streams.iter().map(|s| s.schedule.rate.per_second()).sum();
        all.configure(plan.safety.paused, outbox);
        for stream in &plan.streams {
            let i = self.of_stream(&stream.name);
            let account = &mut self.accounts[i];
            account.named = true;
            account.caps = stream.safety.caps;
            account.rate = stream.schedule.rate.per_second();
            account.configure(stream.safety.paused, outbox);
        }
        for account in &mut self.accounts {
            if !account.named {
                // Should it come back, it begins as configuration says.
                (account.configured, account.paused) = (None, false);
                account.caps = CapSettings::default();
            }
            account.kept |= !account.caps.is_none();
            account.look(outbox);
        }
    }

    /// Counts a message of a stream.
    pub(super) fn count(&mut self, account: usize, now: Moment, outbox: &mut Outbox) {
        for i in [ALL, account] {
            let account = &mut self.accounts[i];
            account.count.add(1, now);
            account.sent += 1;
            if !account.caps.is_none() {
                account.look(outbox);
            }
        }
        self.reserve(outbox);
    }

    /// Asks the state file to vouch for more where little is left.
    fn reserve(&mut self, outbox: &mut Outbox) {
        let wants = |account: &Account| account.reservation().is_some();
        if !self.recorded || self.outstanding || !self.accounts.iter().any(wants) {
            return;
        }
        for account in &mut self.accounts {
            account.asked = account.reservation().unwrap_or(account.vouched);
        }
        self.outstanding = true;
        self.ticket += 1;
        outbox.push_back(Output::Record);
    }

    /// The state file vouches for what was asked by this ticket.
    fn recorded(&mut self, ticket: u64, outbox: &mut Outbox) {
        if !self.outstanding || ticket != self.ticket {
            return;
        }
        self.outstanding = false;
        for account in &mut self.accounts {
            account.vouched = account.vouched.max(account.asked);
        }
        self.reserve(outbox);
    }

    /// Why a stream may not send at all, or no new message.
    pub(super) fn bars(&self, stream: &Stream, now: Moment) -> Option<Hold> {
        let (all, own) = (&self.accounts[ALL], &self.accounts[stream.account]);
        let soon = now + HELD_WAKE;
        if all.paused || own.paused {
            return Some(Hold { reason: SkipReason::Paused, look_again: soon });
        }
        if !self.is_active(stream, now) {
            return Some(Hold { reason: SkipReason::OffHours, look_again: soon });
        }
        // A message that was counted may be tried again.
        let retry_at = stream.waiting.next_at();
        let reason = all.bars(self.recorded).or_else(|| own.bars(self.recorded))?;
        (retry_at > now).then(|| Hold { reason, look_again: soon.min(retry_at) })
    }

    fn is_active(&self, stream: &Stream, now: Moment) -> bool {
        // Without a clock nobody knows, and nothing is sent that may not be.
        let on = |hours: &Arc<crate::schedule::Timetable>| {
            self.wall.is_some_and(|wall| hours.is_active(wall.unix_nanos(now)))
        };
        stream.plan.safety.hours.as_ref().is_none_or(on)
    }

    /// What the next run should know. `ended`: nothing more will be sent.
    pub(super) fn memory(&self, ended: bool, now: Moment) -> SafetyMemory {
        let count = |account: &Account| -> (Subject, CountMemory) {
            let reserved = account.asked.max(account.vouched).saturating_sub(account.sent);
            let reserved = if ended || !self.recorded { 0 } else { reserved };
            (account.subject.clone(), account.count.memory(reserved, now))
        };
        let paused = |a: &&Account| a.paused && !a.by_configuration;
        SafetyMemory {
            counts: self.accounts.iter().filter(|a| a.kept).map(count).collect(),
            paused: self.accounts.iter().filter(paused).map(|a| a.subject.clone()).collect(),
        }
    }

    pub(super) const fn ticket(&self) -> u64 {
        self.ticket
    }
}

impl Engine {
    /// The wall clock, as of now. A step is heard of here.
    pub(super) fn wall(&mut self, wall: WallOffset) {
        self.safety.wall = Some(wall);
    }

    pub(super) fn apply_safety(&mut self, plan: &Plan, now: Moment) {
        self.safety.apply(plan, &mut self.outbox);
        self.safety.reserve(&mut self.outbox);
        self.timers.arm_safety(now + HELD_WAKE);
    }

    /// Once a second: what has left a window is forgotten, and what changed with the time is told.
    pub(super) fn safety_due(&mut self, now: Moment) {
        for account in &mut self.safety.accounts {
            account.count.expire(now);
            account.look(&mut self.outbox);
        }
        self.safety.reserve(&mut self.outbox);
        for stream in self.streams.iter().filter(|stream| !stream.retired) {
            let active = self.safety.is_active(stream, now);
            let account = &mut self.safety.accounts[stream.account];
            if std::mem::replace(&mut account.active, active) != active {
                let stream = Arc::clone(&stream.info.name);
                tell(&mut self.outbox, SafetyChange::Hours { stream, active });
            }
        }
        self.timers.arm_safety(now + HELD_WAKE);
    }

    pub(super) fn recorded(&mut self, ticket: u64, now: Moment) {
        self.safety.recorded(ticket, &mut self.outbox);
        self.kick_everybody(now);
    }

    /// The latest reservation that [`Output::Record`] asked for; what [`Self::memory`] tells covers it.
    #[must_use]
    pub const fn ticket(&self) -> u64 {
        self.safety.ticket()
    }

    /// An operator pauses a stream of this name, or everything, or resumes it. False: there is no such
    /// stream.
    pub fn pause(&mut self, subject: &Subject, paused: bool, now: Moment) -> bool {
        let account = self.safety.accounts.iter().position(|a| a.named && a.subject == *subject);
        let Some(account) = account else { return false };
        // The slots until now are dealt with as things stood.
        self.kick_everybody(now);
        self.safety.accounts[account].pause(paused, PausedBy::Operator, &mut self.outbox);
        self.kick_everybody(now);
        true
    }

    /// How everybody who is in the plan stands, all together first. O(streams).
    pub fn envelope(&self, now: Moment, wall: WallOffset) -> impl Iterator<Item = SubjectSafety> {
        self.safety.accounts.iter().filter(|a| a.named).map(move |account| SubjectSafety {
            subject: account.subject.clone(),
            paused: account.paused,
            active: account.active,
            caps: account.status(now, wall),
        })
    }

    fn kick_everybody(&mut self, now: Moment) {
        for gate in self.gates.ids() {
            self.kick_gate(gate, now);
        }
    }

    /// Whether everything is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.safety.accounts[ALL].paused
    }

    /// How full the caps are: of all together, or of one stream.
    pub(super) fn cap_status(
        &self,
        account: usize,
        now: Moment,
        wall: WallOffset,
    ) -> Vec<CapStatus> {
        self.safety.accounts[account].status(now, wall)
    }

    /// When a stream's active hours begin, in Unix seconds; `None`: they are on, or never come.
    pub(super) fn active_at(&self, stream: &Stream, now: Moment, wall: WallOffset) -> Option<f64> {
        let hours = stream.plan.safety.hours.as_ref()?;
        let wait = hours.active_in(wall.unix_nanos(now)).filter(|wait| !wait.is_zero())?;
        Some(wall.unix_seconds(now + wait))
    }

    pub(super) fn is_active(&self, stream: &Stream, now: Moment) -> bool {
        self.safety.is_active(stream, now)
    }
}
