//! Opening the hub over a folder: the embedded engine, with nothing to install.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tidings_log as log;

use crate::error::StoreError;
use crate::hub::{Hub, Options};

/// Why a hub could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error("cannot use the folder: {0}")]
    Folder(#[source] std::io::Error),
    /// The log in it cannot be opened.
    #[error("cannot open the log: {0}")]
    Log(#[from] log::OpenError),
    /// The log does not take its first writes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hub {
    /// Opens the log in `folder`, making it if need be, with segment files of `segment_bytes`, and
    /// the hub over it. What was found is reported, and is in [`Hub::recovery`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_folder(
        folder: &Path,
        segment_bytes: u64,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let storage = log::FileStorage::new(folder).map_err(OpenError::Folder)?;
        let now_ms = (options.clock)();
        let log_options = log::Options { segment_bytes, now_ms, ..log::Options::default() };
        let opened = log::open(Arc::new(storage), log_options)?;
        report(&opened.recovery);
        Ok(Self::open(opened, options)?)
    }
}

/// Says what opening the log found, if it is worth a word.
fn report(recovery: &log::Recovery) {
    if recovery.dropped_bytes > 0 {
        tracing::warn!(
            bytes = recovery.dropped_bytes,
            batches = recovery.dropped_batches,
            "an unfinished write at the log's end was dropped; nothing acknowledged was in it"
        );
    }
    for damage in &recovery.damaged {
        tracing::error!(
            segment = damage.segment,
            first = damage.first,
            last = damage.last,
            "the log is damaged; subscribers who pass these sequences are told of a gap"
        );
    }
    if recovery.new_epoch {
        tracing::warn!("the log's state file was lost: ids of before are unknown now");
    }
}
