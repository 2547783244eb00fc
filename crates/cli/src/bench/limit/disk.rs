//! The limit of durable appends: one write and one `fdatasync` for each group, and nothing else.
//!
//! The file has its blocks before it is written to, as a log's segments have: a sync that must
//! also record a new length would be slower than what a log needs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes of one file; then the next one begins and this one is removed.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Appends groups of bytes to files in a folder.
pub(crate) struct BareFile {
    folder: PathBuf,
    file: File,
    written: u64,
    number: u64,
    group: Vec<u8>,
}

impl BareFile {
    pub(crate) fn create(folder: PathBuf) -> io::Result<BareFile> {
        let file = allocate(&folder, 0)?;
        Ok(BareFile { folder, file, written: 0, number: 0, group: Vec::new() })
    }

    /// Adds one event's bytes to the next group.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.group.extend_from_slice(data);
    }

    /// Writes the group and returns once it is on the device.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.written + self.group.len() as u64 > FILE_BYTES {
            let next = allocate(&self.folder, self.number + 1)?;
            std::fs::remove_file(name(&self.folder, self.number))?;
            (self.file, self.written, self.number) = (next, 0, self.number + 1);
        }
        self.file.write_all_at(&self.group, self.written)?;
        self.written += self.group.len() as u64;
        self.group.clear();
        self.file.sync_data()
    }
}

fn name(folder: &std::path::Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.bare"))
}

fn allocate(folder: &std::path::Path, number: u64) -> io::Result<File> {
    let file = File::create(name(folder, number))?;
    fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES)?;
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_each_other_and_full_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut bare = BareFile::create(folder.path().to_owned()).unwrap();
        for part in [&b"ab"[..], b"c", b"de"] {
            bare.push(part);
        }
        bare.commit().unwrap();
        bare.push(b"f");
        bare.commit().unwrap();
        let bytes = std::fs::read(name(folder.path(), 0)).unwrap();
        assert_eq!(&bytes[..7], b"abcdef\0");
        bare.written = FILE_BYTES;
        bare.push(b"g");
        bare.commit().unwrap();
        assert!(!name(folder.path(), 0).exists());
        assert_eq!(std::fs::read(name(folder.path(), 1)).unwrap()[0], b'g');
    }
}
