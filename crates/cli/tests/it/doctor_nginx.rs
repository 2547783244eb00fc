//! `tidings doctor` through a real nginx: each setting that breaks streams is found, and is not
//! found where it is not.
//!
//! nginx is looked for in PATH and in /usr/sbin. Without it these tests say so and test nothing,
//! unless `TIDINGS_REQUIRE_NGINX=1`.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;

use crate::doctor::{Diagnosis, diagnosis, doctor};
use crate::program::{command, finish, in_repository, skip};
use crate::server::Server;

/// Longest wait for nginx to listen.
const START_MAX: Duration = Duration::from_secs(20);
/// Ports that are tried: another process may take a free one before nginx does.
const PORTS_MAX: u32 = 5;

/// A running nginx in front of a server. It is stopped when it is dropped.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

/// Where nginx is; none if it is not there and need not be.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("nginx")).find(|file| file.is_file());
    if found.is_none() {
        skip("TIDINGS_REQUIRE_NGINX", "nginx is missing; get it with: apt-get install nginx-light");
    }
    found
}

impl Nginx {
    /// Starts nginx in front of `upstream`, with these directives in its `location`.
    pub(crate) fn before(upstream: &str, directives: &str) -> Option<Self> {
        Self::start(upstream, "", directives, "")
    }

    /// Starts it with these directives around the `location`, and in it the lines that the doctor
    /// gives for a check.
    fn mended(upstream: &str, directives: &str, diagnosis: &Diagnosis, check: &str) -> Self {
        let lines = diagnosis.lines(check, "nginx");
        Self::start(upstream, "", &lines, directives).unwrap()
    }

    /// With TLS: `listen` has `ssl`, and `more` is for the `server` block.
    fn start(upstream: &str, listen: &str, directives: &str, more: &str) -> Option<Self> {
        let program = program()?;
        (0..PORTS_MAX)
            .find_map(|_| Self::try_start(&program, upstream, listen, directives, more))
            .or_else(|| panic!("nginx does not start with:\n{directives}\n{more}"))
    }

    fn try_start(
        program: &Path,
        upstream: &str,
        listen: &str,
        directives: &str,
        more: &str,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = free.port();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            kinds.iter().map(|kind| format!("{kind}_temp_path {kind};\n")).collect();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\n\
             events {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{\nlisten 127.0.0.1:{port} {listen};\n{more}\n\
             proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
             location / {{\nproxy_pass {upstream};\n{directives}\n}}\n}}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::File::create(&file).unwrap().write_all(configuration.as_bytes()).unwrap();
        let mut child = Command::new(program)
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(free).is_err() {
            assert!(begun.elapsed() < START_MAX, "nginx does not listen");
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { child, url: format!("http://{free}"), _folder: folder })
    }

