//! `tidings config`, and what `serve` and `dev` say to a wrong configuration.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;

use crate::program::{Outcome, command, finish, run};

/// Writes a configuration file that lives as long as what is returned.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_right_file_is_called_right() {
    let file = file("anonymous = []\n[[topics]]\npattern = \"a/**\"\n");
    let path = file.path().to_str().unwrap();
    assert_eq!(
        run(&["config", "check", path]).success(),
        format!("{path} is right: 1 topic rule\n")
    );
}

#[test]
fn a_wrong_file_is_told_line_by_line() {
    let file = file("anonymous = []\n[server]\nheartbeet = \"1s\"\nio_threads = \"two\"\n");
    let path = file.path().to_str().unwrap();
    let said = run(&["config", "check", path]).failure(2);
    assert_eq!(
        said,
        format!(
            "error:\n  \
             {path}:3: server.heartbeet: there is no such key; did you mean `heartbeat`?\n  \
             {path}:4: server.io_threads: expected a whole number from 1 to 64, \
             found `\"two\"`\n"
        )
    );
}

/// A folder with keys and certificates, some of them unfit, and a configuration that names them.
struct Named(tempfile::TempDir);

impl Named {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for algorithm in ["EdDSA", "ES256", "HS256"] {
            let keys = ["token", "keys", "--id", algorithm, "--algorithm", algorithm];
            finish(command().args(keys).current_dir(folder.0.path())).success();
        }
        for (host, certificate, key) in [("a", "a.crt", "a.key"), ("b", "b.crt", "b.key")] {
            let own = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
            let pem = |label: &str, der: &[u8]| {
                let text = base64::engine::general_purpose::STANDARD.encode(der);
                format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
            };
            folder.write(certificate, &pem("CERTIFICATE", own.cert.der()), 0o644);
            folder.write(key, &pem("PRIVATE KEY", &own.signing_key.serialize_der()), 0o600);
        }
        folder.write("short", "secret", 0o600);
        folder.write("text", "no PEM", 0o600);
        folder.write("long", &"x".repeat(32), 0o600);
        folder
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        self.mode(name, mode);
    }

    fn mode(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.0.path().join(name), mode).unwrap();
    }

    /// Runs a command with this configuration.
    fn with(&self, text: &str, arguments: &[&str]) -> Outcome {
        self.write("tidings.toml", &format!("anonymous = []\n{text}\n"), 0o644);
        finish(command().args(arguments).current_dir(self.0.path()))
    }

    fn check(&self, text: &str) -> Outcome {
        self.with(text, &["config", "check", "tidings.toml"])
    }
}

fn issuer(algorithm: &str, keys: &str) -> String {
    format!("[[issuer]]\nalgorithms = [\"{algorithm}\"]\n{keys}\n")
}

