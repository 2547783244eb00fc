//! The same reader behind a real nginx: whether events arrive, when the first one does, and
//! whether the connection outlives a silence that is longer than nginx's patience.

use std::fs;
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::decode::Way;
use super::line::{Line, Opening};
use super::post::Poster;
use super::wires::{newest, opening};
use crate::bench::contender::{self, Server};
use crate::bench::process::{self, Guard};
use crate::bench::result::Sample;
use crate::bench::{Bench, BenchError};

/// nginx's patience with a silent upstream: 60 s by default, shortened here together with the
/// server's heartbeat, and still longer than that.
const TIMEOUT: &str = "2s";
/// A silence longer than that.
const SILENCE: Duration = Duration::from_millis(3_000);
/// How long a reader waits to be answered, and for an event, behind a proxy that may never let
/// anything through.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two events.
const PACE: Duration = Duration::from_millis(20);

/// How nginx is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// `proxy_pass` and nothing else: buffering on, HTTP/1.0 to the server, no upgrades.
    Plain,
    /// With the lines that a WebSocket needs.
    Upgrade,
    /// With those lines, and deaf to `X-Accel-Buffering`: as other buffering proxies are.
    Deaf,
}

/// All of them.
pub(super) const SETTINGS: [Setting; 3] = [Setting::Plain, Setting::Upgrade, Setting::Deaf];

impl Setting {
    /// The case's name; also what verdicts find it by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Setting::Plain => "H11 plain",
            Setting::Upgrade => "H11 upgrade",
            Setting::Deaf => "H11 deaf",
        }
    }

    /// In words.
    pub(super) fn title(self) -> &'static str {
        match self {
            Setting::Plain => "nginx with proxy_pass and nothing else (buffering is on)",
            Setting::Upgrade => "nginx with the three lines that a WebSocket needs",
            Setting::Deaf => {
                "nginx with those lines that buffers and does not obey X-Accel-Buffering"
            }
        }
    }

    fn directives(self) -> &'static str {
        match self {
            Setting::Plain => "",
            Setting::Upgrade => {
                "proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\n\
                 proxy_set_header Connection \"upgrade\";\n"
            }
            Setting::Deaf => {
                "proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\n\
                 proxy_set_header Connection \"upgrade\";\n\
                 proxy_ignore_headers X-Accel-Buffering;\n"
            }
        }
    }
}

/// Where nginx is, if it is.
pub(super) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

/// `nginx/1.22.1`, as it calls itself.
pub(super) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(text.split_once(": ")?.1.trim().to_owned())
}

/// A running nginx; it ends when this is dropped.
struct Nginx {
    address: SocketAddrV4,
    // In this order: the process goes before its folder does.
    _guard: Guard,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start(
        bench: &Bench,
        program: &Path,
        server: &Server,
        how: Setting,
    ) -> Result<Nginx, BenchError> {
        let io = |error| BenchError::Io("starting nginx", error);
        let folder = tempfile::Builder::new().prefix("tidings-bench-").tempdir_in(&bench.data_dir);
        let folder = folder.map_err(io)?;
        let address = contender::free_address()?;
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            kinds.iter().map(|kind| format!("{kind}_temp_path {kind};\n")).collect();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\n\
             events {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{\nlisten {address};\nlocation / {{\nproxy_pass http://{};\n\
             proxy_read_timeout {TIMEOUT};\n{}}}\n}}\n}}\n",
            server.address,
            how.directives(),
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).map_err(io)?;
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = process::spawn(&mut command, bench.load_cpu).map_err(io)?;
        process::wait_until("nginx to listen", || {
            guard.check_alive()?;
            Ok(TcpStream::connect(address).is_ok())
        })?;
        Ok(Nginx { address, _guard: guard, _folder: folder })
    }
}

/// Publishes `count` events to a reader behind nginx and, if it is to be `silent`, one more after
/// a silence.
pub(super) fn run(
    bench: &Bench,
    nginx: &Path,
    server: &Server,
    (how, way): (Setting, Way),
    count: usize,
    silent: bool,
) -> Result<Sample, BenchError> {
    let topic = format!("{}proxy", server.prefix);
    let mut poster = Poster::connect(server.address, &topic, false)?;
    poster.publish("x")?;
    let after = match way {
        Way::Poll => Some(newest(server, &topic)?),
        _ => None,
    };
    let nginx = Nginx::start(bench, nginx, server, how)?;
    let through = Opening {
        address: nginx.address,
        patience: PATIENCE,
        after: after.as_deref(),
        ..opening(server, way, &topic)
    };
    let mut sample = Sample::from([("sent".to_owned(), count as f64)]);
    // A reader that is not let in is what is to be found out, not a failure.
    let Ok(mut line) = Line::open(&through) else {
        sample.insert("delivered".to_owned(), 0.0);
        sample.extend(silent.then(|| ("outlives".to_owned(), 0.0)));
        return Ok(sample);
    };
    let mut first_ms = None;
    let mut delivered = 0_usize;
    let begun = Instant::now();
    for index in 0..count {
        poster.publish(&format!("{index:0>100}"))?;
        let deadline = Instant::now() + if index == 0 { PATIENCE } else { PACE };
        if line.next(deadline)?.is_some() {
            delivered += 1;
            first_ms = first_ms.or(Some(begun.elapsed().as_secs_f64() * 1e3));
        }
    }
    while delivered < count && line.next(Instant::now() + PACE)?.is_some() {
        delivered += 1;
    }
    sample.insert("delivered".to_owned(), delivered as f64);
    if silent {
        let outlives = delivered == count && {
            silence(&mut line)?;
            poster.publish("last")?;
            line.next(Instant::now() + PATIENCE)?.is_some_and(|event| event.data == "last")
        };
        sample.insert("outlives".to_owned(), f64::from(u8::from(outlives)));
    }
    sample.extend(first_ms.map(|ms| ("first_ms".to_owned(), ms)));
    Ok(sample)
}

/// Reads nothing but heartbeats, and answers them where that is due.
fn silence(line: &mut Line) -> Result<(), BenchError> {
    let end = Instant::now() + SILENCE;
    while line.read(end)? {}
    // A connection that has ended is noticed at once.
    thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(())
}
