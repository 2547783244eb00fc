//! The limits by their names, as refusals, metrics and the reference say them.

/// Whom a quota is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Address,
    Subject,
    Tenant,
}

impl Scope {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::Address, Self::Subject, Self::Tenant];

    /// In words, for the detail of a refusal.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Subject => "subject",
            Self::Tenant => "tenant",
        }
    }
}

/// What is limited for each. The first five are rates, and their numbers those of the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Connect,
    Publish,
    PublishBytes,
    History,
    NewTopics,
    Connections,
    Subscriptions,
    Topics,
    Stored,
}

impl What {
    pub(crate) const ALL: [Self; 9] = [
        Self::Connect,
        Self::Publish,
        Self::PublishBytes,
        Self::History,
        Self::NewTopics,
        Self::Connections,
        Self::Subscriptions,
        Self::Topics,
        Self::Stored,
    ];
}

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of each address, subject or tenant.
    Quota(What, Scope),
    /// Of all connections together.
    Connections,
    /// Of what unfinished requests and answers hold.
    RequestMemory,
    /// Of all topics together.
    Topics,
    /// Of what publishes for later hold.
    Scheduled,
}

/// How many limits there are.
pub(crate) const LIMITS: usize = What::ALL.len() * 3 + 4;

impl Limit {
    /// Its place in a table of all.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Quota(what, scope) => what as usize * 3 + scope as usize,
            Self::Connections => LIMITS - 4,
            Self::RequestMemory => LIMITS - 3,
            Self::Topics => LIMITS - 2,
            Self::Scheduled => LIMITS - 1,
        }
    }

    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let quotas = What::ALL
            .into_iter()
            .flat_map(|what| Scope::ALL.into_iter().map(move |scope| Self::Quota(what, scope)));
        quotas.chain([Self::Connections, Self::RequestMemory, Self::Topics, Self::Scheduled])
    }

    /// Its name, which never changes.
    pub(crate) fn name(self) -> &'static str {
        use Scope::{Address, Subject, Tenant};
        match self {
            Self::Quota(What::Connect, Address) => "connect.address.rate",
            Self::Quota(What::Connect, Subject) => "connect.subject.rate",
            Self::Quota(What::Connect, Tenant) => "connect.tenant.rate",
            Self::Quota(What::Publish, Address) => "publish.address.rate",
            Self::Quota(What::Publish, Subject) => "publish.subject.rate",
            Self::Quota(What::Publish, Tenant) => "publish.tenant.rate",
            Self::Quota(What::PublishBytes, Address) => "publish.address.bytes",
            Self::Quota(What::PublishBytes, Subject) => "publish.subject.bytes",
            Self::Quota(What::PublishBytes, Tenant) => "publish.tenant.bytes",
            Self::Quota(What::History, Address) => "history.address.rate",
            Self::Quota(What::History, Subject) => "history.subject.rate",
            Self::Quota(What::History, Tenant) => "history.tenant.rate",
            Self::Quota(What::NewTopics, Address) => "topics.address.rate",
            Self::Quota(What::NewTopics, Subject) => "topics.subject.rate",
            Self::Quota(What::NewTopics, Tenant) => "topics.tenant.rate",
            Self::Quota(What::Connections, Address) => "connections.address",
            Self::Quota(What::Connections, Subject) => "connections.subject",
            Self::Quota(What::Connections, Tenant) => "connections.tenant",
            Self::Quota(What::Subscriptions, Address) => "subscriptions.address",
            Self::Quota(What::Subscriptions, Subject) => "subscriptions.subject",
            Self::Quota(What::Subscriptions, Tenant) => "subscriptions.tenant",
            Self::Quota(What::Topics, Address) => "topics.address",
            Self::Quota(What::Topics, Subject) => "topics.subject",
            Self::Quota(What::Topics, Tenant) => "topics.tenant",
            Self::Quota(What::Stored, Address) => "stored.address",
            Self::Quota(What::Stored, Subject) => "stored.subject",
            Self::Quota(What::Stored, Tenant) => "stored.tenant",
            Self::Connections => "connections.max",
            Self::RequestMemory => "requests.memory",
            Self::Topics => "topics.max",
            Self::Scheduled => "scheduled.bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_a_place_and_a_name_of_its_own() {
        let all: Vec<Limit> = Limit::all().collect();
        assert_eq!(all.len(), LIMITS);
        for (at, limit) in all.iter().enumerate() {
            assert_eq!(limit.index(), at, "{limit:?}");
            let same = all.iter().filter(|other| other.name() == limit.name()).count();
            assert_eq!(same, 1, "{}", limit.name());
        }
    }

    #[test]
    fn the_reference_has_them_all() {
        let page = include_str!("../../../../docs/limits.md");
        for limit in Limit::all() {
            // Who a connection belongs to is not known when it comes.
            let never =
                matches!(limit, Limit::Quota(What::Connect, Scope::Subject | Scope::Tenant));
            let name = format!("`{}`", limit.name());
            assert_eq!(page.contains(&name), !never, "{name}");
        }
    }
}
