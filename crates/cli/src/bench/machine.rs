//! On what a result was measured: figures of another machine must not be compared with it.

use std::fs;
use std::path::Path;

use rustix::fs::statfs;
use rustix::system::uname;
use serde::{Deserialize, Serialize};

/// `statfs` types of file systems that keep nothing on a disk.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// The machine and what ran on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// False when the stores of the run lie in memory: then a sync costs nothing.
    pub(crate) data_on_disk: bool,
    /// Runnable processes when the run began; above the pinned ones the figures are disturbed.
    pub(crate) load: String,
    /// Version of Tidings, and whether it was built for release.
    pub(crate) build: String,
}

impl Machine {
    /// Looks at the machine this runs on; stores lie in `data_dir`.
    pub(crate) fn look(data_dir: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory_kib: u64 = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse().ok())
            .unwrap_or(0);
        let kernel = uname();
        let in_memory =
            statfs(data_dir).is_ok_and(|stat| [TMPFS, RAMFS].contains(&(stat.f_type as u64)));
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib.div_ceil(1024 * 1024),
            kernel: format!(
                "{} {}",
                kernel.sysname().to_string_lossy(),
                kernel.release().to_string_lossy()
            ),
            data_on_disk: !in_memory,
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            build: format!("{} {profile}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let disk = if self.data_on_disk { "" } else { ", stores in memory: syncs cost nothing" };
        format!(
            "{}, {} cores, {} GiB, {}, tidings {}, load average {} at the start{disk}",
            self.cpu, self.cores, self.memory_gib, self.kernel, self.build, self.load
        )
    }
}

/// The value of the first `name : value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_trimmed() {
        let text = "vendor_id\t: X\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: other\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 3 GHz"));
        assert_eq!(field(text, "flags"), None);
    }

    #[test]
    fn this_machine_has_memory_and_a_kernel() {
        let machine = Machine::look(Path::new("/"));
        assert!(machine.cores >= 1 && machine.memory_gib >= 1);
        assert!(machine.kernel.starts_with("Linux "));
        assert!(machine.data_on_disk);
    }
}
