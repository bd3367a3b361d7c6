//! The attempt log: a line for each attempt, written by a thread of its own into files of bounded size.
//!
//! The send loop hands attempts over and never waits: what finds the queue full is counted and dropped. What the disk
//! does not take is counted, too; the file then ends with its last whole line, and writing goes on when there is room.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use super::StartError;
use crate::config::AttemptLogSettings;
use crate::model::{AttemptId, AttemptRecord, Event, IdHash, StreamId, StreamInfo, WallOffset};
use crate::records::AttemptLine;
use crate::telemetry::AttemptLogCounts;

/// Lines that are written in one go.
const BATCH_BYTES: usize = 64 * 1024;

/// An attempt that is to be written.
struct Entry {
    record: Arc<AttemptRecord>,
    stream: Arc<StreamInfo>,
    wall: WallOffset,
    in_flight: u32,
}

/// The send loop's end.
pub(crate) struct Scribe {
    queue: SyncSender<Entry>,
    counts: Arc<AttemptLogCounts>,
    streams: HashMap<StreamId, Arc<StreamInfo>, IdHash>,
    /// Requests in flight by limit domain.
    domains: HashMap<Arc<str>, u32>,
    /// What is in flight: its stream, which may have been removed since, and how many were in flight with it.
    sent: HashMap<AttemptId, (Arc<StreamInfo>, u32), IdHash>,
}

/// The other end: waits for the thread that writes.
pub(crate) struct Writing(Receiver<()>);

/// Opens the file and starts the thread, if there is to be a log.
///
/// # Errors
/// The file cannot be opened, or no thread can be started.
pub(crate) async fn start(
    settings: &AttemptLogSettings,
    counts: Arc<AttemptLogCounts>,
) -> Result<(Option<Scribe>, Option<Writing>), StartError> {
    let Some(path) = settings.path.clone() else { return Ok((None, None)) };
    let (settings, named) = (settings.clone(), path.clone());
    // On a thread of the background, whose standing the writer inherits.
    let starting = tokio::task::spawn_blocking(move || on_a_thread(path, &settings, counts));
    let started = starting.await.map_err(io::Error::other).flatten();
    let (scribe, writing) =
        started.map_err(|source| StartError::AttemptLog { path: named, source })?;
    Ok((Some(scribe), Some(writing)))
}

fn on_a_thread(
    path: PathBuf,
    settings: &AttemptLogSettings,
    counts: Arc<AttemptLogCounts>,
) -> io::Result<(Scribe, Writing)> {
    let mut files = Files::open(path, settings.max_bytes, settings.max_files)?;
    let (queue, entries) = mpsc::sync_channel(settings.queue_lines);
    let (done, written) = mpsc::sync_channel(1);
    let told = Arc::clone(&counts);
    std::thread::Builder::new().name("attempt-log".to_owned()).spawn(move || {
        write_all(&mut files, &entries, &told);
        let _ = done.send(());
    })?;
    let scribe = Scribe {
        queue,
        counts,
        streams: HashMap::default(),
        domains: HashMap::new(),
        sent: HashMap::default(),
    };
    Ok((scribe, Writing(written)))
}

impl Scribe {
    /// Takes note of what the engine tells.
    pub(super) fn tell(&mut self, wall: WallOffset, event: &Event) {
        match event {
            Event::StreamAdded(info) => {
                self.streams.insert(info.id, Arc::clone(info));
            }
            Event::Sent(order) => {
                let Some(stream) = self.streams.get(&order.stream) else { return };
                let in_flight = self.domains.entry(Arc::clone(&stream.domain)).or_default();
                *in_flight += 1;
                self.sent.insert(order.attempt, (Arc::clone(stream), *in_flight));
            }
            Event::Ended(record) => self.ended(wall, record),
            Event::StreamRemoved(id) => {
                self.streams.remove(id);
            }
            _ => {}
        }
    }