#[test]
fn the_files_that_a_configuration_names_are_looked_at() {
    let folder = Named::new();
    let tls = |certificate: &str, key: &str| {
        format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
    };
    for right in [
        issuer("EdDSA", "public_keys = [\"EdDSA.pem\", \"ES256.pem\"]"),
        issuer("HS256", "secret_file = \"HS256.secret\""),
        tls("a.crt", "a.key"),
        "[server]\naudit_log = \"audit\"\n".to_owned(),
    ] {
        assert_eq!(folder.check(&right).success(), "tidings.toml is right: no topic rules\n");
    }
    assert!(!folder.0.path().join("audit").exists(), "a check makes nothing");
    let acme = "[tls.acme]\nagree_terms = true\ndomains = [\"a.example\"]\n";
    for (wrong, place, file) in [
        (issuer("EdDSA", "public_keys = [\"none.pem\"]"), "issuer[0].public_keys", "none.pem"),
        (
            issuer("EdDSA", "public_keys = [\"text\"]"),
            "issuer[0].public_keys",
            "text: not a public",
        ),
        (
            issuer("HS256", "secret_file = \"short\""),
            "issuer[0].secret_file",
            "short: a secret has",
        ),
        (issuer("EdDSA", "jwks_file = \"text\""), "issuer[0].jwks_file", "text: not a JSON Web"),
        (issuer("RS256", "public_keys = [\"EdDSA.pem\"]"), "issuer[0].algorithms", "for EdDSA"),
        (tls("none", "a.key"), "tls.certificate", "none"),
        (tls("text", "a.key"), "tls.certificate", "text: it holds no certificate"),
        (tls("a.crt", "text"), "tls.certificate", "text: it holds no private key"),
        (tls("a.crt", "b.key"), "tls.certificate", "belong together"),
        (format!("{acme}directory_ca = \"none\"\n"), "tls.acme.directory_ca", "none"),
        ("[server]\naudit_log = \"no/audit\"\n".to_owned(), "server.audit_log", "make it first"),
    ] {
        let said = folder.check(&wrong).failure(2);
        assert!(said.contains("tidings.toml:"), "it has a line: {said}");
        assert!(said.contains(&format!("{place}: ")) && said.contains(file), "{wrong}\n{said}");
    }
    let both = format!("{}{}", issuer("HS256", "secret_file = \"short\""), tls("none", "none"));
    let said = folder.check(&both).failure(2);
    assert!(said.contains("secret_file: ") && said.contains("tls.certificate: "), "{said}");
    // The environment is the service's, and a check is made by somebody else.
    let unset = folder.check(&issuer("HS256", "secret_env = \"NOT_SET_ANYWHERE\""));
    assert!(unset.stderr.contains("warning: tidings.toml:4: issuer[0].secret_env: "), "{unset:?}");
    unset.success();
}

#[test]
fn keys_that_fit_no_algorithm_end_the_start() {
    let folder = Named::new();
    let serve = ["serve", "--config", "tidings.toml", "--data-dir", "data"];
    for (algorithm, keys, told) in [
        ("RS256", "public_keys = [\"EdDSA.pem\"]", "the key \"EdDSA\" is for EdDSA"),
        ("EdDSA", "public_keys = [\"ES256.pem\"]", "the key \"ES256\" is for ES256"),
        ("ES256", "secret_file = \"HS256.secret\"", "the key is for HS256"),
    ] {
        let said = folder.with(&issuer(algorithm, keys), &serve).failure(1);
        assert!(said.contains(told), "{said}");
        assert!(said.contains(&format!("algorithms = [\"{algorithm}\"]")), "{said}");
        assert!(!folder.0.path().join("data").exists(), "before anything is opened");
    }
}

#[test]
fn a_secret_that_everybody_may_read_is_warned_of() {
    let folder = Named::new();
    let (keys, tls) = (
        issuer("HS256", "secret_file = \"long\""),
        "[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n",
    );
    for (file, place, text) in
        [("long", "issuer[0].secret_file", keys.as_str()), ("a.key", "tls.key", tls)]
    {
        for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            folder.mode(file, mode);
            let checked = folder.check(text);
            let told = format!("{place}: everybody on this machine may read the secret in {file}");
            assert_eq!(checked.stderr.contains(&told), warned, "{mode:o} {checked:?}");
            assert_eq!(checked.stderr.contains(&format!("chmod 600 {file}")), warned);
            checked.success();
        }
    }
    // The start says the same, also where it ends for another reason.
    let broken = format!("{keys}[tls]\ncertificate = \"none\"\nkey = \"a.key\"\n");
    folder.mode("long", 0o644);
    folder.mode("a.key", 0o600);
    let started = folder.with(&broken, &["serve", "--config", "tidings.toml", "--data-dir", "d"]);
    assert!(started.stderr.contains("WARN"), "{started:?}");
    assert!(started.stderr.contains("may read the secret in long"), "{started:?}");
    assert!(!started.stderr.contains("secret in a.key"), "{started:?}");
}

#[test]
fn a_missing_file_is_told() {
    let said = run(&["config", "check", "/nonexistent/tidings.toml"]).failure(2);
    assert!(said.starts_with("error: cannot read the configuration file /nonexistent"), "{said}");
}

#[test]
fn serve_says_what_to_add_before_it_opens_anything() {
    let said = run(&["serve"]).failure(2);
    assert!(said.contains("error: anonymous: it must be given"), "{said}");
    assert!(said.contains("--anonymous subscribe,publish"), "{said}");
}

