//! Bounds on what a reader takes in: a file without line ends, or an element without an end, is not read into memory.

use std::io::{self, BufRead, Read};

/// No line, row or element of a record is longer.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// Counts lines, and fails when more than [`BYTES_MAX`] are read in one go.
pub(super) struct Guard<R> {
    inner: R,
    line: u64,
    left: usize,
}

impl<R: BufRead> Guard<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, line: 1, left: BYTES_MAX }
    }

    /// The next line, row or element begins.
    pub(super) const fn next(&mut self) {
        self.left = BYTES_MAX;
    }

    /// The line that reading has come to, from 1.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }
}

impl<R: BufRead> Read for Guard<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(out.len());
        out[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: BufRead> BufRead for Guard<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("longer than {} MiB without an end", BYTES_MAX >> 20),
            ));
        }
        let available = self.inner.fill_buf()?;
        Ok(&available[..available.len().min(self.left)])
    }

    fn consume(&mut self, taken: usize) {
        if let Ok(available) = self.inner.fill_buf() {
            let seen = &available[..taken.min(available.len())];
            self.line += seen.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        self.left = self.left.saturating_sub(taken);
        self.inner.consume(taken);
    }
}

/// A line without its end.
pub(super) struct Line {
    pub(super) number: u64,
    /// Whether its end is there: the last line of a file that is being written may lack it.
    pub(super) ended: bool,
}

/// Reads the next line into `text`; `None` at the end. A line that is too long is left out of `text` and counts as
/// ended.
pub(super) fn next_line<R: BufRead>(
    input: &mut Guard<R>,
    text: &mut Vec<u8>,
) -> io::Result<Option<Line>> {
    text.clear();
    input.next();
    let number = input.line();
    match input.read_until(b'\n', text) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            text.clear();
            skip_line(input)?;
            return Ok(Some(Line { number, ended: true }));
        }
        Err(error) => return Err(error),
    }
    let ended = text.pop_if(|byte| *byte == b'\n').is_some();
    text.pop_if(|byte| *byte == b'\r');
    Ok(Some(Line { number, ended }))
}

fn skip_line<R: BufRead>(input: &mut Guard<R>) -> io::Result<()> {
    loop {
        input.next();
        match input.skip_until(b'\n') {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {}
            skipped => return skipped.map(|_| ()),
        }
    }
}
