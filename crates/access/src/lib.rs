//! Who may do what: tokens, the keys that sign them, and what their claims allow.
//!
//! A leaf: no HTTP, no clock and no file. Whoever asks brings the time and the bytes, so that every
//! rule can be tested with a table, and no rule depends on how a token arrived.
//!
//! What it promises: a token counts only if one of the configured issuers can have signed it. The
//! algorithm is never the token's choice: it must be on the issuer's list *and* belong to the kind
//! of the key (RFC 8725, section 3.1), so that a public key is never taken for a secret, and
//! `none` is not even a word here. What a token does not grant, it refuses.
//!
//! | module | holds |
//! |---|---|
//! | [`jws`] | the compact form of a signed token (RFC 7515) |
//! | [`key`] | keys that verify, from a secret, PEM or JWK |
//! | [`signing`] | keys that sign, for `tidings token` |
//! | [`claims`] | what a token says (RFC 7519) |
//! | [`grants`] | what its bearer may do, by topic and pattern |
//! | [`verifier`] | the issuers, and the judgement |
//! | [`revoked`] | tokens and subjects that are not welcome any more |

pub mod claims;
pub mod grants;
pub mod jws;
pub mod key;
mod object;
pub mod revoked;
pub mod signing;
pub mod verifier;

pub use claims::Claims;
pub use grants::{Action, Grants};
pub use key::{Algorithm, Key, KeyError, KeySet};
pub use revoked::Revoked;
pub use signing::SigningKey;
pub use verifier::{Caller, Issuer, TokenError, Verifier};
