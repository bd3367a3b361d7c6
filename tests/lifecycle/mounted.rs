//! A ConfigMap or Secret as a kubelet mounts it: files are links through `..data`, which is itself a link to a
//! folder of one revision. A new revision is written beside the old one, and one rename swaps `..data`.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(crate) struct Mounted {
    path: PathBuf,
    revision: Cell<u32>,
}

impl Mounted {
    pub(crate) fn new(path: &Path, files: &[(&str, &str)]) -> Self {
        fs::create_dir(path).expect("a new directory");
        let mounted = Self { path: path.to_owned(), revision: Cell::new(0) };
        mounted.swap(files);
        mounted
    }

    /// A new revision, which has only these files.
    pub(crate) fn swap(&self, files: &[(&str, &str)]) {
        let old = self.name();
        self.revision.set(self.revision.get() + 1);
        let (new, next) = (self.name(), self.path.join("..data_tmp"));
        fs::create_dir(self.path.join(&new)).expect("a new directory");
        for (name, text) in files {
            fs::write(self.path.join(&new).join(name), text).expect("writable");
        }
        symlink(&new, &next).expect("a link");
        fs::rename(&next, self.path.join("..data")).expect("the swap");
        for (name, _) in files {
            let link = self.path.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).expect("a link");
            }
        }
        // The first revision has none before it.
        let _ = fs::remove_dir_all(self.path.join(old));
    }

    fn name(&self) -> String {
        format!("..2026_11_24_{}", self.revision.get())
    }
}
