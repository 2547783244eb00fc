//! What the bearer of a token may do, by topic and pattern.
//!
//! A grant is a list of patterns for each kind of action. What no pattern covers is refused; there
//! is nothing that forbids, so the order of a list means nothing.
//!
//! `presence` of a pattern `P` is `publish` and `subscribe` of `presence/P`, and no other right:
//! who has only that writes only entries of its own ([`Grants::allow_plainly`]).
//!
//! Where the operator has set an issuer a ceiling, what a token claims is judged against both, each
//! request anew: two patterns may have more in common than a pattern can say.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidings_frame::Pattern;

/// Where the members of a topic are: the presence of `T` is the topic `presence/T`.
pub const PRESENCE: &str = "presence/";

/// Patterns in one list of a token.
pub const PATTERNS_MAX: usize = 256;

/// What somebody wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish events to it.
    Publish,
    /// Follow it and read its history.
    Subscribe,
    /// Be seen in it, and see who is.
    Presence,
    /// Set its policy, remove it, and see what is private in it.
    Admin,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Subscribe, Self::Presence, Self::Admin];

    /// The name in claims and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Presence => "presence",
            Self::Admin => "admin",
        }
    }
}

/// What may be done: for each action the patterns of the topics. The form of the claim `tidings`:
/// `{"publish": ["chat/7"], "subscribe": ["chat/*", "inbox/ada"], "presence": [], "admin": []}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Topics to which events may be published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Pattern>,
    /// Topics that may be followed and read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<Pattern>,
    /// Topics whose presence may be seen and joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub presence: Vec<Pattern>,
    /// Topics that may be administrated; `**` makes an operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub admin: Vec<Pattern>,
    /// What is not granted by this too is not granted.
    #[serde(skip)]
    pub ceiling: Option<Arc<Grants>>,
}

impl Grants {
    /// Grants of these patterns, by action.
    #[must_use]
    pub fn new(mut patterns: impl FnMut(Action) -> Vec<Pattern>) -> Self {
        let mut grants = Self::default();
        for action in Action::ALL {
            *grants.patterns_mut(action) = patterns(action);
        }
        grants
    }

    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::new(|_| vec![Pattern::new("**").expect("a pattern")])
    }

    /// The same, but nothing that the ceiling does not grant too.
    #[must_use]
    pub fn within(mut self, ceiling: Self) -> Self {
        self.ceiling = Some(Arc::new(ceiling));
        self
    }

    /// Whether this holds of the grants and of their ceiling.
    fn both(&self, holds: impl Fn(&Self) -> bool) -> bool {
        holds(self) && self.ceiling.as_deref().is_none_or(holds)
    }

    /// The patterns for one action, whatever the ceiling says.
    #[must_use]
    pub fn patterns(&self, action: Action) -> &[Pattern] {
        match action {
            Action::Publish => &self.publish,
            Action::Subscribe => &self.subscribe,
            Action::Presence => &self.presence,
            Action::Admin => &self.admin,
        }
    }

    /// The patterns for one action, to change them.
    pub fn patterns_mut(&mut self, action: Action) -> &mut Vec<Pattern> {
        match action {
            Action::Publish => &mut self.publish,
            Action::Subscribe => &mut self.subscribe,
            Action::Presence => &mut self.presence,
            Action::Admin => &mut self.admin,
        }
    }

    /// Whether this may be done with the topic of this name, be it that its presence is granted.
    #[must_use]
    pub fn allow(&self, action: Action, topic: &str) -> bool {
        self.both(|grants| {
            let of = presence_of(action, topic);
            let by_presence = |of| grants.presence.iter().any(|it| it.matches_below(of));
            grants.name(action, topic) || of.is_some_and(by_presence)
        })
    }

    /// Whether this may be done with the topic of this name, and not only because its presence is
    /// granted.
    #[must_use]
    pub fn allow_plainly(&self, action: Action, topic: &str) -> bool {
        self.both(|grants| grants.name(action, topic))
    }

    fn name(&self, action: Action, topic: &str) -> bool {
        self.patterns(action).iter().any(|pattern| pattern.matches(topic))
    }

    /// Whether this may be done with every topic that the pattern can mean, now and later.
    #[must_use]
    pub fn allow_all(&self, action: Action, wanted: &Pattern) -> bool {
        let of = presence_of(action, wanted.as_str());
        self.both(|grants| {
            let by_presence = |of| grants.presence.iter().any(|it| it.covers_below(of));
            let plainly = grants.patterns(action).iter().any(|pattern| pattern.covers(wanted));
            plainly || of.is_some_and(by_presence)
        })
    }

    /// Whether there can be a topic at all with which this may be done, be it that its presence is
    /// granted.
    #[must_use]
    pub fn allow_some(&self, action: Action) -> bool {
        let Some(ceiling) = &self.ceiling else { return self.reach(action).next().is_some() };
        self.reach(action).any(|mine| {
            ceiling.reach(action).any(|limit| have_common(mine.segments(), limit.segments()))
        })
    }

    /// Every pattern by which this may be done, also those of presence.
    fn reach(&self, action: Action) -> impl Iterator<Item = Reach<'_>> {
        let joins = matches!(action, Action::Publish | Action::Subscribe);
        let presence = if joins { &*self.presence } else { &[] };
        let plain = self.patterns(action).iter().map(|pattern| Reach { below: None, pattern });
        let below = PRESENCE.strip_suffix('/');
        plain.chain(presence.iter().map(move |pattern| Reach { below, pattern }))
    }

    /// How the names begin of topics with which this may be done plainly: as the patterns do, up to
    /// their first wildcard, and as far as the ceiling reaches.
    #[must_use]
    pub fn beginnings(&self, action: Action) -> Vec<&str> {
        let mine = plain_parts(self.patterns(action));
        let Some(ceiling) = &self.ceiling else { return mine };
        let limits = plain_parts(ceiling.patterns(action));
        let mut common = Vec::new();
        for (mine, limit) in mine.iter().flat_map(|mine| limits.iter().map(move |it| (*mine, *it)))
        {
            if mine.starts_with(limit) {
                common.push(mine);
            } else if limit.starts_with(mine) {
                common.push(limit);
            }
        }
        common
    }

    /// Whether the bearer is an operator: administrates every topic.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.both(|grants| grants.admin.iter().any(|pattern| pattern.as_str() == "**"))
    }

    /// Whether some list is longer than [`PATTERNS_MAX`].
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        Action::ALL.iter().any(|action| self.patterns(*action).len() > PATTERNS_MAX)
    }
}

