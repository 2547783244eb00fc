//! What somebody may write who has only the right `presence`: an entry of its own.
//!
//! The entries of a topic's presence are events with keys, and whoever writes the key of another
//! speaks for it. So a key is the subject of the token, or the subject, a `/` and more, which
//! tells the pages of one person apart. A subject that itself has a `/` could be taken for
//! another's page, so it has no entries. The other names by which an event says who has made it,
//! the publisher's id of it and the producer, are the caller's own in the same way: whoever took
//! another's could shut its owner out. Where anybody may join there are no names, and any will do;
//! what nobody may do so is to end the topic, or to write what belongs to no entry.

use tidings_frame::ErrorCode;
use tidings_hub::NewEvent;

use super::Who;
use crate::error::ApiError;

/// Refuses what is not an entry of the caller's own.
pub(super) fn check(who: &Who, topic: &str, event: &NewEvent<'_>) -> Result<(), ApiError> {
    let refused = |why: &str| {
        let detail = format!("{topic}: with the right \"presence\" alone, {why}");
        Err(ApiError::new(ErrorCode::Forbidden, detail))
    };
    let Some(key) = event.key.as_deref() else {
        return refused("an event has a key: the entry that it is about");
    };
    if event.end.is_some() {
        return refused("a topic is not ended");
    }
    let own = |name| who.subject().is_some_and(|subject| is_own(name, subject));
    let names = [
        ("key", Some(key)),
        ("publisher-id", event.publisher_id.as_deref()),
        ("producer-id", event.producer.map(|producer| producer.id)),
    ];
    if who.is_anybodys(topic) {
        return Ok(());
    }
    match names.into_iter().find(|(_, name)| name.is_some_and(|name| !own(name))) {
        None => Ok(()),
        Some((field, _)) => refused(&format!(
            "the {field} is the token's subject (which has no `/`), or begins with it and a `/`"
        )),
    }
}

fn is_own(key: &str, subject: &str) -> bool {
    !subject.is_empty() && key.split('/').next() == Some(subject)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn an_entry_is_of_whom_its_key_names() {
        for (key, subject, own) in [
            ("ada", "ada", true),
            ("ada/2", "ada", true),
            ("ada/", "ada", true),
            ("adam", "ada", false),
            ("bob", "ada", false),
            ("ad", "ada", false),
            ("Ada", "ada", false),
            ("a/b", "a", true),
            ("a/b", "a/b", false),
            ("a/b/1", "a/b", false),
            ("", "", false),
            ("/x", "", false),
        ] {
            assert_eq!(is_own(key, subject), own, "{key:?} {subject:?}");
        }
    }
}
