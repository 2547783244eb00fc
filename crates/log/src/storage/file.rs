//! Files of the operating system: positioned reads and writes, no memory map (a damaged page would
//! be a signal, not an error), an exclusive lock on a lock file.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{File, Storage};

const LOCK_FILE: &str = "lock";

/// A folder on disk.
#[derive(Debug)]
pub struct FileStorage {
    folder: PathBuf,
}

impl FileStorage {
    /// Uses this folder, creating it (and its parents) if it is missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(folder: &Path) -> io::Result<FileStorage> {
        match fs::create_dir_all(folder) {
            Err(error) if !folder.is_dir() => return Err(error),
            _ => {}
        }
        Ok(FileStorage { folder: folder.to_path_buf() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Storage for FileStorage {
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path(LOCK_FILE))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(self.path(name))?;
        Ok(Arc::new(OpenFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::options().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(OpenFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.folder)?.sync_all()
    }
}

struct OpenFile(fs::File);

impl File for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.0.read_at(&mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // Some file systems cannot preallocate. A sparse file of that length does: writes may
            // then run out of room one by one, which is reported as such.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(length),
            other => Ok(other?),
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(folder.path()).unwrap();
        let held = storage.lock().unwrap();
        let refused = storage.lock().err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        storage.lock().unwrap();
    }

    #[test]
    fn writes_are_read_back_and_the_end_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(folder.path()).unwrap();
        let file = storage.create("a").unwrap();
        file.allocate(10).unwrap();
        file.write_at(b"xyz", 2).unwrap();
        let mut bytes = [9; 12];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 10);
        assert_eq!(&bytes, b"\0\0xyz\0\0\0\0\0\x09\x09");
        file.truncate(4).unwrap();
        assert_eq!(file.length().unwrap(), 4);
        storage.rename("a", "b").unwrap();
        assert!(storage.list().unwrap().contains(&"b".to_owned()));
        storage.remove("b").unwrap();
        assert_eq!(storage.open("b").err().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
