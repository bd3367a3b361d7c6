//! What the send loop, the scrapes and the exporter have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use tokio::runtime::RuntimeMetrics;

use super::book::Book;
use super::catalog::{self as c, CATALOG};
use super::exemplars::Exemplars;
use super::objectives;
use super::sheet::Sheet;
use crate::model::Objectives;
use crate::telemetry::spans::{SpanCounts, SpanDrop};
use crate::telemetry::{BuildInfo, PodInfo, TelemetryError};

/// Outcomes of configuration reloads.
#[derive(Default)]
pub(in crate::telemetry) struct Reloads {
    last_failed: AtomicBool,
    last_success_bits: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
}

impl Reloads {
    pub(in crate::telemetry) fn record(&self, unix_s: f64, successful: bool) {
        if successful {
            self.last_success_bits.store(unix_s.to_bits(), Ordering::Relaxed);
            self.successes.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.last_failed.store(!successful, Ordering::Relaxed);
    }

    fn collect(&self, sheet: &mut Sheet) {
        let ok = !self.last_failed.load(Ordering::Relaxed);
        sheet.put(&c::RELOAD_OK, &[], f64::from(u8::from(ok)));
        let at = f64::from_bits(self.last_success_bits.load(Ordering::Relaxed));
        sheet.put(&c::RELOAD_AT, &[], at);
        sheet.count(&c::RELOADS, &["success"], self.successes.load(Ordering::Relaxed));
        sheet.count(&c::RELOADS, &["failure"], self.failures.load(Ordering::Relaxed));
    }
}

/// What became of the state file.
#[derive(Default)]
pub(in crate::telemetry) struct StateWrites {
    written_bits: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
}

impl StateWrites {
    pub(in crate::telemetry) fn record(&self, unix_s: f64, successful: bool) {
        if successful {
            self.written_bits.store(unix_s.to_bits(), Ordering::Relaxed);
            self.ok.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn collect(&self, sheet: &mut Sheet) {
        sheet.count(&c::STATE_WRITES, &["ok"], self.ok.load(Ordering::Relaxed));
        sheet.count(&c::STATE_WRITES, &["failed"], self.failed.load(Ordering::Relaxed));
        let at = f64::from_bits(self.written_bits.load(Ordering::Relaxed));
        sheet.put(&c::STATE_WRITTEN, &[], at);
    }
}

/// What became of the lines of the attempt log.
#[derive(Debug, Default)]
pub struct AttemptLogCounts {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl AttemptLogCounts {
    /// So many are in the file.
    pub fn written(&self, lines: u64) {
        self.written.fetch_add(lines, Ordering::Relaxed);
    }

    /// One found the queue full.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// So many the file could not take.
    pub fn failed(&self, lines: u64) {
        self.failed.fetch_add(lines, Ordering::Relaxed);
    }

    fn collect(&self, sheet: &mut Sheet) {
        for (result, count) in
            [("written", &self.written), ("dropped", &self.dropped), ("failed", &self.failed)]
        {
            sheet.count(&c::ATTEMPT_LOG_LINES, &[result], count.load(Ordering::Relaxed));
        }
    }
}

/// The shared state.
pub(in crate::telemetry) struct Shared {
    book: Mutex<Book>,
    pub(in crate::telemetry) exemplars: Mutex<Exemplars>,
    pub(in crate::telemetry) spans: Arc<SpanCounts>,
    pub(in crate::telemetry) reloads: Reloads,
    pub(in crate::telemetry) state_writes: StateWrites,
    pub(in crate::telemetry) attempt_log: Arc<AttemptLogCounts>,
    pub(in crate::telemetry) registry: Registry,
    objectives: Mutex<Option<Objectives>>,
    log_losses: OnceLock<Arc<AtomicU64>>,
    build: BuildInfo,
    pod: OnceLock<PodInfo>,
    runtimes: Mutex<Vec<(&'static str, RuntimeMetrics)>>,
    started_unix_s: f64,
}

impl Shared {
    pub(in crate::telemetry) fn new(
        build: &BuildInfo,
        started_unix_s: f64,
    ) -> Result<Arc<Self>, TelemetryError> {
        let shared = Arc::new(Self {
            book: Mutex::new(Book::new()),
            exemplars: Mutex::new(Exemplars::default()),
            spans: Arc::new(SpanCounts::default()),
            reloads: Reloads::default(),
            state_writes: StateWrites::default(),
            attempt_log: Arc::default(),
            registry: Registry::new(),
            objectives: Mutex::default(),
            log_losses: OnceLock::new(),
            build: build.clone(),
            pod: OnceLock::new(),
            runtimes: Mutex::default(),
            started_unix_s,
        });
        let collector = OwnMetrics { descs: descs()?, shared: Arc::downgrade(&shared) };
        shared.registry.register(Box::new(collector))?;
        shared.registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(shared)
    }

    pub(in crate::telemetry) fn watch_log_losses(&self, losses: Arc<AtomicU64>) {
        // Logging is set up once in a process; a second call has nothing to add.
        self.log_losses.get_or_init(|| losses);
    }

    pub(in crate::telemetry) fn set_objectives(&self, objectives: Objectives) {
        *self.objectives.lock().unwrap_or_else(PoisonError::into_inner) = Some(objectives);
    }

    pub(in crate::telemetry) fn watch_runtime(&self, name: &'static str, metrics: RuntimeMetrics) {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner).push((name, metrics));
    }

    fn collect_runtimes(&self, sheet: &mut Sheet) {
        for (name, runtime) in &*self.runtimes.lock().unwrap_or_else(PoisonError::into_inner) {
            sheet.count(&c::RUNTIME_TASKS, &[name], runtime.num_alive_tasks() as u64);
            sheet.count(&c::RUNTIME_QUEUE, &[name], runtime.global_queue_depth() as u64);
            let workers = 0..runtime.num_workers();
            let busy: Duration = workers.map(|w| runtime.worker_total_busy_duration(w)).sum();
            sheet.put(&c::RUNTIME_BUSY, &[name], busy.as_secs_f64());
        }
    }

    pub(in crate::telemetry) fn runs_in(&self, pod: PodInfo) {
        // A process does not move.
        self.pod.get_or_init(|| pod);
    }

    /// The book, waiting for it if need be.
    pub(in crate::telemetry) fn book(&self) -> MutexGuard<'_, Book> {
        // Counting cannot panic half-way in a manner that matters: a number may be one too low.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book, unless somebody else has it.
    pub(in crate::telemetry) fn try_book(&self) -> Option<MutexGuard<'_, Book>> {
        match self.book.try_lock() {
            Ok(book) => Some(book),
            Err(std::sync::TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    pub(in crate::telemetry) fn heartbeat_unix_s(&self) -> f64 {
        self.book().numbers.heartbeat_unix_s
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Copied under the lock, rendered outside of it.
        let numbers = self.book().numbers.clone();
        let mut sheet = Sheet::default();
        numbers.collect(&mut sheet);
        let totals = self.spans.totals();
        sheet.count(&c::SPANS_EXPORTED, &[], totals.exported);
        sheet.count(&c::SPANS_FAILED, &[], totals.failed);
        for reason in SpanDrop::ALL {
            let lost = totals.dropped[reason.index()];
            sheet.count(&c::SPANS_DROPPED, &[reason.as_str()], lost);
        }
        sheet.count(&c::SPANS_QUEUED, &[], totals.queued);
        sheet.count(&c::SPANS_CAPACITY, &[], totals.capacity);
        let lost = self.log_losses.get().map_or(0, |lost| lost.load(Ordering::Relaxed));
        sheet.count(&c::LOG_LINES_LOST, &[], lost);
        self.attempt_log.collect(&mut sheet);
        self.collect_runtimes(&mut sheet);
        self.reloads.collect(&mut sheet);
        self.state_writes.collect(&mut sheet);
        if let Some(goals) = *self.objectives.lock().unwrap_or_else(PoisonError::into_inner) {
            objectives::collect(&mut sheet, &goals);
        }
        let BuildInfo { version, revision, rustc } = &self.build;
        sheet.put(&c::BUILD_INFO, &[version, revision, rustc], 1.0);
        if let Some(PodInfo { namespace, pod, node }) = self.pod.get() {
            sheet.put(&c::POD_INFO, &[namespace, pod, node], 1.0);
        }
        sheet.put(&c::STARTED, &[], self.started_unix_s);
        sheet.finish()
    }
}

fn descs() -> Result<Vec<Desc>, prometheus::Error> {
    CATALOG
        .iter()
        .map(|family| {
            let labels = family.labels.iter().map(|l| (*l).to_owned()).collect();
            Desc::new(family.name.to_owned(), family.help.to_owned(), labels, Default::default())
        })
        .collect()
}

/// Our metrics as the registry sees them. It holds the state weakly, as the state holds the registry.
struct OwnMetrics {
    descs: Vec<Desc>,
    shared: std::sync::Weak<Shared>,
}

impl Collector for OwnMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.shared.upgrade().map(|shared| shared.collect()).unwrap_or_default()
    }
}
