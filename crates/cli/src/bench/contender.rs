//! The servers that are measured: the limit, Tidings, peers that are installed, or a running one.
//!
//! All are spoken to in the same way: `POST /topics/<name>` publishes, `GET` of the same path
//! subscribes. What each needs to be started like that is known here only.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limit::Manner;
use super::process::{self, Guard};
use super::relay::litellm;
use super::{Bench, BenchError};

/// Where Debian's packages put nginx and the nchan module.
const NGINX: &str = "/usr/sbin/nginx";
const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
/// The axum peer, below the folder of the peers.
const AXUM: &str = "axum/target/release/axum-peer";
/// How long one readiness check may take.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Contender {
    /// The bare loop, one send for each subscriber and event.
    LimitEach,
    /// The bare loop, one send for all that is due to a subscriber.
    LimitCoalesce,
    /// This program's own server.
    Tidings,
    /// nginx with the nchan module, one worker.
    Nchan,
    /// axum's `Sse` over a broadcast channel, one thread.
    Axum,
    /// The bare loop that copies bytes from and to an upstream.
    LimitProxy,
    /// LiteLLM's proxy, one worker.
    #[value(name = "litellm")]
    LiteLlm,
    /// The server that `--url` names, in the place of `Tidings`.
    #[value(skip)]
    Running,
}

impl Contender {
    /// The heading of its column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::LimitEach => "limit, each",
            Contender::LimitCoalesce => "limit, coalescing",
            Contender::Tidings => "tidings",
            Contender::Nchan => "nchan",
            Contender::Axum => "axum",
            Contender::LimitProxy => "limit, proxy",
            Contender::LiteLlm => "litellm",
            Contender::Running => "server",
        }
    }

    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Contender::LimitEach | Contender::LimitCoalesce | Contender::LimitProxy)
    }

    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Contender::Nchan | Contender::Axum | Contender::LiteLlm)
    }

    /// What answers with 200 once it is ready.
    fn ready_path(self) -> &'static str {
        if self == Contender::LiteLlm { litellm::READY_PATH } else { "/readyz" }
    }

    /// `None` when it can be started; otherwise how to get it.
    pub(crate) fn missing(self, bench: &Bench) -> Option<String> {
        let needed: Vec<PathBuf> = match self {
            Contender::Nchan => vec![NGINX.into(), NCHAN_MODULE.into()],
            Contender::Axum => vec![bench.options.peers.join(AXUM)],
            Contender::LiteLlm => vec![bench.options.peers.join(litellm::PROGRAM)],
            _ => return None,
        };
        let missing = needed.iter().find(|path| !path.exists())?;
        let script = bench.options.peers.with_extension("sh");
        Some(format!(
            "{} is not measured: no {} (run {})",
            self.name(),
            missing.display(),
            script.display()
        ))
    }

    /// Starts it on the server's core with an empty store, and waits until it is ready.
    pub(crate) fn start(self, bench: &Bench) -> Result<Server, BenchError> {
        if self == Contender::Running {
            return running(bench);
        }
        let folder = tempfile::Builder::new().prefix("tidings-bench-").tempdir_in(&bench.data_dir);
        let folder = folder.map_err(|error| BenchError::Io("making a folder", error))?;
        let address = free_address()?;
        let mut command = self.command(bench, address, folder.path())?;
        // What a server has to say goes to a file: a terminal would slow it down.
        let log = fs::File::create(folder.path().join("output"));
        let log = log.map_err(|error| BenchError::Io("making a file", error))?;
        let twin = log.try_clone().map_err(|error| BenchError::Io("making a file", error))?;
        command.stdin(Stdio::null()).stdout(log).stderr(twin);
        let guard = process::spawn(&mut command, bench.server_cpu);
        let mut guard = guard.map_err(|error| BenchError::Io(self.name(), error))?;
        let ready = process::wait_until("a server to become ready", || {
            guard.check_alive()?;
            Ok(ready(address, self.ready_path()))
        });
        if let Err(error) = ready {
            let said = fs::read_to_string(folder.path().join("output")).unwrap_or_default();
            return Err(BenchError::Start(self.name(), Box::new(error), said));
        }
        let pids = guard.pids();
        Ok(Server {
            address,
            pids,
            prefix: "t".to_owned(),
            _guard: Some(guard),
            _folder: Some(folder),
        })
    }

    fn command(
        self,
        bench: &Bench,
        address: SocketAddrV4,
        folder: &Path,
    ) -> Result<Command, BenchError> {
        let limit = |manner: &str| {
            let mut command = bench.hidden("limit");
            command.args(["--manner", manner, "--listen", &address.to_string()]);
            if bench.keep {
                command.arg("--keep");
            }
            command
        };
        Ok(match self {
            Contender::LimitEach => limit(manner_name(Manner::Each)),
            Contender::LimitCoalesce => limit(manner_name(Manner::Coalesce)),
            Contender::Nchan => {
                let configuration = folder.join("nginx.conf");
                let text = nchan_configuration(address, folder);
                let written = fs::write(&configuration, text);
                written.map_err(|error| BenchError::Io("configuring nchan", error))?;
                let mut command = Command::new(NGINX);
                command.arg("-c").arg(configuration).arg("-p").arg(folder);
                command
            }
            Contender::Axum => {
                let mut command = Command::new(bench.options.peers.join(AXUM));
                command.arg(address.to_string());
                command
            }
            Contender::LimitProxy => {
                let upstream = bench.upstream.ok_or(BenchError::Never("an upstream"))?;
                let mut command = bench.hidden("proxy");
                command.args(["--listen", &address.to_string()]);
                command.args(["--upstream", &upstream.to_string()]);
                command
            }
            Contender::LiteLlm => litellm::command(bench, address, folder)?,
            Contender::Tidings | Contender::Running => {
                let mut command = Command::new(bench.server_executable());
                command.args(["dev", "--listen", &address.to_string(), "--data-dir"]);
                command.arg(folder.join("data"));
                command.args(["--durability", bench.durability.name()]);
                if let Some(heartbeat) = bench.heartbeat {
                    command.args(["--heartbeat", heartbeat]);
                }
                if let Some(upstream) = bench.upstream {
                    command.args(["--llm", &format!("http://{upstream}/v1")]);
                }
                command
            }
        })
    }
}