/// A pattern, and the segment that its topics are below.
#[derive(Clone, Copy)]
struct Reach<'a> {
    below: Option<&'a str>,
    pattern: &'a Pattern,
}

impl<'a> Reach<'a> {
    fn segments(self) -> impl Iterator<Item = &'a str> {
        self.below.into_iter().chain(self.pattern.as_str().split('/'))
    }
}

/// Whether some name matches both patterns. `**` is the last segment of one and stands for at
/// least one; no wildcard stands for a first segment that begins with `$`.
fn have_common<'a>(
    mut some: impl Iterator<Item = &'a str>,
    mut others: impl Iterator<Item = &'a str>,
) -> bool {
    let mut first = true;
    loop {
        let (one, other) = match (some.next(), others.next()) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return one.is_none() && other.is_none(),
        };
        let hidden = |plain: &str| first && plain.starts_with('$');
        let wild = |segment: &str| matches!(segment, "*" | "**");
        let meet = match (wild(one), wild(other)) {
            (true, true) => true,
            (true, false) => !hidden(other),
            (false, true) => !hidden(one),
            (false, false) => one == other,
        };
        if !meet || one == "**" || other == "**" {
            return meet;
        }
        first = false;
    }
}

/// What stands before the first wildcard of each.
fn plain_parts(patterns: &[Pattern]) -> Vec<&str> {
    patterns.iter().filter_map(|pattern| pattern.as_str().split('*').next()).collect()
}

/// The topic whose presence is followed or joined by doing this with a topic, or a pattern, of this
/// name.
fn presence_of(action: Action, topic: &str) -> Option<&str> {
    topic.strip_prefix(PRESENCE).filter(|_| matches!(action, Action::Publish | Action::Subscribe))
}

