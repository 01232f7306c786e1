//! Files that only their owner can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file that only its owner can read. A reader sees the old content or the new one, never a part.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("tenet-new");
    // Left behind by a run that was interrupted.
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&draft, path)
}