    #[track_caller]
    fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        doctor(&self.url, arguments)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy that holds back what it can.
pub(crate) const BUFFERS: &str = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;";
/// A proxy that compresses everything.
const GZIP: &str = "gzip on; gzip_types *; gzip_proxied any;";

#[test]
fn a_proxy_that_passes_everything_on_is_well() {
    let server = Server::start();
    // The second obeys the server's X-Accel-Buffering.
    for directives in ["proxy_buffering off;", "proxy_buffering on;"] {
        let Some(nginx) = Nginx::before(&server.url, directives) else { return };
        let diagnosis = nginx.doctor(&["--origin", "https://app.example"]);
        diagnosis.is_well_but_for(&[]);
        let expected = [("pace", "ok"), ("first-byte", "ok"), ("resume", "ok"), ("cors", "ok")];
        diagnosis.has(&expected).has(&[("compression", "ok"), ("headers", "ok")]);
        assert_eq!(diagnosis.code, 0);
        assert_eq!(diagnosis.report["proxies"][0]["name"], "nginx");
    }
}

#[test]
fn the_block_on_the_page_of_the_doctor_is_well() {
    let page = std::fs::read_to_string(in_repository("docs/doctor.md")).unwrap();
    let block = page.split("```nginx\nlocation / {\n").nth(1).unwrap();
    let lines = block.split("\n}\n").next().unwrap().lines();
    let lines: Vec<&str> = lines.filter(|line| !line.contains("proxy_pass ")).collect();
    let server = Server::start();
    let Some(nginx) = Nginx::before(&server.url, &lines.join("\n")) else { return };
    let diagnosis = nginx.doctor(&["--idle", "3s", "--for", "3s", "--publish-size", "1MiB"]);
    diagnosis.is_well_but_for(&[]).has(&[("publish-size", "ok"), ("idle", "ok")]);
}

#[test]
fn a_proxy_that_buffers_is_found() {
    let server = Server::start();
    let Some(nginx) = Nginx::before(&server.url, BUFFERS) else { return };
    let diagnosis = nginx.doctor(&["--idle", "2s", "--for", "2s"]);
    diagnosis.is_well_but_for(&["pace", "first-byte"]);
    // What does not begin cannot be watched.
    diagnosis.has(&[("idle", "not tested"), ("length", "not tested")]);
    diagnosis.has(&[("pace", "broken"), ("first-byte", "broken"), ("resume", "ok")]);
    assert_eq!(diagnosis.code, 8);
    let said = diagnosis.says("pace");
    assert!(said.contains("came all at once"), "{said}");
    assert!(said.contains("when the stream ended\nprobably nginx (server: nginx/"), "{said}");
    assert_eq!(diagnosis.places("pace")[0], "nginx");
    let mended = Nginx::mended(&server.url, BUFFERS, &diagnosis, "pace");
    mended.doctor(&[]).is_well_but_for(&[]).has(&[("pace", "ok"), ("first-byte", "ok")]);
    let report = finish(command().args(["doctor", &nginx.url])).stdout;
    assert_eq!(report.matches("    proxy_buffering off;\n").count(), 1, "told once:\n{report}");
    assert!(report.contains("  to change: see first-byte\n"), "{report}");
    assert!(!report.contains("flush_interval"), "only nginx was recognised:\n{report}");
    assert!(report.contains("--proxy caddy"), "{report}");
}

#[test]
fn compression_is_found_and_whether_it_holds_events() {
    let server = Server::start();
    let Some(nginx) = Nginx::before(&server.url, GZIP) else { return };
    let diagnosis = nginx.doctor(&[]);
    diagnosis.is_well_but_for(&["compression"]).has(&[("compression", "warning")]);
    assert_eq!(diagnosis.measured("compression", "content_encoding"), "gzip");
    assert_eq!(diagnosis.code, 7);
    let mended = Nginx::mended(&server.url, GZIP, &diagnosis, "compression");
    mended.doctor(&[]).is_well_but_for(&[]).has(&[("compression", "ok")]);
    let nginx = Nginx::before(&server.url, &format!("{GZIP} {BUFFERS}")).unwrap();
    nginx.doctor(&[]).has(&[("compression", "broken"), ("pace", "broken")]);
}

#[test]
fn an_idle_timeout_is_found() {
    let server = Server::start();
    let Some(nginx) = Nginx::before(&server.url, "proxy_read_timeout 2s;") else { return };
    let diagnosis = nginx.doctor(&["--idle", "5s"]);
    diagnosis.is_well_but_for(&["idle"]).has(&[("idle", "broken")]);
    assert!(diagnosis.measured("idle", "cut_after_ms").as_f64().unwrap() >= 1_500.0);
    assert_eq!(diagnosis.places("idle")[..2], ["nginx", "Tidings"]);
    let mended = Nginx::mended(&server.url, "proxy_read_timeout 2s;", &diagnosis, "idle");
    mended.doctor(&["--idle", "5s"]).is_well_but_for(&[]).has(&[("idle", "ok")]);
}

#[test]
fn heartbeats_keep_a_stream_open_that_silence_would_end() {
    let server = Server::start_in_environment(&[("TIDINGS_SERVER__HEARTBEAT", "1s")]);
    let Some(nginx) = Nginx::before(&server.url, "proxy_read_timeout 5s;") else { return };
    let diagnosis = nginx.doctor(&["--idle", "9s"]);
    diagnosis.is_well_but_for(&["idle"]).has(&[("idle", "warning")]);
    assert!(diagnosis.measured("idle", "heartbeats").as_u64().unwrap() >= 2);
    assert!(diagnosis.measured("idle", "silence_cut_after_ms").as_f64().unwrap() >= 2_000.0);
    assert!(diagnosis.says("idle").contains("status 504"), "{}", diagnosis.says("idle"));
}

#[test]
fn a_lost_last_event_id_is_found() {
    let server = Server::start();
    let lost = "proxy_set_header Last-Event-ID \"\";";
    let Some(nginx) = Nginx::before(&server.url, lost) else { return };
    let diagnosis = nginx.doctor(&[]);
    diagnosis.is_well_but_for(&["resume"]).has(&[("resume", "broken")]);
    assert_eq!(diagnosis.measured("resume", "query"), true);
    let neither = format!("{lost} if ($arg_lastEventId) {{ return 404; }}");
    let nginx = Nginx::before(&server.url, &neither).unwrap();
    let diagnosis = nginx.doctor(&[]);
    diagnosis.has(&[("resume", "broken")]);
    assert_eq!(diagnosis.measured("resume", "query"), false);
    let other = "proxy_set_header Last-Event-ID earliest;";
    let nginx = Nginx::before(&server.url, other).unwrap();
    let diagnosis = nginx.doctor(&[]);
    diagnosis.is_well_but_for(&["resume"]).has(&[("resume", "broken")]);
    assert!(diagnosis.says("resume").contains("another event came"));
}

#[test]
fn headers_that_a_proxy_takes_away_are_found() {
    let server = Server::start();
    for (directives, verdict) in [
        ("proxy_hide_header Cache-Control;", "warning"),
        ("proxy_hide_header Cache-Control; add_header Cache-Control no-cache;", "warning"),
        ("proxy_pass_header X-Accel-Buffering;", "ok"),
    ] {
        let Some(nginx) = Nginx::before(&server.url, directives) else { return };
        nginx.doctor(&[]).has(&[("headers", verdict), ("pace", "ok")]);
    }
}

#[test]
fn a_limit_on_the_size_of_requests_is_found() {
    let server = Server::start();
    let Some(nginx) = Nginx::before(&server.url, "client_max_body_size 100k;") else { return };
    let diagnosis = nginx.doctor(&["--publish-size", "512KiB"]);
    diagnosis.is_well_but_for(&["publish-size"]).has(&[("publish-size", "broken")]);
    let passed = diagnosis.measured("publish-size", "passed_bytes").as_u64().unwrap();
    let refused = diagnosis.measured("publish-size", "refused_bytes").as_u64().unwrap();
    assert!(passed <= 102_400 && 102_400 < refused, "{passed} {refused}");
    assert!(refused - passed <= 16 << 10, "{passed} {refused}");
    let mended =
        Nginx::mended(&server.url, "client_max_body_size 100k;", &diagnosis, "publish-size");
    let diagnosis = mended.doctor(&["--publish-size", "512KiB"]);
    diagnosis.is_well_but_for(&[]).has(&[("publish-size", "ok")]);
}

#[test]
fn cors_that_is_answered_twice_or_not_at_all_is_found() {
    let server = Server::start();
    for (directives, part) in [
        ("add_header Access-Control-Allow-Origin *;", "is there 2 times"),
        ("proxy_hide_header Access-Control-Allow-Origin;", "there is no Access-Control-Allow"),
        ("if ($request_method = OPTIONS) { return 405; }", "refused by the preflight"),
        ("proxy_hide_header Access-Control-Allow-Headers;", "cannot resume"),
    ] {
        let Some(nginx) = Nginx::before(&server.url, directives) else { return };
        let diagnosis = nginx.doctor(&["--origin", "https://app.example"]);
        diagnosis.is_well_but_for(&["cors"]).has(&[("cors", "broken")]);
        let said = diagnosis.says("cors");
        assert!(said.contains(part), "{directives}\n{said}");
    }
}

#[test]
fn tls_is_measured_and_what_a_browser_speaks() {
    let server = Server::start();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificates = tempfile::tempdir().unwrap();
    let file = |kind: &str, der: &[u8]| {
        let path = certificates.path().join(kind);
        let base64 = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let text = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = file("CERTIFICATE", made.cert.der());
    let key = file("PRIVATE KEY", &made.signing_key.serialize_der());
    let tls = format!(
        "ssl_protocols TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key \"{key}\";"
    );
    for (listen, verdict, version) in [("ssl http2", "ok", "h2"), ("ssl", "warning", "http/1.1")] {
        let Some(nginx) = Nginx::start(&server.url, listen, "", &tls) else { return };
        let url = nginx.url.replace("http://127.0.0.1", "https://localhost");
        let trusted =
            finish(command().args(["doctor", &url, "--json"]).env("SSL_CERT_FILE", &certificate));
        let diagnosis = diagnosis(trusted);
        diagnosis.has(&[("connection", "ok"), ("http", verdict), ("pace", "ok")]);
        assert_eq!(diagnosis.measured("http", "browser"), version);
        assert_eq!(diagnosis.measured("connection", "tls"), "TLSv1_3");
        // Nobody has signed it.
        let diagnosis = doctor(&url, &[]);
        diagnosis.has(&[("connection", "broken")]);
        assert!(diagnosis.says("connection").contains("TLS failed"));
        assert_eq!(diagnosis.code, 3);
    }
}
