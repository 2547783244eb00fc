//! Work of this process on one core: the same one that servers have.

use std::thread;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::BenchError;

/// Runs `work` on a thread of its own that stays on `cpu` (`None`: wherever it is put).
pub(crate) fn run<T: Send>(
    cpu: Option<usize>,
    work: impl FnOnce() -> Result<T, BenchError> + Send,
) -> Result<T, BenchError> {
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            if let Some(cpu) = cpu {
                let mut only = CpuSet::new();
                only.set(cpu);
                let set = sched_setaffinity(None, &only);
                set.map_err(|error| BenchError::Io("choosing a core", error.into()))?;
            }
            work()
        });
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(BenchError::Workload("the measurement panicked".to_owned())))
    })
}
