//! Files of the operating system: positioned reads and writes, no memory map (a damaged page would
//! be a signal, not an error), an exclusive lock on a lock file. What is made here is its owner's
//! alone to read: events may be secrets.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::pool::{Pool, Pooled};
use super::{File, Storage};
use crate::limits;

const LOCK_FILE: &str = "lock";
const FILE_MODE: u32 = 0o600;

/// A folder on disk.
#[derive(Debug)]
pub struct FileStorage {
    folder: PathBuf,
    pool: Arc<Pool>,
}

impl FileStorage {
    /// Uses this folder, creating it (and its parents) if it is missing. One that is there keeps
    /// its rights.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(folder: &Path) -> io::Result<FileStorage> {
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
            Err(error) if !folder.is_dir() => return Err(error),
            _ => {}
        }
        let pool = Pool::new(limits::RESTING_FILES_OPEN_MAX);
        Ok(FileStorage { folder: folder.to_path_buf(), pool })
    }

    /// Keeps at most this many files open that are only read, instead of
    /// [`RESTING_FILES_OPEN_MAX`](limits::RESTING_FILES_OPEN_MAX). To be called before the folder
    /// is used.
    #[must_use]
    pub fn with_resting_files_open(self, most: usize) -> FileStorage {
        FileStorage { pool: Pool::new(most), ..self }
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
            .mode(FILE_MODE)
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
            .mode(FILE_MODE)
            .open(self.path(name))?;
        Ok(Arc::new(OpenFile(self.pool.add(self.path(name), file))))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::options().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(OpenFile(self.pool.add(self.path(name), file))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.pool.rename(&self.path(from), &self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.pool.remove(&self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.folder)?.sync_all()
    }
}

struct OpenFile(Arc<Pooled>);

impl File for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.file()?.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.0.file()?;
        let mut read = 0;
        while read < into.len() {
            match file.read_at(&mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.file()?.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let file = self.0.file()?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, length) {
            // Some file systems cannot preallocate. A sparse file of that length does: writes may
            // then run out of room one by one, which is reported as such.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(length),
            other => Ok(other?),
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.file()?.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.file()?.sync_data()
    }

    fn rest(&self) {
        self.0.rest();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
    fn nobody_else_reads_what_is_made_here() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("of/events");
        let storage = FileStorage::new(&path).unwrap();
        let _held = storage.lock().unwrap();
        storage.create("a").unwrap();
        assert_eq!(
            [mode(&path), mode(&path.join("a")), mode(&path.join("lock"))],
            [0o700, 0o600, 0o600]
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        FileStorage::new(&path).unwrap();
        assert_eq!(mode(&path), 0o750, "the operator knows better");
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

    fn texts(files: &[Arc<dyn File>]) -> Vec<String> {
        let bytes = files.iter().map(|file| super::super::read_all(&**file).unwrap());
        bytes.map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn a_closed_file_is_still_the_one_that_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(folder.path()).unwrap().with_resting_files_open(2);
        let files: Vec<Arc<dyn File>> = (0..6)
            .map(|number| {
                let file = storage.create(&format!("{number}.tmp")).unwrap();
                file.write_at(format!("old {number}").as_bytes(), 0).unwrap();
                storage.rename(&format!("{number}.tmp"), &number.to_string()).unwrap();
                file.rest();
                file
            })
            .collect();
        let old: Vec<String> = (0..6).map(|number| format!("old {number}")).collect();
        assert_eq!(texts(&files), old);
        for number in 0..3 {
            let file = storage.create("new").unwrap();
            file.write_at(b"new", 0).unwrap();
            file.rest();
            storage.rename("new", &number.to_string()).unwrap();
        }
        storage.remove("4").unwrap();
        for _ in 0..2 {
            assert_eq!(texts(&files), old);
            assert_eq!(texts(&[storage.open("1").unwrap()]), ["new"]);
        }
    }
}