/// Grants with a place for the subject: `inbox/{sub}`. For issuers whose tokens say who somebody is
/// and nothing of topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantTemplate {
    lists: [Vec<String>; 4],
}

/// Where the subject goes.
const SUBJECT: &str = "{sub}";

impl GrantTemplate {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { lists: std::array::from_fn(|_| vec!["**".to_owned()]) }
    }

    /// A template with these patterns for an action, instead of those it had.
    ///
    /// # Errors
    /// The text that would not be a pattern with any subject, and why.
    pub fn set(&mut self, action: Action, patterns: Vec<String>) -> Result<(), String> {
        for text in &patterns {
            Pattern::new(&text.replace(SUBJECT, "x"))
                .map_err(|error| format!("`{text}`: {error}"))?;
        }
        self.lists[action as usize] = patterns;
        Ok(())
    }

    /// The grants of this subject. A pattern with a place for it is left out when there is none, or
    /// when it is not exactly one plain segment: `a/b` or `*` would reach further than was meant.
    #[must_use]
    pub fn fill(&self, subject: Option<&str>) -> Grants {
        let plain = subject
            .filter(|subject| !subject.contains(['/', '*']) && Pattern::new(subject).is_ok());
        let filled = |text: &String| match (text.contains(SUBJECT), plain) {
            (false, _) => Pattern::new(text).ok(),
            (true, Some(subject)) => Pattern::new(&text.replace(SUBJECT, subject)).ok(),
            (true, None) => None,
        };
        Grants::new(|action| self.lists[action as usize].iter().filter_map(filled).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(json: &str) -> Grants {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_granted_is_refused() {
        let some = grants(r#"{"publish":["chat/7"],"subscribe":["chat/*","news/**"]}"#);
        for (action, topic, allowed) in [
            (Action::Publish, "chat/7", true),
            (Action::Publish, "chat/8", false),
            (Action::Publish, "news/a", false),
            (Action::Subscribe, "chat/8", true),
            (Action::Subscribe, "chat/8/b", false),
            (Action::Subscribe, "news/a/b", true),
            (Action::Subscribe, "news", false),
            (Action::Presence, "chat/7", false),
            (Action::Admin, "chat/7", false),
        ] {
            assert_eq!(some.allow(action, topic), allowed, "{action:?} {topic}");
        }
        assert!(!some.is_operator());
        assert!(Grants::everything().is_operator());
        assert!(!grants(r#"{"admin":["chat/**"]}"#).is_operator());
        assert!(!Grants::everything().allow(Action::Subscribe, "$relay/x"));
    }

    #[test]
    fn presence_is_publish_and_subscribe_below_its_own_segment() {
        let some = grants(r#"{"presence":["room/*"]}"#);
        let all = grants(r#"{"presence":["**"]}"#);
        let pattern = |text: &str| Pattern::new(text).unwrap();
        for action in [Action::Publish, Action::Subscribe] {
            assert!(some.allow(action, "presence/room/7") && all.allow(action, "presence/a/b"));
            assert!(!some.allow_plainly(action, "presence/room/7"));
            for other in ["room/7", "presence/room", "presence/room/7/a", "presence", "presence/"] {
                assert!(!some.allow(action, other), "{other}");
            }
            assert!(!all.allow(action, "room/7") && !all.allow(action, "presence"));
            // `presence/P` matches what `P` does to the rest, also where that begins with `$`.
            assert!(
                all.allow(action, "presence/$x") && all.allow_all(action, &pattern("presence/**"))
            );
            assert!(some.allow_all(action, &pattern("presence/room/*")));
            for wider in ["presence/room/**", "presence/*", "presence/**", "*/room/7", "**"] {
                assert!(!some.allow_all(action, &pattern(wider)), "{wider}");
            }
            assert!(!all.allow_all(action, &pattern("**")));
            assert!(!all.allow_all(action, &pattern("*/a")));
        }
        for action in [Action::Admin, Action::Presence] {
            assert!(!some.allow(action, "presence/room/7"));
        }
        assert_eq!(all.beginnings(Action::Subscribe), [""; 0]);
    }

    #[test]
    fn there_is_something_where_claim_and_ceiling_have_a_topic_in_common() {
        // What is claimed, the ceiling, and whether something may be published to and followed.
        for (claim, ceiling, publish, subscribe) in [
            (r#"{"presence":["room/1"]}"#, r#"{"subscribe":["presence/*/*"]}"#, false, true),
            (r#"{"presence":["room/1"]}"#, r#"{"publish":["presence/**"]}"#, true, false),
            (r#"{"presence":["room/1"]}"#, r#"{"subscribe":["presence/*"]}"#, false, false),
            (r#"{"presence":["room/1"]}"#, r#"{"subscribe":["room/1"]}"#, false, false),
            (r#"{"presence":["room/1"]}"#, r#"{"presence":["room/*"]}"#, true, true),
            (r#"{"presence":["room/1"]}"#, r#"{"presence":["room/2"]}"#, false, false),
            (r#"{"presence":["**"]}"#, r#"{"presence":["$x/1"]}"#, true, true),
            (r#"{"subscribe":["presence/room/1"]}"#, r#"{"presence":["room/*"]}"#, false, true),
            (r#"{"publish":["*/*/1"]}"#, r#"{"presence":["room/**"]}"#, true, false),
            (r#"{"publish":["room/1"]}"#, r#"{"presence":["room/1"]}"#, false, false),
            (r#"{"subscribe":["*/mine"]}"#, r#"{"subscribe":["chat/*"]}"#, false, true),
            (r#"{"subscribe":["*/mine"]}"#, r#"{"subscribe":["chat/7"]}"#, false, false),
            (r#"{"subscribe":["*/*"]}"#, r#"{"subscribe":["**"]}"#, false, true),
            (r#"{"subscribe":["a/**"]}"#, r#"{"subscribe":["a"]}"#, false, false),
            (r#"{"subscribe":["a/**"]}"#, r#"{"subscribe":["a/b/*"]}"#, false, true),
            (r#"{"subscribe":["a"]}"#, r#"{"publish":["a"]}"#, false, false),
            (r#"{"subscribe":["**"]}"#, r#"{"subscribe":["$x/1"]}"#, false, false),
            (r#"{"subscribe":["$x/*"]}"#, r#"{"subscribe":["*/1"]}"#, false, false),
            (r#"{"admin":["**"]}"#, r#"{"admin":["**"]}"#, false, false),
            (r#"{"subscribe":["a"]}"#, "{}", false, false),
            ("{}", r#"{"subscribe":["a"]}"#, false, false),
        ] {
            let within = grants(claim).within(grants(ceiling));
            let some = |action| within.allow_some(action);
            let found = (some(Action::Publish), some(Action::Subscribe));
            assert_eq!(found, (publish, subscribe), "{claim} within {ceiling}");
        }
        assert!(grants(r#"{"presence":["a"]}"#).allow_some(Action::Subscribe));
        assert!(grants(r#"{"admin":["a"]}"#).allow_some(Action::Admin));
        assert!(!grants(r#"{"presence":["a"]}"#).allow_some(Action::Admin));
    }

    #[test]
    fn a_claim_of_another_shape_is_not_a_grant() {
        for wrong in [
            r#"{"publish":"chat/7"}"#,
            r#"{"publish":["chat/**/x"]}"#,
            r#"{"pubish":["chat/7"]}"#,
            r#"{"publish":[7]}"#,
            r#"{"publish":["a"],"publish":["**"]}"#,
        ] {
            assert!(serde_json::from_str::<Grants>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_stands_for_exactly_one_segment() {
        let mut template = GrantTemplate::default();
        template.set(Action::Subscribe, vec!["inbox/{sub}".into(), "public/**".into()]).unwrap();
        let may = |subject: Option<&str>, topic: &str| {
            template.fill(subject).allow(Action::Subscribe, topic)
        };
        assert!(may(Some("ada"), "inbox/ada") && may(Some("ada"), "public/a/b"));
        assert!(!may(Some("ada"), "inbox/bob") && !may(None, "inbox/ada"));
        for far in ["*", "**", "a/b", "..", "", "a\n"] {
            assert_eq!(template.fill(Some(far)).subscribe.len(), 1, "{far:?}");
            assert!(!may(Some(far), "inbox/bob"), "{far:?}");
        }
        assert!(template.set(Action::Publish, vec!["inbox/{sub}*".into()]).is_err());
    }
}
