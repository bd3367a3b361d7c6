//! Where the state file lies: read at the start, replaced as a whole whenever it is written, so that
//! whoever reads it finds the old one or the new one and never half of either.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::state_format::{self, Stamp};
use crate::model::Memory;

/// A file that is longer was not written by this program: a scope takes less than a kilobyte.
const BYTES_MAX: u64 = 16 << 20;

/// What an earlier run left.
#[derive(Debug, PartialEq)]
pub(super) enum Left {
    /// This, which is nothing where there is no file.
    Memory(Memory),
    /// A file that cannot be used.
    Unusable,
}

/// Keeps others from the file while this is held, however the process ends: two daemons that count in one file would
/// each send what its caps leave. `None`: it cannot be locked, which is said, and nothing that is sent depends on.
///
/// # Errors
/// Another process holds it.
pub(super) fn hold(path: &Path) -> io::Result<Option<File>> {
    // Not the file itself: that is another one whenever it is written.
    let beside = beside(path, "lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let locked = options.open(&beside).map_err(TryLockError::Error).and_then(|file| {
        file.try_lock()?;
        Ok(file)
    });
    match locked {
        Ok(file) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another process keeps it")),
        Err(TryLockError::Error(error)) => {
            let file = beside.display();
            tracing::warn!(%file, %error, "nothing keeps other daemons from the state file");
            Ok(None)
        }
    }
}

/// What the file tells at this time. Whatever is wrong with it is said, and it is put
/// aside: a daemon that knows nothing is better than none.
pub(super) fn read(path: &Path, now: Stamp) -> Left {
    let file = path.display();
    let problem = match contents(path) {
        Ok(None) => {
            tracing::info!(%file, "no state file yet: nothing is known of an earlier run");
            return Left::Memory(Memory::default());
        }
        Ok(Some(text)) => match state_format::parse(&text, now, boot_id().as_deref()) {
            Ok(memory) => {
                let (scopes, counts) = (memory.scopes.len(), memory.safety.counts.len());
                tracing::info!(%file, scopes, counts, "state of an earlier run read");
                return Left::Memory(memory);
            }
            Err(problem) => problem,
        },
        Err(error) => error.to_string(),
    };
    let aside = beside(path, "bad");
    match fs::rename(path, &aside) {
        Ok(()) => tracing::warn!(
            %file, problem, kept_as = %aside.display(),
            "the state file cannot be used: nothing is known of an earlier run"
        ),
        Err(error) => tracing::warn!(
            %file, problem, %error,
            "the state file cannot be used, nor be kept aside: nothing is known of an earlier run"
        ),
    }
    Left::Unusable
}

/// Which start of the machine this is; the clock since that start means the same to both of its runs.
pub(super) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

fn contents(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    if file.take(BYTES_MAX + 1).read_to_string(&mut text)? as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("longer than {BYTES_MAX} bytes")));
    }
    Ok(Some(text))
}

/// Replaces the file. Blocks until the text is on the disk.
///
/// # Errors
/// Why the file is still the old one.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let fresh = beside(path, "tmp");
    match fs::remove_file(&fresh) {
        // Left by a run that was killed while it wrote.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // The new name has to be on the disk as well. Not every file system can be asked to.
    if let Some(Ok(directory)) = path.parent().map(directory_of).map(File::open) {
        let _ = directory.sync_all();
    }
    Ok(())
}

fn directory_of(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// `state.json.tmp` for `state.json`: in the same directory, because a rename is atomic only there.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.json");
        // As a run leaves it that is killed while it writes.
        fs::write(beside(&path, "tmp"), "half a").expect("writable");
        for text in ["long text\n", "short\n"] {
            write(&path, text).expect("writable");
            assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        }
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_file_that_is_no_file_is_kept_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.json");
        fs::create_dir(&path).expect("writable");
        assert_eq!(read(&path, Stamp::default()), Left::Unusable);
        assert!(!path.exists() && beside(&path, "bad").is_dir());
    }
}
