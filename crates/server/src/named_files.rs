//! The files that a configuration names, looked at as the start does it, but without starting: no
//! address is bound, no folder opened, nothing written.
//!
//! It promises that what it finds wrong would end the start too, and that it tells every file that
//! is wrong, not only the first. What belongs to the environment of the service alone is a warning.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::access::keys::{self, KeysError};
use crate::config::{CertificateSource, IssuerConfig, KeySource, Loaded, Problem, Source};
use crate::tls::Certificates;

/// Others may read, of a file's mode.
const OTHERS_READ: u32 = 0o004;

/// How it stands with the files of a configuration.
#[derive(Debug, Default)]
pub struct NamedFiles {
    /// What the start would end with.
    pub problems: Vec<Problem>,
    /// What is no error and should be changed all the same.
    pub warnings: Vec<Problem>,
}

impl NamedFiles {
    /// Reads what `loaded` names.
    #[must_use]
    pub fn read(loaded: &Loaded) -> Self {
        let mut found = Self { problems: Vec::new(), warnings: open_files(loaded) };
        for (index, issuer) in loaded.config.issuers.iter().enumerate() {
            found.read_keys(loaded, index, issuer);
        }
        found.read_certificate(loaded);
        if let Some(path) = &loaded.config.audit_log {
            if let Some(message) = unwritable(path) {
                found.problems.push(problem(loaded, "server.audit_log", message));
            }
        }
        found
    }

    fn read_keys(&mut self, loaded: &Loaded, index: usize, issuer: &IssuerConfig) {
        let Err(error) = keys::load(std::slice::from_ref(issuer)) else { return };
        let place = match (&error, &issuer.keys) {
            (KeysError::Unfit { .. }, _) => "algorithms",
            (_, KeySource::SecretEnv(_)) => "secret_env",
            (_, KeySource::SecretFile(_)) => "secret_file",
            (_, KeySource::PublicKeys(_)) => "public_keys",
            (_, KeySource::JwksFile(_)) => "jwks_file",
            (_, KeySource::JwksUrl(_)) => "jwks_url",
        };
        let place = format!("issuer[{index}].{place}");
        if let KeysError::Unset(_) = error {
            let message = format!("{error} here; the server does not start without it");
            self.warnings.push(problem(loaded, &place, message));
        } else {
            self.problems.push(problem(loaded, &place, error.to_string()));
        }
    }

    fn read_certificate(&mut self, loaded: &Loaded) {
        let Some(tls) = &loaded.config.tls else { return };
        let Err(error) = Certificates::check(tls) else { return };
        let (place, hint) = match &tls.certificate {
            CertificateSource::Acme(_) => ("tls.acme.directory_ca", String::new()),
            CertificateSource::Files(files) => {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                let hint = format!(
                    "; the files have to be in PEM, readable by the user that runs the server, and \
                     belong together: tls.certificate = {certificate}, tls.key = {key}"
                );
                ("tls.certificate", hint)
            }
        };
        self.problems.push(problem(loaded, place, format!("{error}{hint}")));
    }
}

/// Warns, in the log, of files with secrets that others on the machine may read.
pub fn warn_of_open_files(loaded: &Loaded) {
    for warning in open_files(loaded) {
        tracing::warn!("{warning}");
    }
}

/// The files with secrets that others may read.
fn open_files(loaded: &Loaded) -> Vec<Problem> {
    let mut open = Vec::new();
    for value in &loaded.values {
        let Some(path) = value.value.as_str().filter(|_| is_secret(&value.path)) else { continue };
        let mode = std::fs::metadata(path).map(|known| known.permissions().mode());
        if mode.is_ok_and(|mode| mode & OTHERS_READ != 0) {
            let message = format!(
                "everybody on this machine may read the secret in {path}; `chmod 600 {path}` (640 \
                 for a group)"
            );
            open.push(problem(loaded, &value.path, message));
        }
    }
    for (index, issuer) in loaded.config.issuers.iter().enumerate() {
        if let KeySource::JwksFile(path) = &issuer.keys {
            open.extend(open_set(loaded, index, path));
        }
    }
    open
}

/// A set of keys is a secret only if there is one in it.
fn open_set(loaded: &Loaded, index: usize, path: &Path) -> Option<Problem> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let secret = mode & OTHERS_READ != 0 && keys::holds_secret(path);
    secret.then(|| {
        let path = path.display();
        let message = format!(
            "everybody on this machine may read the secret in {path}; \
             `chmod 600 {path}`"
        );
        problem(loaded, &format!("issuer[{index}].jwks_file"), message)
    })
}

/// Whether the value with this full name is a file whose content is a secret.
fn is_secret(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    path == "tls.key" || name == "secret_file" || name == "eab_key_file"
}

/// Why the audit log could not be written to; it is not made here.
fn unwritable(path: &Path) -> Option<String> {
    if path.exists() {
        let opened = std::fs::OpenOptions::new().append(true).open(path);
        return opened.err().map(|error| format!("cannot write to {}: {error}", path.display()));
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let message = || format!("there is no folder {}; make it first", folder.display());
    (!folder.is_dir()).then(message)
}

/// A problem with the place that the value, or the list that it is, was written at.
fn problem(loaded: &Loaded, path: &str, message: String) -> Problem {
    let of_it = |value: &&crate::config::Effective| value.path == path;
    let source: Option<Source> = loaded.values.iter().find(of_it).map(|value| value.source.clone());
    Problem { source, path: path.to_owned(), message }
}
