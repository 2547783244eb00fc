//! What a server process has cost so far, from the kernel's own books.
//!
//! CPU is the scheduler's nanosecond time of every thread (`/proc/PID/task/*/schedstat`, first
//! field): a timer would also count what other processes did meanwhile. Threads that ended are
//! missing from it, so a server that ends threads during a measurement looks cheaper than it is;
//! user and system time from `/proc/PID/stat` (10 ms ticks) include them and serve as a check.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// Ticks per second of `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that is not Alpha.
const TICKS_PER_SECOND: u64 = 100;

/// The books of one process or of several together, at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Scheduler time of all living threads, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// User time, nanoseconds in steps of 10 ms.
    pub(crate) user_ns: u64,
    /// System time, nanoseconds in steps of 10 ms.
    pub(crate) system_ns: u64,
    /// Resident memory, bytes.
    pub(crate) rss_bytes: u64,
    /// The highest resident memory so far, bytes.
    pub(crate) rss_peak_bytes: u64,
}

impl Account {
    /// Reads the books of `pids` and adds them up. Fails when one of them is gone.
    pub(crate) fn read(pids: &[u32]) -> io::Result<Account> {
        let mut sum = Account::default();
        for pid in pids {
            let one = Account::read_one(*pid)?;
            sum.cpu_ns += one.cpu_ns;
            sum.user_ns += one.user_ns;
            sum.system_ns += one.system_ns;
            sum.rss_bytes += one.rss_bytes;
            sum.rss_peak_bytes += one.rss_peak_bytes;
        }
        Ok(sum)
    }

    /// What was spent since `earlier`; memory stays as it is now.
    pub(crate) fn since(&self, earlier: &Account) -> Account {
        Account {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
            rss_bytes: self.rss_bytes,
            rss_peak_bytes: self.rss_peak_bytes,
        }
    }

    fn read_one(pid: u32) -> io::Result<Account> {
        let mut cpu_ns = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the listing and the reading.
            if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
                cpu_ns += first_number(&text);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user_ticks, system_ticks) = ticks(&stat);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
        // status' VmRSS is kept per CPU and may be off by megabytes; the rollup is exact.
        let exact = smaps.ok().and_then(|text| kib_line(&text, "Rss:"));
        let tick_ns = 1_000_000_000 / TICKS_PER_SECOND;
        Ok(Account {
            cpu_ns,
            user_ns: user_ticks * tick_ns,
            system_ns: system_ticks * tick_ns,
            rss_bytes: exact.or_else(|| kib_line(&status, "VmRSS:")).unwrap_or(0),
            rss_peak_bytes: kib_line(&status, "VmHWM:").unwrap_or(0),
        })
    }
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Fields 14 and 15 of `/proc/PID/stat`, counted from the end of the name: the name may hold
/// blanks and parentheses.
fn ticks(stat: &str) -> (u64, u64) {
    let after_name = stat.rfind(')').map_or("", |end| &stat[end + 1..]);
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
    (next(), next())
}

/// The value of `Name:   123 kB` in bytes.
fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_shift_its_fields() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 321 45 0 0 20";
        assert_eq!(ticks(stat), (321, 45));
        assert_eq!(ticks(""), (0, 0));
    }

    #[test]
    fn kibibytes_become_bytes() {
        let text = "Name:\tx\nVmHWM:\t    12 kB\nVmRSS:\t 3 kB\n";
        assert_eq!(kib_line(text, "VmRSS:"), Some(3072));
        assert_eq!(kib_line(text, "Rss:"), None);
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let mut spent = 0_u64;
        let me = [std::process::id()];
        let before = Account::read(&me).unwrap();
        while Account::read(&me).unwrap().since(&before).cpu_ns == 0 {
            spent += 1;
            assert!(spent < 1_000_000, "the scheduler never counted anything");
        }
        assert!(before.rss_bytes > 0);
        assert!(before.rss_peak_bytes > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Account::read(&[u32::MAX]).is_err());
    }
}