fn manner_name(manner: Manner) -> &'static str {
    match manner {
        Manner::Each => "each",
        Manner::Coalesce => "coalesce",
    }
}

/// A server that is ready to be measured; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddrV4,
    /// Its processes; empty when they are not known.
    pub(crate) pids: Vec<u32>,
    /// What the names of its topics begin with.
    pub(crate) prefix: String,
    // In this order: the process goes before its folder does.
    _guard: Option<Guard>,
    _folder: Option<tempfile::TempDir>,
}

fn running(bench: &Bench) -> Result<Server, BenchError> {
    let address = bench.options.address()?.ok_or(BenchError::Url)?;
    if !ready(address, "/readyz") {
        return Err(BenchError::Never("the server at --url to be ready"));
    }
    // A name of its own for every run: what earlier ones published must not come again.
    let prefix = format!("bench-{}-{}-", std::process::id(), super::clock::now_ns());
    let pids = bench.options.pid.into_iter().collect();
    Ok(Server { address, pids, prefix, _guard: None, _folder: None })
}

/// An address whose port is free now; the kernel does not hand it out again soon.
pub(crate) fn free_address() -> Result<SocketAddrV4, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| BenchError::Io("finding a port", error))?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port()))
}

/// True when `GET` of `path` is answered with 200.
pub(crate) fn ready(address: SocketAddrV4, path: &str) -> bool {
    let check = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address.into(), READY_TIMEOUT)?;
        stream.set_read_timeout(Some(READY_TIMEOUT))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head[9..] == b"200")
    };
    check().unwrap_or(false)
}

fn nchan_configuration(address: SocketAddrV4, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "load_module {NCHAN_MODULE};\n\
         daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\n\
         pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 19000; multi_accept on; }}\n\
         http {{\n\
         access_log off;\nkeepalive_requests 1000000000;\nkeepalive_timeout 1h;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\n\
         scgi_temp_path {folder}/scgi;\n\
         client_body_buffer_size 64k;\nnchan_shared_memory_size 512M;\n\
         server {{\n\
         listen {address} backlog=4096;\n\
         location = /readyz {{ return 200; }}\n\
         location ~ ^/topics/(.+)$ {{\n\
         nchan_pubsub;\nnchan_channel_id $1;\n\
         nchan_message_buffer_length 1000;\nnchan_message_timeout 10m;\n\
         nchan_subscriber_first_message newest;\n\
         }}\n}}\n}}\n"
    )
}
