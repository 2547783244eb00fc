//! How the relays' own topics are kept.

use tidings_frame::Pattern;
use tidings_hub::{Durability, PolicyRule, Retain, TopicPolicy, TopicTtl, TtlMode};

use crate::answer::ANSWERS;
use crate::config::LlmConfig;
use crate::ledger::LEDGERS;
use crate::relays::millis;

/// The policies of the relays' own topics. Answers are kept for as long as the most patient relay
/// says; ledgers for as long as tokens may be counted.
#[must_use]
pub fn policies(configs: &[LlmConfig], durability: Durability) -> Vec<PolicyRule> {
    let keep = configs.iter().map(|config| config.keep).max().unwrap_or_default();
    let window = configs.iter().map(|config| config.quota.window).max().unwrap_or_default();
    let forever = Retain::default();
    let answers = TopicPolicy {
        durability,
        retain: forever,
        ttl: Some(TopicTtl { ms: millis(keep), mode: TtlMode::Fixed }),
        ..TopicPolicy::default()
    };
    let ledgers = TopicPolicy {
        durability,
        retain: Retain { age_ms: Some(millis(keep.max(window))), ..forever },
        conflate: true,
        ..TopicPolicy::default()
    };
    let rule = |begin: &str, policy| {
        let pattern = Pattern::new(&format!("{begin}*")).expect("a prefix of ours and a wildcard");
        PolicyRule { pattern, policy }
    };
    vec![rule(ANSWERS, answers), rule(LEDGERS, ledgers)]
}
