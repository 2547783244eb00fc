//! How many files are open at once.
//!
//! A log may have more sealed segments than a process may have descriptors. So a file that nothing
//! is written to any more (it *rests*) is opened when it is read, and closed again when too many
//! others were read since. A file that is replaced or removed while somebody has its handle is kept
//! open: its name leads elsewhere, and the handle must not.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The files of one folder. Its lock is taken before that of a file.
#[derive(Debug)]
pub(super) struct Pool {
    known: Mutex<Known>,
    /// Most resting files that are open.
    open_max: usize,
}

#[derive(Debug, Default)]
struct Known {
    /// Who has a handle of the file of this name.
    files: HashMap<PathBuf, Vec<Weak<Pooled>>>,
    /// Resting files that are open, in the order in which they were opened.
    open: VecDeque<Weak<Pooled>>,
}

/// A file that may be closed for a while.
#[derive(Debug)]
pub(super) struct Pooled {
    pool: Arc<Pool>,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: Option<Arc<fs::File>>,
    rests: bool,
    /// Whether it was used since it was last passed over.
    used: bool,
    /// Whether its name leads elsewhere.
    gone: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reopen(path: &Path) -> io::Result<Arc<fs::File>> {
    Ok(Arc::new(fs::File::options().read(true).write(true).open(path)?))
}

impl Pool {
    pub(super) fn new(open_max: usize) -> Arc<Pool> {
        Arc::new(Pool { known: Mutex::default(), open_max })
    }

    /// Takes in a file that was just opened.
    pub(super) fn add(self: &Arc<Pool>, path: PathBuf, file: fs::File) -> Arc<Pooled> {
        let place = Place {
            path: path.clone(),
            file: Some(Arc::new(file)),
            rests: false,
            used: true,
            gone: false,
        };
        let pooled = Arc::new(Pooled { pool: self.clone(), place: Mutex::new(place) });
        let mut known = locked(&self.known);
        let handles = known.files.entry(path).or_default();
        handles.retain(|handle| handle.strong_count() > 0);
        handles.push(Arc::downgrade(&pooled));
        pooled
    }

    /// Renames a file; whoever has a handle of the one that is replaced keeps that.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut known = locked(&self.known);
        known.keep_open(to)?;
        fs::rename(from, to)?;
        let handles = known.files.remove(from).unwrap_or_default();
        for handle in handles.iter().filter_map(Weak::upgrade) {
            to.clone_into(&mut locked(&handle.place).path);
        }
        known.files.insert(to.to_owned(), handles);
        Ok(())
    }

    /// Removes a file; whoever has a handle keeps it.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut known = locked(&self.known);
        known.keep_open(path)?;
        fs::remove_file(path)?;
        known.files.remove(path);
        Ok(())
    }
}

impl Known {
    /// Opens whatever handles there are of this name, for good.
    fn keep_open(&self, path: &Path) -> io::Result<()> {
        for handle in self.files.get(path).into_iter().flatten().filter_map(Weak::upgrade) {
            let mut place = locked(&handle.place);
            if place.file.is_none() {
                place.file = Some(reopen(path)?);
            }
            place.gone = true;
        }
        Ok(())
    }

    /// Notes a resting file that is open now, and closes those that were not used for longest.
    fn opened(&mut self, file: &Arc<Pooled>, open_max: usize) {
        self.open.push_back(Arc::downgrade(file));
        // Each is passed over at most once.
        for _ in 0..self.open.len() * 2 {
            if self.open.len() <= open_max {
                break;
            }
            let Some(oldest) = self.open.pop_front().and_then(|oldest| oldest.upgrade()) else {
                continue;
            };
            let mut place = locked(&oldest.place);
            if place.gone {
                continue;
            }
            if std::mem::take(&mut place.used) {
                self.open.push_back(Arc::downgrade(&oldest));
            } else {
                place.file = None;
            }
        }
    }
}

impl Pooled {
    /// The open file.
    pub(super) fn file(self: &Arc<Self>) -> io::Result<Arc<fs::File>> {
        {
            let mut place = locked(&self.place);
            place.used = true;
            if let Some(file) = &place.file {
                return Ok(file.clone());
            }
        }
        let mut known = locked(&self.pool.known);
        let mut place = locked(&self.place);
        if let Some(file) = &place.file {
            return Ok(file.clone());
        }
        let file = reopen(&place.path)?;
        place.file = Some(file.clone());
        drop(place);
        known.opened(self, self.pool.open_max);
        Ok(file)
    }

    /// From now on the file may be closed while nobody uses it.
    pub(super) fn rest(self: &Arc<Self>) {
        let mut known = locked(&self.pool.known);
        let mut place = locked(&self.place);
        if !std::mem::replace(&mut place.rests, true) && place.file.is_some() {
            place.used = false;
            drop(place);
            known.opened(self, self.pool.open_max);
        }
    }
}