    fn ended(&mut self, wall: WallOffset, record: &Arc<AttemptRecord>) {
        let Some((stream, in_flight)) = self.sent.remove(&record.order.attempt) else { return };
        if let Some(now) = self.domains.get_mut(&stream.domain) {
            *now = now.saturating_sub(1);
        }
        let entry = Entry { record: Arc::clone(record), stream, wall, in_flight };
        if self.queue.try_send(entry).is_err() {
            self.counts.dropped();
        }
    }
}

impl Writing {
    /// Waits until everything is written that was handed over before the scribe was dropped. False: not in time.
    pub(crate) fn finish(self, timeout: Duration) -> bool {
        // Disconnected: the thread has ended, in whichever way.
        self.0.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout)
    }
}

fn write_all(files: &mut Files, entries: &Receiver<Entry>, counts: &AttemptLogCounts) {
    let mut batch = Vec::with_capacity(BATCH_BYTES + 1024);
    let mut failing = false;
    while let Ok(first) = entries.recv() {
        batch.clear();
        let mut lines = 0;
        let mut next = Some(first);
        while let Some(Entry { record, stream, wall, in_flight }) = next {
            AttemptLine::of(&record, &stream, wall, in_flight).write(&mut batch);
            lines += 1;
            next = if batch.len() < BATCH_BYTES { entries.try_recv().ok() } else { None };
        }
        let result = files.write(&batch);
        let file = files.path.display();
        match result {
            Ok(()) => {
                counts.written(lines);
                if std::mem::take(&mut failing) {
                    tracing::info!(%file, "the attempt log can be written again");
                }
            }
            Err(error) => {
                counts.failed(lines);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%file, %error, "the attempt log cannot be written: lines are lost");
                }
            }
        }
    }
}

/// The file that is written to, and the older ones beside it.
struct Files {
    path: PathBuf,
    bytes_max: u64,
    older_max: u32,
    file: Option<File>,
    /// Where its last whole line ends.
    length: u64,
}

impl Files {
    fn open(path: PathBuf, bytes_max: u64, older_max: u32) -> io::Result<Self> {
        let mut files = Self { path, bytes_max, older_max, file: None, length: 0 };
        files.reopen()?;
        Ok(files)
    }

    /// Opens the file, which may be there already; a run that was killed may have left half a line at its end.
    fn reopen(&mut self) -> io::Result<()> {
        let mut open = OpenOptions::new();
        // Not in append mode: what is half written is written over.
        open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = open.open(&self.path)?;
        self.length = whole_lines(&mut file)?;
        self.file = Some(file);
        Ok(())
    }

