//! What a subscription is subscribed to.

use tidings_frame::limits::{SUBSCRIPTION_PATTERNS_MAX, SUBSCRIPTION_TOPICS_MAX};
use tidings_frame::{Pattern, TopicName};

use crate::error::SubscribeError;

/// A set of topics and patterns; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    topics: Vec<TopicName>,
    patterns: Vec<Pattern>,
}

impl Selection {
    /// Checks and tidies a list: what is named twice counts once, and a pattern without a wildcard
    /// is a topic.
    ///
    /// # Errors
    /// When it is empty, or names more than [`SUBSCRIPTION_TOPICS_MAX`] topics or
    /// [`SUBSCRIPTION_PATTERNS_MAX`] patterns.
    pub fn new(
        mut topics: Vec<TopicName>,
        mut patterns: Vec<Pattern>,
    ) -> Result<Self, SubscribeError> {
        patterns.retain(|pattern| match pattern.exact().map(TopicName::new) {
            Some(Ok(topic)) => {
                topics.push(topic);
                false
            }
            _ => true,
        });
        topics.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        topics.dedup();
        patterns.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        patterns.dedup();
        if topics.is_empty() && patterns.is_empty() {
            return Err(SubscribeError::Nothing);
        }
        for (what, count, limit) in [
            ("topics", topics.len(), SUBSCRIPTION_TOPICS_MAX),
            ("patterns", patterns.len(), SUBSCRIPTION_PATTERNS_MAX),
        ] {
            if count > limit {
                return Err(SubscribeError::TooMany { what, limit });
            }
        }
        topics.shrink_to_fit();
        patterns.shrink_to_fit();
        Ok(Self { topics, patterns })
    }

    /// Exactly one topic.
    #[must_use]
    pub fn one(topic: TopicName) -> Self {
        Self { topics: vec![topic], patterns: Vec::new() }
    }

    /// The topics named, in order of their names.
    #[must_use]
    pub fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The only topic, if it is one topic and nothing else.
    #[must_use]
    pub fn single(&self) -> Option<&TopicName> {
        match (&*self.topics, &*self.patterns) {
            ([topic], []) => Some(topic),
            _ => None,
        }
    }

    /// Whether an event of this topic is wanted.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        self.topics.binary_search_by(|name| name.as_str().cmp(topic)).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(topics: &[&str], patterns: &[&str]) -> Result<Selection, SubscribeError> {
        Selection::new(
            topics.iter().map(|name| TopicName::new(name).unwrap()).collect(),
            patterns.iter().map(|text| Pattern::new(text).unwrap()).collect(),
        )
    }

    #[test]
    fn tidies_and_matches() {
        let selection = selection(&["b", "a", "b"], &["c/*", "d"]).unwrap();
        let names: Vec<&str> = selection.topics().iter().map(TopicName::as_str).collect();
        assert_eq!(names, ["a", "b", "d"]);
        for (topic, wanted) in [("a", true), ("d", true), ("c/1", true), ("c", false)] {
            assert_eq!(selection.matches(topic), wanted, "{topic}");
        }
    }

    #[test]
    fn refuses_nothing_and_too_much() {
        assert_eq!(selection(&[], &[]), Err(SubscribeError::Nothing));
        let many: Vec<TopicName> = (0..=SUBSCRIPTION_TOPICS_MAX)
            .map(|n| TopicName::new(&format!("t{n}")).unwrap())
            .collect();
        assert!(matches!(
            Selection::new(many, Vec::new()),
            Err(SubscribeError::TooMany { what: "topics", .. })
        ));
    }
}
