//! The section of those whose tokens count, as it is written.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::schema::{Field, Kind, Preset};

use super::plain;

section! {
    /// Somebody whose tokens (JWT, RFC 7519) count. Its keys are in exactly one place.
    Issuer {
        /// What the claim `iss` must be; not looked at if not given, which only a single issuer
        /// may.
        name: Option<String> = Kind::Text, Preset::None;
        /// One of these must be in the claim `aud`; not looked at if not given, or `["*"]`. With
        /// `jwks_url` it must be given.
        audience: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// What tokens are signed with; any other is refused.
        algorithms: Option<Vec<String>> =
            Kind::Choices(&["HS256", "RS256", "PS256", "ES256", "EdDSA"]), Preset::None;
        /// The environment variable with the secret (HS256), at least 32 bytes.
        secret_env: Option<String> = Kind::Text, Preset::None;
        /// The file with the secret (HS256).
        secret_file: Option<PathBuf> = Kind::Path, Preset::None;
        /// Files with public keys in PEM. A file's name without its ending is the key's `kid`.
        public_keys: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// A file with a JSON Web Key Set (RFC 7517).
        jwks_file: Option<PathBuf> = Kind::Path, Preset::None;
        /// Where a JSON Web Key Set is fetched, and fetched again when it may have changed.
        jwks_url: Option<String> = Kind::Text, Preset::None;
        /// Whether a token counts that does not say until when.
        without_expiry: Option<bool> = Kind::Flag, Preset::None;
        /// Patterns to which a token without the claim `tidings` may publish; `{sub}` stands for
        /// its subject. Once one of these four lists is given, no token of this issuer grants more
        /// than they do, whatever it claims, unless `at_most` says what is the most.
        publish: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns that such a token may follow and read: `["inbox/{sub}"]`.
        subscribe: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns whose presence such a token may see and join.
        presence: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns that such a token may administrate.
        admin: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// The most that any token of this issuer grants, whatever it claims. What is left out is
        /// nothing; an empty section is refused.
        at_most: Most = Kind::Section(Most::FIELDS), Preset::None;
        /// The claim that says whose limits apply (`[limits.tenant]`): its name, or a path such as
        /// `org.id`.
        tenant_claim: Option<String> = Kind::Text, Preset::Text("tenant");
    }
}

section! {
    /// The most that any token of an issuer grants, whatever it claims.
    Most {
        /// Patterns to which a token may publish at most; `{sub}` stands for its subject.
        publish: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns that it may follow and read.
        subscribe: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns whose presence it may see and join.
        presence: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns that it may administrate.
        admin: Option<Vec<String>> = Kind::Texts, Preset::None;
    }
}
