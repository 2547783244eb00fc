//! Who has made a publish for later: what is kept with it of the caller, to find out when it is due
//! whether that caller was revoked meanwhile. Nothing of the token itself.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidings_access::Caller;
use tidings_access::revoked::Bearer;
use tidings_hub::Hub;

use super::Access;

#[derive(Serialize, Deserialize)]
struct Maker<'a> {
    /// The name of the token's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<Cow<'a, str>>,
    /// When the token was issued, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued: Option<u64>,
}

/// The caller as text, if it has a name by which it could be revoked.
pub(crate) fn of(caller: &Caller) -> Option<String> {
    let named = caller.subject.is_some() || caller.token_id.is_some();
    let maker = Maker {
        issuer: caller.issuer.as_deref().map(Cow::Borrowed),
        subject: caller.subject.as_deref().map(Cow::Borrowed),
        token_id: caller.token_id.as_deref().map(Cow::Borrowed),
        issued: caller.issued,
    };
    named.then(|| serde_json::to_string(&maker).expect("texts and a number are JSON"))
}

/// Has the hub drop what was made by whoever is revoked when it is due. Before what is revoked was
/// read, nothing may be judged.
pub(crate) fn judge(hub: &Hub, access: &Arc<Access>) {
    let access = Arc::clone(access);
    hub.judge_makers(Box::new(move |text| {
        // What a newer version has written is not known here, so that nobody speaks for it.
        serde_json::from_str(text).is_ok_and(|maker: Maker<'_>| {
            !access.revoked.read().covers(Bearer {
                issuer: maker.issuer.as_deref(),
                subject: maker.subject.as_deref(),
                token_id: maker.token_id.as_deref(),
                issued: maker.issued,
            })
        })
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_without_a_name_is_not_kept() {
        let nobody = Caller {
            identity: "x".to_owned(),
            issuer: None,
            subject: None,
            token_id: None,
            tenant: None,
            issued: Some(7),
            expires: None,
            grants: tidings_access::Grants::default(),
        };
        assert_eq!(of(&nobody), None);
        let ada = Caller { subject: Some("ada".to_owned()), ..nobody };
        assert_eq!(of(&ada).unwrap_or_default(), r#"{"subject":"ada","issued":7}"#);
    }
}
