//! The section of certificates that the server gets by itself, as it is written.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::acme::{CHALLENGES, Challenge, LETS_ENCRYPT};
use crate::config::schema::{Field, Kind, Preset};

use super::plain;

section! {
    /// Certificates that the server orders and renews by itself (ACME, RFC 8555), instead of files.
    Acme {
        /// The names that the certificate is for. They must lead to this server from outside.
        domains: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Whether you agree to the authority's terms of service; nothing is ordered otherwise.
        agree_terms: Option<bool> = Kind::Flag, Preset::None;
        /// Whom the authority writes to: e-mail addresses.
        contact: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// The authority's directory (https). Requests go to its host alone.
        directory: String = Kind::Text, Preset::Text(LETS_ENCRYPT);
        /// A file with the authority that the directory's own certificate is checked with (PEM),
        /// for one inside a company; without it, those that the system trusts.
        directory_ca: Option<PathBuf> = Kind::Path, Preset::None;
        /// How the names are proven, in the order of preference: `tls-alpn-01` (on the listener for
        /// TLS, asked at port 443), `http-01` (on the plain listener, asked at port 80).
        /// `tls-alpn-01` unless given.
        challenge: Option<Vec<Challenge>> = Kind::Choices(CHALLENGES), Preset::None;
        /// The id of an account that the authority knows already (external account binding).
        eab_key_id: Option<String> = Kind::Text, Preset::None;
        /// The file with that account's key, as the authority gives it (base64url).
        eab_key_file: Option<PathBuf> = Kind::Path, Preset::None;
        /// The environment variable with that key, instead of a file.
        eab_key_env: Option<String> = Kind::Text, Preset::None;
    }
}
