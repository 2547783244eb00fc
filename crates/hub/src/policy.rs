//! What a topic promises its users: how durably, how much, how long, and who may end it.
//!
//! A policy is set per topic or, by pattern, in the configuration; the first matching rule counts.
//! A topic that was given a policy of its own keeps it; one that follows a rule follows it also
//! when the configuration changes. What the log must know (retention, conflation, the class of
//! durability) is handed to it typed, the rest travels as its opaque `extra`.

use serde::{Deserialize, Serialize};
use tidings_frame::Pattern;
use tidings_log as log;

/// Retention of topics without a policy: a week. Nothing is kept for ever unless somebody asks.
pub const RETAIN_AGE_DEFAULT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// When a publish is acknowledged, and hence what a crash can take back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// At once. A crash of the process may lose the last moments.
    Memory,
    /// Once the operating system has it. Survives `kill -9`, not a loss of power.
    #[default]
    Written,
    /// Once the disk has it. Survives a loss of power.
    Synced,
}

impl From<Durability> for log::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Memory => Self::Memory,
            Durability::Written => Self::Written,
            Durability::Synced => Self::Synced,
        }
    }
}

/// How much of a topic is kept. Every limit that is set applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retain {
    /// The newest so many events.
    pub count: Option<u64>,
    /// Events younger than this, in milliseconds.
    pub age_ms: Option<u64>,
    /// The newest events of at most so many stored bytes.
    pub bytes: Option<u64>,
}

/// How a topic's time to live is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TtlMode {
    /// From the topic's creation.
    Fixed,
    /// From its last event.
    Sliding,
}

/// When a whole topic is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicTtl {
    /// Milliseconds.
    pub ms: u64,
    /// Counted from when.
    pub mode: TtlMode,
}

/// Who may publish the event that ends a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndBy {
    /// Whoever may publish to it.
    #[default]
    Publisher,
    /// Only who may administrate the hub.
    Operator,
}

/// The policy of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicPolicy {
    /// When a publish is acknowledged.
    pub durability: Durability,
    /// How much is kept.
    pub retain: Retain,
    /// Whether only the newest event of each key is kept and delivered to whoever is behind.
    pub conflate: bool,
    /// When the whole topic is removed.
    pub ttl: Option<TopicTtl>,
    /// Whether every event of it is private, whatever the publisher said.
    pub private: bool,
    /// Media type of the data; `None` is UTF-8 text.
    pub content_type: Option<String>,
    /// Who may end it.
    pub end_by: EndBy,
}

impl Default for TopicPolicy {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            retain: Retain { age_ms: Some(RETAIN_AGE_DEFAULT_MS), ..Retain::default() },
            conflate: false,
            ttl: None,
            private: false,
            content_type: None,
            end_by: EndBy::default(),
        }
    }
}

impl TopicPolicy {
    /// Whether the data of this topic may be any bytes. Text is the rule, because SSE carries
    /// nothing else (WHATWG HTML 9.2.5).
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
            !(kind.starts_with("text/") || kind == "application/json" || kind.ends_with("+json"))
        })
    }
}

/// A policy for every topic that matches a pattern.
#[derive(Clone, Debug)]
pub struct PolicyRule {
    /// Which topics.
    pub pattern: Pattern,
    /// Their policy.
    pub policy: TopicPolicy,
}

/// What the log keeps for the hub beside the fields that it understands.
#[derive(Serialize, Deserialize)]
struct Extra {
    /// Set by hand, so the configuration's rules no longer apply.
    own: bool,
    policy: TopicPolicy,
    /// Whose topic it is; see [`Hub::name_owners`](crate::Hub::name_owners).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

/// The log's form of `policy`; `own` if it was set for this very topic.
pub(crate) fn to_log(policy: &TopicPolicy, own: bool, owner: Option<String>) -> log::Policy {
    let extra = Extra { own, policy: policy.clone(), owner };
    log::Policy {
        durability: policy.durability.into(),
        retention: log::Retention {
            count: policy.retain.count,
            age_ms: policy.retain.age_ms,
            bytes: policy.retain.bytes,
        },
        conflate: policy.conflate,
        extra: serde_json::to_vec(&extra)
            .expect("strings and numbers always serialise")
            .into_boxed_slice(),
    }
}

/// The hub's form of what the log kept, and whether it was set for this very topic. A policy that
/// cannot be read (written by a newer version) counts as the default that follows the rules.
pub(crate) fn from_log(policy: &log::Policy) -> (TopicPolicy, bool) {
    serde_json::from_slice::<Extra>(&policy.extra)
        .map_or_else(|_| (TopicPolicy::default(), false), |extra| (extra.policy, extra.own))
}

/// Whose topic it is, as far as that was said when it was made.
pub(crate) fn owner(policy: &log::Policy) -> Option<String> {
    serde_json::from_slice::<Extra>(&policy.extra).ok()?.owner
}

/// Policies by pattern, with the default behind them.
#[derive(Clone, Debug, Default)]
pub struct PolicyRules {
    /// In the order of the configuration; the first match counts.
    pub rules: Vec<PolicyRule>,
    /// For topics that no rule names.
    pub default: TopicPolicy,
}

impl PolicyRules {
    /// The policy of a topic of this name.
    #[must_use]
    pub fn of(&self, topic: &str) -> &TopicPolicy {
        self.rules
            .iter()
            .find(|rule| rule.pattern.matches(topic))
            .map_or(&self.default, |rule| &rule.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_matching_rule_counts() {
        let rule = |pattern: &str, count| PolicyRule {
            pattern: Pattern::new(pattern).unwrap(),
            policy: TopicPolicy {
                retain: Retain { count: Some(count), ..Retain::default() },
                ..TopicPolicy::default()
            },
        };
        let rules = PolicyRules {
            rules: vec![rule("chat/vip", 9), rule("chat/*", 5)],
            default: TopicPolicy::default(),
        };
        assert_eq!(rules.of("chat/vip").retain.count, Some(9));
        assert_eq!(rules.of("chat/a").retain.count, Some(5));
        assert_eq!(rules.of("other"), &TopicPolicy::default());
    }

    #[test]
    fn survives_the_log() {
        let policy = TopicPolicy {
            durability: Durability::Synced,
            conflate: true,
            ttl: Some(TopicTtl { ms: 5, mode: TtlMode::Sliding }),
            content_type: Some("application/octet-stream".into()),
            ..TopicPolicy::default()
        };
        let stored = to_log(&policy, true, Some("ada".to_owned()));
        assert_eq!(from_log(&stored), (policy.clone(), true));
        assert_eq!(owner(&stored).as_deref(), Some("ada"));
        assert!(policy.is_binary());
    }

    #[test]
    fn unreadable_extra_is_the_default() {
        let mut stored = to_log(&TopicPolicy::default(), true, None);
        stored.extra = b"{\"newer\":1}".to_vec().into_boxed_slice();
        assert_eq!(from_log(&stored), (TopicPolicy::default(), false));
    }
}
