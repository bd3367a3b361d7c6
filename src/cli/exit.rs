//! Exit codes.

/// Exit code: it did what was asked.
pub const EXIT_OK: u8 = 0;
/// Exit code: it failed while running.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code: the run came to its end and did not keep all of its thresholds. It is that of k6.
pub const EXIT_THRESHOLDS: u8 = 99;
/// Exit code: a run that was to have an end was stopped before it. It is that of k6, too.
pub const EXIT_STOPPED: u8 = 105;
/// Exit code: the command line, the configuration or a file to read is wrong; nothing was sent.
pub const EXIT_USAGE: u8 = 2;

/// For the end of every help.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    it did what was asked: stopped by a signal and drained, sent what it was told to, all valid
  1    it failed while running: an address in use, a panic in a task
  2    the command line, the configuration or a file to read is wrong; nothing was sent
  99   a run with --for or --count did not keep all of its thresholds; a probe with --baseline found
       that the limit has changed
  105  a run with --for or --count was stopped before its end: its summary is of what there was
";
