//! `[push]`: Web Push, as the server uses it.

use std::time::Duration;

use tidings_push::{Services, services};

use super::checked::{Mode, complain};
use super::layers::Layers;
use super::raw::Push;

/// Web Push that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// Who operates this server, as a `mailto:` or `https:` URL; push services want to know.
    pub contact: Option<String>,
    /// The push services that may be asked.
    pub services: Services,
    /// How long a message is of use unless its subscription says otherwise.
    pub ttl: Duration,
    /// How long a push service may take to answer.
    pub timeout: Duration,
    /// Subscriptions in all.
    pub subscriptions: usize,
    /// Subscriptions of one topic or pattern.
    pub topic_subscriptions: usize,
}

/// Checks the section; none if it is off.
pub(super) fn check(raw: Push, mode: Mode, layers: &mut Layers) -> Option<PushConfig> {
    let enabled = raw.enabled.unwrap_or_default();
    let is_url = |text: &String| text.starts_with("mailto:") || text.starts_with("https://");
    match &raw.contact {
        Some(contact) if !is_url(contact) => {
            let message = format!(
                "`{contact}` is neither; write \"mailto:operator@example.com\" or an https URL"
            );
            complain(layers, "push.contact", message);
        }
        None if enabled && mode == Mode::Serve => {
            let message = "it must be given when push.enabled is true: push services want to know \
                whom to write to (RFC 8292, section 2.1), and some refuse everything else";
            complain(layers, "push.contact", message.to_owned());
        }
        _ => {}
    }
    let known: Vec<String> = services::KNOWN.iter().map(|&host| host.to_owned()).collect();
    let list = raw.services.unwrap_or(known);
    let services = Services::new(&list).unwrap_or_else(|(index, error)| {
        complain(layers, &format!("push.services[{index}]"), error.to_string());
        Services::default()
    });
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    enabled.then(|| PushConfig {
        contact: raw.contact,
        services,
        ttl: raw.ttl.0,
        timeout: raw.timeout.0,
        subscriptions: number(raw.subscriptions),
        topic_subscriptions: number(raw.topic_subscriptions),
    })
}
