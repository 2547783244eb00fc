//! A real authority on loopback: Pebble, the test server of Let's Encrypt, with names that all lead
//! to this machine.
//!
//! Without the program these tests say so and test nothing, unless `TIDINGS_REQUIRE_PEBBLE=1`.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::support::until;
use crate::tls;

/// What Pebble is told.
pub(crate) struct Settings {
    /// Where it asks for `tls-alpn-01`, and for `http-01`.
    pub(crate) tls_port: u16,
    pub(crate) http_port: u16,
    /// How long its certificates count, in seconds.
    pub(crate) life: u64,
    /// How many of a hundred good nonces it refuses.
    pub(crate) refused_nonces: u8,
    /// Names it does not issue for.
    pub(crate) blocked: Vec<String>,
    /// Accounts that it asks for, with their keys.
    pub(crate) accounts: Vec<(String, String)>,
}

impl Settings {
    pub(crate) fn new(tls_port: u16) -> Self {
        Self {
            tls_port,
            http_port: free_port(),
            life: 90 * 86_400,
            refused_nonces: 0,
            blocked: Vec::new(),
            accounts: Vec::new(),
        }
    }
}

/// A place for it: its ports and files, which stay when it is ended and started again.
pub(crate) struct Pebble {
    folder: tempfile::TempDir,
    ports: [u16; 2],
    dns: Dns,
    child: Option<Child>,
}

/// Where it is; none if it is not there and need not be.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|at| at.join("pebble")).find(|at| at.is_file());
    if found.is_none() {
        let hint = "pebble is missing; get it with: apt-get install pebble";
        assert!(std::env::var_os("TIDINGS_REQUIRE_PEBBLE").is_none(), "{hint}");
        let _ = writeln!(std::io::stderr(), "nothing is tested: {hint}");
    }
    found
}

/// A port that nobody listens on, and that nobody gets who asks the system for any: those are
/// higher.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    loop {
        let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(next % 20_000).unwrap();
        if TcpListener::bind((LOOPBACK, port)).is_ok() {
            return port;
        }
    }
}

impl Pebble {
    /// A place for it, without it.
    pub(crate) fn prepare(settings: &Settings) -> Option<Self> {
        program()?;
        let folder = tempfile::tempdir().unwrap();
        let ports = [free_port(), free_port()];
        let pebble = Self { folder, ports, dns: Dns::start(), child: None };
        write_authority(pebble.folder.path());
        pebble.set(settings);
        Some(pebble)
    }

    pub(crate) fn start(settings: &Settings) -> Option<Self> {
        let mut pebble = Self::prepare(settings)?;
        pebble.run(settings);
        Some(pebble)
    }

    /// Changes what it is told when it is started next.
    pub(crate) fn set(&self, settings: &Settings) {
        let [port, management] = self.ports;
        let keys: serde_json::Map<_, _> =
            settings.accounts.iter().map(|(id, key)| (id.clone(), json!(key))).collect();
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": self.path("certificate.pem"),
            "privateKey": self.path("key.pem"),
            "httpPort": settings.http_port,
            "tlsPort": settings.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": !settings.accounts.is_empty(),
            "externalAccountMACKeys": keys,
            "domainBlocklist": settings.blocked,
            "certificateValidityPeriod": settings.life,
        }});
        std::fs::write(self.path("config.json"), config.to_string()).unwrap();
    }

    /// Starts it, with new keys and no memory, and waits until it listens.
    pub(crate) fn run(&mut self, settings: &Settings) {
        self.end();
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = Command::new(program().unwrap())
            .args(["-config", &self.path("config.json").display().to_string()])
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.dns.port)])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", settings.refused_nonces.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let ports = self.ports;
        until("pebble", || ports.iter().all(|port| TcpStream::connect((LOOPBACK, *port)).is_ok()));
    }

    /// Ends it as a power cut would.
    pub(crate) fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.ports[0])
    }

    /// The file with the authority that its directory is trusted by.
    pub(crate) fn directory_ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many certificates it has issued since it was started.
    pub(crate) fn issued(&self) -> usize {
        self.log().lines().filter(|line| line.contains("Issued certificate serial")).count()
    }

    /// The root of what it issues.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        let socket = TcpStream::connect((LOOPBACK, self.ports[1])).unwrap();
        let mut stream = tls::over(socket, tls::client(&[])).unwrap();
        stream.write_all(b"GET /roots/0 HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // It may end without a word, which TLS calls an error.
        let _ = stream.read_to_end(&mut answer);
        CertificateDer::from_pem_slice(&answer).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Writes an authority (`ca.pem`), and a certificate of it for this machine with its key.
pub(crate) fn write_authority(folder: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let own = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let write = |name: &str, label: &str, der: &[u8]| {
        std::fs::write(folder.join(name), tls::pem(label, der)).unwrap();
    };
    write("ca.pem", "CERTIFICATE", certificate.der());
    write("certificate.pem", "CERTIFICATE", own.der());
    write("key.pem", "PRIVATE KEY", &key.serialize_der());
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A DNS in which every name is this machine (RFC 1035, section 4.1).
struct Dns {
    port: u16,
    _alive: Arc<()>,
}

impl Dns {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let (port, alive) = (socket.local_addr().unwrap().port(), Arc::new(()));
        let watched = Arc::downgrade(&alive);
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while watched.strong_count() > 0 {
                if let Ok((length, from)) = socket.recv_from(&mut question) {
                    let _ = socket.send_to(&answer(&question[..length]), from);
                }
            }
        });
        Self { port, _alive: alive }
    }
}

/// The answer to one question: 127.0.0.1 for an address of IPv4, nothing for all else.
fn answer(question: &[u8]) -> Vec<u8> {
    let Some(end) = question.get(12..).and_then(|name| name.iter().position(|byte| *byte == 0))
    else {
        return Vec::new();
    };
    let asked = &question[12..(12 + end + 5).min(question.len())];
    let address = asked.ends_with(&[0, 1, 0, 1]);
    let mut all = question[..2].to_vec();
    // An answer that may be believed, to one question, with one record or none.
    all.extend([0x85, 0x80, 0, 1, 0, u8::from(address), 0, 0, 0, 0]);
    all.extend(asked);
    if address {
        all.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        all.extend(LOOPBACK.octets());
    }
    all
}

/// The mode of a file or folder.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