    /// Writes whole lines, all of them or none.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.length > 0 && self.length + lines.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let length = self.length;
        let written = file
            .set_len(length)
            .and_then(|()| file.seek(SeekFrom::Start(length)))
            .and_then(|_| file.write_all(lines));
        if let Err(error) = written {
            // Cut now, so that whoever reads finds whole lines; if that fails as well, the next write does it.
            let _ = file.set_len(length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.older_max == 0 {
            if let Some(file) = &self.file {
                file.set_len(0)?;
            }
            self.length = 0;
            return Ok(());
        }
        for older in (1..self.older_max).rev() {
            match fs::rename(numbered(&self.path, older), numbered(&self.path, older + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::rename(&self.path, numbered(&self.path, 1)) {
            // Somebody has taken it away.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        (self.file, self.length) = (None, 0);
        self.reopen()
    }
}

/// `attempts.ndjson.1` for `attempts.ndjson`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Where the last line ends that has its end.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    /// No line is longer.
    const LINE_BYTES_MAX: u64 = 1 << 20;
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    file.take(LINE_BYTES_MAX).read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    Ok(begin + end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Answer, CredentialId, EndpointId, Identity, MessageId, Moment, Rate, SendOrder, SpanId,
        Verdict,
    };
    use crate::telemetry::{BuildInfo, Telemetry};

    fn event(attempt: u64, ended: bool) -> Event {
        let order = SendOrder {
            attempt: AttemptId(attempt),
            stream: StreamId(0),
            endpoint: EndpointId(0),
            credential: CredentialId(0),
            token_generation: 1,
            message: MessageId(1),
            sequence: 0,
            resend: 0,
            span: SpanId(1),
            due: Moment::ZERO,
            first_due: Moment::ZERO,
            ordered_at: Moment::ZERO,
            resume: false,
        };
        let answer = Answer::bare(Verdict::Accepted, Moment::ZERO, Moment::ZERO);
        if ended {
            Event::Ended(Arc::new(AttemptRecord { order, answer }))
        } else {
            Event::Sent(order)
        }
    }

    #[test]
    fn a_disk_that_hangs_costs_lines_and_not_time() {
        // Nobody takes anything out of the queue, which holds two.
        let (queue, entries) = mpsc::sync_channel(2);
        let build =
            BuildInfo { version: String::new(), revision: String::new(), rustc: String::new() };
        let (telemetry, _) = Telemetry::new(&build, 0.0).expect("a catalog");
        let counts = telemetry.attempt_log();
        let mut scribe = Scribe {
            queue,
            counts,
            streams: HashMap::default(),
            domains: HashMap::new(),
            sent: HashMap::default(),
        };
        let info = StreamInfo {
            id: StreamId(0),
            name: "s".into(),
            target: "t".into(),
            credential: "c".into(),
            domain: "d".into(),
            identity: Identity::default(),
            method: "POST".into(),
            path_template: "/".into(),
            server_address: "h".into(),
            server_port: 1,
            rate: Rate::per_sec(1).expect("a rate"),
        };
        let wall = WallOffset::default();
        scribe.tell(wall, &Event::StreamAdded(Arc::new(info)));
        for attempt in 0..5 {
            scribe.tell(wall, &event(attempt, false));
        }
        // What is in flight is written after its stream is gone.
        scribe.tell(wall, &Event::StreamRemoved(StreamId(0)));
        for attempt in 0..5 {
            scribe.tell(wall, &event(attempt, true));
        }
        let queued: Vec<_> = entries.try_iter().map(|entry| entry.in_flight).collect();
        assert_eq!(queued, [1, 2]);
        let text = telemetry.render(None).body;
        let dropped = "plimsoll_attempt_log_lines_total{result=\"dropped\"} 3";
        assert!(text.contains(dropped), "{text}");
        assert!(scribe.sent.is_empty());
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn files_are_bounded_in_size_and_number_and_hold_whole_lines() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.ndjson");
        let mut files = Files::open(path.clone(), 10, 2).expect("opens");
        for line in 0..9 {
            files.write(format!("{line}{line}{line}\n").as_bytes()).expect("written");
        }
        assert_eq!(content(&path), "888\n");
        assert_eq!(content(&numbered(&path, 1)), "666\n777\n");
        assert_eq!(content(&numbered(&path, 2)), "444\n555\n");
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 3);
        // One that is longer than a file may be has one of its own.
        files.write(b"a long line of its own\n").expect("written");
        assert_eq!(content(&path), "a long line of its own\n");
        assert_eq!(content(&numbered(&path, 1)), "888\n");
    }

    #[test]
    fn without_older_files_it_begins_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.ndjson");
        let mut files = Files::open(path.clone(), 8, 0).expect("opens");
        for line in ["aaa\n", "bbb\n", "ccc\n"] {
            files.write(line.as_bytes()).expect("written");
        }
        assert_eq!(content(&path), "ccc\n");
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);
    }

    #[test]
    fn half_a_line_of_a_run_that_was_killed_is_written_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.ndjson");
        fs::write(&path, "whole\nhal").expect("written");
        let mut files = Files::open(path.clone(), 100, 1).expect("opens");
        files.write(b"x\n").expect("written");
        assert_eq!(content(&path), "whole\nx\n");
    }
}
