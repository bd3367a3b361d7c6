//! Starting, watching and ending a real program.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::http;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(20);

/// How much of a program's log a failure quotes.
const LOG_LINES_SHOWN: usize = 40;

/// A child process whose output goes to a file. Dropping it kills it, so a failed test leaves nothing running.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its standard output and error go to `log`, its standard input is empty.
    pub(crate) fn spawn(name: &str, command: &mut Command, log: &Path) -> Self {
        let output = File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let errors = output.try_clone().unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name} ({command:?}): {e}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it wrote so far.
    pub(crate) fn log(&self) -> String {
        // Lossy: a log that is not UTF-8 is still worth showing.
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Sends it a signal, by name: `TERM`, `HUP`, `STOP` (silent but alive), `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: a signal needs no unsafe code and no further dependency that way.
        let sent =
            Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.id())]).status();
        assert!(
            sent.as_ref().is_ok_and(ExitStatus::success),
            "cannot send {name} to {}: {sent:?}",
            self.name
        );
    }

    /// Has it ended? `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_else(|e| panic!("cannot wait for {}: {e}", self.name))
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, within: Duration) -> ExitStatus {
        match wait_for(within, || self.ended()) {
            Some(status) => status,
            None => self.fail(&format!("still runs after {within:?}")),
        }
    }

    /// SIGTERM, and its exit status.
    pub(crate) fn terminate(&mut self, within: Duration) -> ExitStatus {
        self.signal("TERM");
        self.wait(within)
    }

    /// Waits until `url` answers with anything but a server error.
    pub(crate) fn wait_for_answer(&mut self, url: &str, within: Duration) {
        let answered = wait_for(within, || {
            if let Some(status) = self.ended() {
                self.fail(&format!("ended with {status} before {url} answered"));
            }
            http::get(url).ok().filter(|answer| answer.status < 500)
        });
        if answered.is_none() {
            self.fail(&format!("{url} did not answer within {within:?}"));
        }
    }

    /// Panics with what it logged: what went wrong is usually there.
    fn fail(&self, what: &str) -> ! {
        panic!("{}: {what}; the end of its log:\n{}", self.name, self.log_tail());
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the end of {}'s log:\n{}", self.name, self.log_tail());
        }
    }
}

/// Asks again and again until there is an answer; `None` when there is none `within` the time.
#[expect(clippy::disallowed_methods, reason = "real programs run in real time")]
pub(crate) fn wait_for<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(POLL);
    }
}

/// Loopback ports that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All are held at once, or the system may hand out the same one twice.
    let held: [TcpListener; N] = std::array::from_fn(|_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")
    });
    held.map(|listener| listener.local_addr().expect("a bound listener has an address").port())
}

/// A program that `tests/run` installed.
#[expect(
    clippy::disallowed_methods,
    reason = "the one setting of the tests themselves: where their tools are"
)]
pub(crate) fn testbed_tool(name: &str) -> PathBuf {
    let Some(bin) = std::env::var_os("PLIMSOLL_TESTBED") else {
        panic!(
            "PLIMSOLL_TESTBED is not set: run tests/run, which installs {name} and says where it is"
        );
    };
    let tool = Path::new(&bin).join(name);
    assert!(tool.is_file(), "{} is not there: run tests/testbed/install", tool.display());
    tool
}

/// A directory for one program's files, removed when dropped.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("plimsoll-test-")
        .tempdir()
        .expect("the system's temporary directory can be written")
}

/// Writes `text` to `directory/name` and returns its path.
pub(crate) fn write_file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}
