//! What each address, subject or tenant may have and do: `[limits.address]`, `[limits.subject]`,
//! `[limits.tenant]`, checked.

use super::checked::complain;
use super::layers::Layers;
use super::network::Network;
use super::raw;
use super::units::Rate;

/// What one address, subject or tenant may have and do. What is `None` is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Connections at the same time; of a subject or tenant, streams and WebSockets.
    pub connections: Option<usize>,
    /// New connections; addresses only.
    pub connect_rate: Option<Rate>,
    /// Subscriptions at the same time.
    pub subscriptions: Option<usize>,
    /// Events published, and how many may come at once.
    pub publish_rate: Option<(Rate, u64)>,
    /// Bytes of data published, and how many may come at once.
    pub publish_bytes: Option<(Rate, u64)>,
    /// Pages of history and long polls.
    pub history_rate: Option<Rate>,
    /// New topics made by publishing.
    pub topics_rate: Option<Rate>,
    /// Topics that it has made and that exist.
    pub topics: Option<usize>,
    /// Bytes that the topics it has made hold in the log.
    pub stored_bytes: Option<u64>,
}

/// All quotas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Of each address; of IPv6, each network of 64 bits.
    pub address: Quotas,
    /// Of each subject of a token.
    pub subject: Quotas,
    /// Of each tenant.
    pub tenant: Quotas,
    /// Addresses that `address` passes over.
    pub address_except: Vec<Network>,
}

/// Checks what the sections say. Problems are added to those of the layers.
pub(super) fn check(limits: &raw::Limits, layers: &mut Layers) -> QuotaConfig {
    let except = limits.address_except.iter().enumerate().filter_map(|(index, text)| {
        let network = text.parse::<Network>().ok();
        if network.is_none() {
            let why = format!(
                "`{text}` is no address and no network; write for example \"192.0.2.1\" or \
                 \"10.0.0.0/8\""
            );
            complain(layers, &format!("limits.address_except[{index}]"), why);
        }
        network
    });
    let address_except = except.collect();
    for (name, section) in [("subject", &limits.subject), ("tenant", &limits.tenant)] {
        if section.connect_rate.is_some() {
            let why = "who a connection belongs to is not known before it asks; limit \
                       `limits.address.connect_rate`, or `publish_rate` here";
            complain(layers, &format!("limits.{name}.connect_rate"), why.to_owned());
        }
    }
    if limits.body_bytes.0 > limits.request_memory.0 {
        let why = "one request would not fit (limits.body_bytes)";
        complain(layers, "limits.request_memory", why.to_owned());
    }
    QuotaConfig {
        address: quotas("address", &limits.address, layers),
        subject: quotas("subject", &limits.subject, layers),
        tenant: quotas("tenant", &limits.tenant, layers),
        address_except,
    }
}

fn quotas(name: &str, section: &raw::Quotas, layers: &mut Layers) -> Quotas {
    let lonely = [
        ("publish_burst", section.publish_burst.is_some(), section.publish_rate, "publish_rate"),
        (
            "publish_bytes_burst",
            section.publish_bytes_burst.is_some(),
            section.publish_bytes,
            "publish_bytes",
        ),
    ];
    for (burst, given, rate, needs) in lonely {
        if given && rate.is_none() {
            let why = format!("it means nothing without `{needs}`");
            complain(layers, &format!("limits.{name}.{burst}"), why);
        }
    }
    let count = |number: Option<u64>| number.map(super::checked::number);
    let burst = |rate: Option<raw::Pace>, burst: Option<u64>| {
        rate.map(|rate| (rate.0, burst.unwrap_or(rate.0.count)))
    };
    Quotas {
        connections: count(section.connections),
        connect_rate: section.connect_rate.map(|rate| rate.0),
        subscriptions: count(section.subscriptions),
        publish_rate: burst(section.publish_rate, section.publish_burst),
        publish_bytes: burst(
            section.publish_bytes,
            section.publish_bytes_burst.map(|burst| burst.0),
        ),
        history_rate: section.history_rate.map(|rate| rate.0),
        topics_rate: section.topics_rate.map(|rate| rate.0),
        topics: count(section.topics),
        stored_bytes: section.stored_bytes.map(|size| size.0),
    }
}
