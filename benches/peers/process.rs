//! Child processes: started, watched through /proc, and gone when dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::clock::wait_for;

/// Linux counts the CPU time it shows in these, whatever its own tick is (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// How much of a program's output a failure quotes.
const LOG_LINES_SHOWN: usize = 20;

/// Longer than any answer on loopback takes, a page of metrics of a thousand streams included.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// A child whose standard error goes to a file.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn spawn(name: &str, mut command: Command, directory: &Path) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        // The pipe to its standard input ends with this process, which tells a server of ours to end too.
        let child = command
            .stdin(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .map_err(|e| format!("cannot start {name} ({command:?}): {e}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        // Lossy: a log that is not UTF-8 is still worth showing.
        fs::read(&self.log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    /// Waits for it to end by itself, with success.
    pub(crate) fn finish(&mut self, within: Duration) -> Result<()> {
        match wait_for(within, || self.child.try_wait().transpose()) {
            Some(Ok(status)) if status.success() => Ok(()),
            Some(Ok(status)) => Err(self.problem(&format!("ended with {status}")).into()),
            Some(Err(e)) => Err(self.problem(&e.to_string()).into()),
            None => Err(self.problem(&format!("still ran {within:?} after its time")).into()),
        }
    }

    /// Fails if it has ended, with what it wrote: the reason is usually there.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.problem(&format!("ended early with {status}")).into()),
        }
    }

    fn problem(&self, what: &str) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        format!("{}: {what}\n{tail}", self.name)
    }

    /// User and system time of all its threads so far, in seconds.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        cpu_s(&self.child.id().to_string())
    }

    /// The most memory that was resident at once so far, in MiB.
    pub(crate) fn resident_mib_max(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.ok_or("no VmHWM in /proc")? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process, or of this one (`self`), in seconds.
pub(crate) fn cpu_s(pid: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in brackets and may hold anything; utime and stime are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')').ok_or("an odd line in /proc/PID/stat")?;
    let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<f64>().ok();
    let both = ticks(11).zip(ticks(12)).ok_or("an odd line in /proc/PID/stat")?;
    Ok((both.0 + both.1) / TICKS_PER_SECOND)
}

/// CPU time that the whole machine has spent on anything, time stolen by its host included, in seconds.
pub(crate) fn machine_cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = all.map_while(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i)).sum::<f64>();
    Ok(busy / TICKS_PER_SECOND)
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until something listens on the port.
pub(crate) fn wait_for_port(port: u16, process: &mut Process) -> Result<()> {
    let connected = wait_for(Duration::from_secs(30), || {
        if let Err(e) = process.check_alive() {
            return Some(Err(e));
        }
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(|_| Ok(()))
    });
    connected.unwrap_or_else(|| Err(process.problem("does not listen").into()))
}

/// The body of a 200 from loopback. As sent: a chunked one keeps its chunk marks.
pub(crate) fn get(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head_end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("not HTTP")?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(format!("{path}: {}", String::from_utf8_lossy(&answer[..head_end])).into());
    }
    Ok(answer.split_off(head_end + 4))
}
