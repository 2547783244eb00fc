//! A page of the list of topics, for whoever may know of few of them.
//!
//! Only names that begin as one of the caller's patterns does are looked at, and of these a bounded
//! number. Where it stopped may be a topic that the caller may not know of: so the place to go on
//! is sealed, and tells neither a name nor how long that is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use tidings_frame::limits::{TOPIC_BYTES_MAX, TOPIC_PAGE_MAX, TOPICS_LOOKED_AT_MAX};
use tidings_frame::{TopicName, is_internal};
use tidings_hub::TopicDescription;

use super::topics::is_shown;
use crate::access::Who;
use crate::app::App;
use crate::hook::judge::By;

/// Topics that are asked of the log at first for each beginning; there may be many beginnings, and
/// few topics of each.
const FIRST: usize = 16;

/// The last of the server's own topics, and everything that could be: their names begin with `$`,
/// and names are listed in the order of their bytes.
const AFTER_INTERNAL: &str = "$\u{10ffff}";

/// A page as it is gathered.
struct Page<'a> {
    app: &'a App,
    by: By<'a>,
    who: &'a Who,
    limit: usize,
    shown: Vec<TopicDescription>,
    looked_at: usize,
    /// The last name that was looked at.
    after: Option<String>,
}

/// Topics that the caller may know of, in the order of their names, and the name after which it
/// goes on, if there may be more. At most [`TOPICS_LOOKED_AT_MAX`] are looked at; the server's own
/// do not count, they are passed over at once.
pub(super) fn gather(
    app: &App,
    by: By<'_>,
    who: &Who,
    after: Option<String>,
    limit: usize,
) -> (Vec<TopicDescription>, Option<String>) {
    let mut page = Page { app, by, who, limit, shown: Vec::new(), looked_at: 0, after };
    for beginning in who.beginnings() {
        if !page.gather(&beginning) {
            // One more was found than fits, or so many were looked at.
            let more = page.shown.len() > limit;
            page.shown.truncate(limit);
            let last = page.shown.last().filter(|_| more).map(|topic| topic.name.to_string());
            return (page.shown, last.or(page.after));
        }
    }
    (page.shown, None)
}

impl Page<'_> {
    /// Looks at the topics whose names begin so; false: the page has come to its end.
    fn gather(&mut self, beginning: &str) -> bool {
        if self.after.as_deref().is_none_or(|after| after < beginning) {
            // The list goes on after a name, and the beginning itself may be one.
            let itself = TopicName::new(beginning).ok();
            if let Some(topic) = itself.and_then(|name| self.app.hub.describe(&name)) {
                if !self.look(topic) {
                    return false;
                }
            }
            self.after = Some(beginning.to_owned()).filter(|name| !name.is_empty());
        }
        let mut count = FIRST;
        loop {
            let topics = self.app.hub.topics(self.after.as_deref(), count);
            let whole = topics.len() == count;
            for topic in topics {
                if !topic.name.starts_with(beginning) {
                    return true;
                }
                if !self.look(topic) {
                    return false;
                }
            }
            if !whole {
                return true;
            }
            if self.after.as_deref().is_some_and(is_internal) {
                self.after = Some(AFTER_INTERNAL.to_owned());
            }
            count = TOPIC_PAGE_MAX;
        }
    }

    fn look(&mut self, topic: TopicDescription) -> bool {
        if self.shown.len() > self.limit || self.looked_at == TOPICS_LOOKED_AT_MAX {
            return false;
        }
        self.after = Some(topic.name.as_ref().into());
        if !is_internal(&topic.name) {
            self.looked_at += 1;
            if is_shown(self.app, self.by, self.who, &topic.name) {
                self.shown.push(topic);
            }
        }
        self.shown.len() <= self.limit
    }
}

/// Seals and opens places, with a key of this process's own.
pub(crate) struct Places {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Places {
    /// With a key of its own.
    pub(crate) fn new() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let mut key = [0; 32];
        random.fill(&mut key)?;
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key)?);
        Ok(Self { key, random })
    }

    /// The place after the topic of this name.
    pub(super) fn seal(&self, name: &str) -> Result<String, Unspecified> {
        // All of one length: the length, the name, and zeros.
        let length = u16::try_from(name.len()).map_err(|_| Unspecified)?;
        let mut sealed = length.to_be_bytes().to_vec();
        sealed.extend_from_slice(name.as_bytes());
        sealed.resize(2 + TOPIC_BYTES_MAX.max(name.len()), 0);
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let number = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(number, Aad::empty(), &mut sealed)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// The name of the topic after which it goes on; `None` if this process has not sealed it.
    pub(super) fn open(&self, place: &str) -> Option<String> {
        let place = URL_SAFE_NO_PAD.decode(place).ok()?;
        let (nonce, sealed) = place.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        let (length, name) = opened.split_first_chunk()?;
        let name = name.get(..usize::from(u16::from_be_bytes(*length)))?;
        String::from_utf8(name.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_again_and_tells_nothing() {
        let places = Places::new().unwrap();
        let longest = "x".repeat(TOPIC_BYTES_MAX);
        for name in ["", "a", "inbox/\u{e9}", &longest] {
            let place = places.seal(name).unwrap();
            assert_eq!(places.open(&place).as_deref(), Some(name));
            assert_eq!(place.len(), places.seal("secret").unwrap().len());
            assert_ne!(place, places.seal(name).unwrap());
            assert_eq!(Places::new().unwrap().open(&place), None);
            let first = if place.starts_with('A') { "B" } else { "A" };
            assert_eq!(places.open(&format!("{first}{}", &place[1..])), None);
        }
        for wrong in ["", "A", "inbox", "\u{e9}"] {
            assert_eq!(places.open(wrong), None);
        }
    }
}