#[test]
fn dev_refuses_the_world() {
    let said = run(&["dev", "--listen", "0.0.0.0:0"]).failure(2);
    assert!(said.contains("flag --listen: server.listen: `tidings dev`"), "{said}");
}

#[test]
fn flags_and_variables_are_checked_together_with_the_file() {
    let said = finish(
        command()
            .args(["serve", "--anonymous", "all", "--heartbeat", "15"])
            .env("TIDINGS_SERVER__IO_THREADS", "0"),
    )
    .failure(2);
    for part in [
        "environment TIDINGS_SERVER__IO_THREADS: server.io_threads: 0 is outside",
        "flag --anonymous: anonymous: \"all\" is not one of",
        "flag --heartbeat: server.heartbeat: `15` has no unit",
    ] {
        assert!(said.contains(part), "{part}\nis missing in\n{said}");
    }
}

#[test]
fn show_names_the_source_of_every_value() {
    let file = file("anonymous = []\n[drain]\njitter = \"2s\"\n");
    let path = file.path().to_str().unwrap();
    let shown = finish(
        command()
            .args(["config", "show", "--config", path, "--io-threads", "2"])
            .env("TIDINGS_SERVER__LISTEN", "[::1]:9"),
    )
    .success();
    let has = |parts: [&str; 3]| {
        shown
            .lines()
            .any(|line| line.split("  ").map(str::trim).filter(|p| !p.is_empty()).eq(parts))
    };
    assert!(has(["drain.jitter", "\"2s\"", &format!("{path}:3")]), "{shown}");
    assert!(has(["server.listen", "\"[::1]:9\"", "environment TIDINGS_SERVER__LISTEN"]), "{shown}");
    assert!(has(["server.io_threads", "2", "flag --io-threads"]), "{shown}");
    assert!(has(["server.heartbeat", "\"15s\"", "default"]), "{shown}");
}

#[test]
fn show_speaks_json() {
    let shown = run(&["config", "show", "--for", "dev", "--json"]).success();
    let values: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let listen = values.iter().find(|value| value["path"] == "server.listen").unwrap();
    assert_eq!(listen["value"], "127.0.0.1:8080");
    assert_eq!(listen["source"], "default");
}

#[test]
fn show_hides_what_the_running_server_hides_too() {
    let relay = |upstream: &str| {
        format!(
            "anonymous = []\n[[relay]]\nkind = \"llm\"\npath = \"/v1\"\nupstream = \"{upstream}\"\n\
             add_headers = [\"Authorization: Bearer HIDDEN\"]\n"
        )
    };
    let file = file(&relay("http://127.0.0.1:1/v1?key=HIDDEN"));
    let path = file.path().to_str().unwrap();
    for arguments in [&["--config", path][..], &["--config", path, "--json"]] {
        let shown = run(&[&["config", "show"], arguments].concat()).success();
        assert!(!shown.contains("HIDDEN"), "{shown}");
        assert!(shown.contains("\"(set)\"") && shown.contains("1/v1?(set)\""), "{shown}");
    }
    // Nor is it told in the words of a refusal.
    std::fs::write(file.path(), relay("http://me:HIDDEN@127.0.0.1:1/v1")).unwrap();
    let told = run(&["config", "show", "--config", path]).failure(2);
    assert!(told.contains("without a user in it") && !told.contains("HIDDEN"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_cannot_be_read_ends_the_start() {
    use std::os::unix::ffi::OsStrExt as _;
    let strange = std::ffi::OsStr::from_bytes(b"https://\xff");
    let told = finish(command().args(["config", "show"]).env("TIDINGS_HOOK__URL", strange));
    let told = told.failure(2);
    assert!(told.contains("TIDINGS_HOOK__URL") && told.contains("not UTF-8"), "{told}");
}

#[test]
fn the_schema_is_one() {
    let schema: serde_json::Value =
        serde_json::from_str(&run(&["config", "schema"]).success()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["server"]["properties"]["listen"]["default"], "127.0.0.1:8080");
}
