//! The disk, behind a dozen methods: so that a crash, a full disk and a torn sector are values in a
//! test. There are two implementations, [`FileStorage`] and the tests' `CrashStorage`.

mod file;
mod pool;

use std::io;
use std::sync::Arc;

pub use file::FileStorage;

/// A folder of files, owned by one log. Names are plain file names.
pub trait Storage: Send + Sync {
    /// Takes the folder for this log until the returned value is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if another log has it.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file, or empties an existing one. Durable after [`Storage::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Renames, replacing `to`. Handles stay valid. Durable after [`Storage::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Handles stay valid. Durable after [`Storage::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Reads until `into` is full or the file ends; returns the number of bytes read.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reserves space and sets the length, so that later writes cannot run out of room and `sync`
    /// need not commit a new length. What was not written reads as zeros.
    ///
    /// # Errors
    /// What the system says.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Puts what was written on the device (fdatasync).
    ///
    /// # Errors
    /// What the system says. The effect of an error is unknown: never try again.
    fn sync(&self) -> io::Result<()>;

    /// Says that it is on the device and will only be read from now on, so that an implementation
    /// may hold less for it.
    fn rest(&self) {}
}

/// Reads exactly `into.len()` bytes.
pub(crate) fn read_exact_at(file: &dyn File, into: &mut [u8], offset: u64) -> io::Result<()> {
    let read = file.read_at(into, offset)?;
    if read < into.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Reads a whole file.
pub(crate) fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces a file by one with these bytes, at once and durably: written beside it, synced,
/// renamed.
pub(crate) fn replace(
    storage: &dyn Storage,
    name: &str,
    bytes: &[u8],
) -> io::Result<Arc<dyn File>> {
    let temporary = format!("{name}.tmp");
    let file = storage.create(&temporary)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    storage.rename(&temporary, name)?;
    storage.sync_dir()?;
    Ok(file)
}
