//! What every workload can be told.

use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::BenchError;
use super::contender::Contender;

/// Options of all workloads.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Measurements of each contender; their median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=101))]
    pub(crate) runs: u32,
    /// One small, short run: shows that everything works, measures nothing.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Prints the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ends with exit code 1 when a target is missed.
    #[arg(long)]
    pub(crate) check: bool,
    /// Measures the running server at http://ADDRESS:PORT instead of starting one.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The process of that server, for its CPU and memory.
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// Starts this executable's server instead of this program's own.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "url")]
    pub(crate) server: Option<PathBuf>,
    /// Measures these only; all that are installed otherwise.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Contender>,
    /// How durable a publish is [default: memory, as in the peers; resume and replay: written;
    /// publish: synced].
    #[arg(long, value_enum)]
    pub(crate) durability: Option<Durability>,
    /// Where stores are made, in a folder of their own that is removed afterwards [default: the
    /// system's folder for temporary files].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where results are recorded; nowhere when the folder does not exist, or by a quick run.
    #[arg(long, value_name = "DIR", default_value = "bench")]
    pub(crate) out: PathBuf,
    /// Where the peers were built.
    #[arg(long, value_name = "DIR", default_value = "bench/peers")]
    pub(crate) peers: PathBuf,
    /// The core of the server.
    #[arg(long, default_value_t = 0)]
    pub(crate) server_cpu: usize,
    /// The core of the load generator.
    #[arg(long, default_value_t = 1)]
    pub(crate) load_cpu: usize,
}

impl Options {
    /// How often each contender is measured.
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.runs }
    }

    /// The address that `--url` names.
    pub(crate) fn address(&self) -> Result<Option<SocketAddrV4>, BenchError> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let authority = url.strip_prefix("http://").ok_or(BenchError::Url)?;
        let authority = authority.trim_end_matches('/');
        let mut addresses = authority.to_socket_addrs().map_err(|_| BenchError::Url)?;
        let first = addresses.find_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        });
        first.map(Some).ok_or(BenchError::Url)
    }
}

/// When a publish is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// When it is in memory.
    Memory,
    /// When it is written.
    Written,
    /// When it is synced.
    Synced,
}

impl Durability {
    /// The value of the server's `--durability`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Written => "written",
            Durability::Synced => "synced",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    pub(crate) struct Line {
        #[command(flatten)]
        pub(crate) options: Options,
    }

    fn address(url: &str) -> Option<String> {
        let line = Line::try_parse_from(["bench", "--url", url]).unwrap();
        line.options.address().ok().flatten().map(|address| address.to_string())
    }

    #[test]
    fn a_url_names_a_host_and_a_port() {
        assert_eq!(address("http://127.0.0.1:8080/").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("https://127.0.0.1:8080"), None);
        assert_eq!(address("http://127.0.0.1"), None);
    }

    #[test]
    fn a_quick_run_is_one_run() {
        let line = Line::try_parse_from(["bench", "--quick", "--runs", "7"]).unwrap();
        assert_eq!(line.options.rounds(), 1);
        assert!(Line::try_parse_from(["bench", "--runs", "0"]).is_err());
    }
}
