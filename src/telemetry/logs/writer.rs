//! A writer that hands whole lines to a thread: whoever logs never waits for the reader of the log.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The sending end. Cheap to clone.
#[derive(Clone)]
pub(super) struct LineWriter {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl LineWriter {
    /// Starts the thread that writes to `output`.
    pub(super) fn start<W: Write + Send + 'static>(
        output: W,
        queue_lines_max: usize,
    ) -> io::Result<Self> {
        let (queue, lines) = mpsc::sync_channel(queue_lines_max.max(1));
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(output, &lines))?;
        Ok(Self { queue, lost: Arc::default() })
    }

    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the flush at exit is bounded in real time, and the engine has ended"
    )]
    /// Waits until what was handed over before is written, at most `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        let (done, written) = mpsc::sync_channel(1);
        let mut message = Message::Flush(done);
        // The queue may be full for as long as the reader of the log likes.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            message = back;
        }
        // A timeout means that some lines are not written; there is nobody to tell it to.
        let _ = written.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

fn write_all<W: Write>(mut output: W, lines: &Receiver<Message>) {
    while let Ok(message) = lines.recv() {
        match message {
            // Where standard error is closed, there is nowhere to say so.
            Message::Line(line) => drop(output.write_all(&line)),
            Message::Flush(done) => {
                let _ = output.flush();
                let _ = done.send(());
            }
        }
    }
}

impl Write for &LineWriter {
    /// `tracing-subscriber` writes each event with one call, its line break included.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what a stuck reader costs is real time")]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// Blocks in its first write until it is let go.
    struct Stuck(Arc<(Mutex<bool>, Condvar)>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (free, changed) = &*self.0;
            let mut free = free.lock().expect("not poisoned");
            while !*free {
                free = changed.wait(free).expect("not poisoned");
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_costs_lines_and_not_time() {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let writer = LineWriter::start(Stuck(Arc::clone(&gate)), 4).expect("a thread");
        let before = Instant::now();
        for _ in 0..100 {
            (&writer).write_all(b"line\n").expect("never fails");
        }
        writer.flush(Duration::from_millis(50));
        assert!(before.elapsed() < Duration::from_secs(2), "nobody waited for the reader");
        let lost = writer.lost().load(Ordering::Relaxed);
        // Four wait, and one more may be in the stuck write.
        assert!((95..=96).contains(&lost), "{lost}");
        *gate.0.lock().expect("not poisoned") = true;
        gate.1.notify_all();
        writer.flush(Duration::from_secs(5));
        (&writer).write_all(b"line\n").expect("never fails");
        assert_eq!(writer.lost().load(Ordering::Relaxed), lost, "lines get through again");
    }
}
