//! How large a publish may be, and whose limit it is.

use tidings_client::{Client, RequestError};

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding};
use crate::terminal::harmless;

/// Publishes that are tried to find a limit: each halves the range, so that its end is known to
/// a hundredth.
const TRIES_MAX: usize = 7;
/// How far the range is narrowed, in bytes.
const RANGE_BYTES: u64 = 16 << 10;

/// How one publish went.
enum Outcome {
    Taken,
    /// The server's own limit.
    Server(String),
    /// Refused by something else.
    Way(String),
}

/// Publishes one event of this size; if it is refused on the way, looks for the limit.
pub(in crate::doctor) async fn check(client: &Client, topic: &str, bytes: u64) -> Finding {
    let size = shown(bytes);
    let refused = match publish(client, topic, bytes).await {
        Outcome::Taken => {
            return Finding::ok(Check::Size, format!("an event of {size} was taken"))
                .measured("taken_bytes", bytes);
        }
        Outcome::Server(why) => {
            let says = format!("an event of {size} reaches the server, which refuses it: {why}");
            return Finding::warning(Check::Size, says)
                .why("the way is open; it is the server's own limit")
                .change(Change::ServerSize)
                .measured("refused_bytes", bytes);
        }
        Outcome::Way(why) => why,
    };
    let (mut taken, mut too_large) = (0, bytes);
    for _ in 0..TRIES_MAX {
        if too_large - taken <= RANGE_BYTES {
            break;
        }
        let middle = taken.midpoint(too_large);
        match publish(client, topic, middle).await {
            Outcome::Way(_) => too_large = middle,
            // What reaches the server has passed the way.
            Outcome::Taken | Outcome::Server(_) => taken = middle,
        }
    }
    let says = format!("an event of {size} is refused on the way: {refused}");
    Finding::broken(Check::Size, says)
        .why(format!("{} pass, {} do not", shown(taken), shown(too_large)))
        .change(Change::Size)
        .measured("passed_bytes", taken)
        .measured("refused_bytes", too_large)
}

async fn publish(client: &Client, topic: &str, bytes: u64) -> Outcome {
    let data = vec![b'.'; usize::try_from(bytes).unwrap_or(usize::MAX)];
    match client.publish(topic, data).send().await {
        Ok(_) => Outcome::Taken,
        Err(RequestError::Refused(refusal)) => match &refusal.problem {
            // A code of the protocol can only come from the server.
            Some(problem) if refusal.code().is_some() => {
                Outcome::Server(harmless(&problem.to_string()))
            }
            _ => Outcome::Way(format!("status {}", refusal.status)),
        },
        Err(error) => Outcome::Way(harmless(&error.to_string())),
    }
}

/// A size with the largest unit in which it is at least one.
fn shown(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        MIB.. if bytes % MIB == 0 => format!("{} MiB", bytes / MIB),
        MIB.. => format!("{:.2} MiB", bytes as f64 / MIB as f64),
        1_024.. => format!("{} KiB", bytes / 1_024),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [(12, "12 B"), (2_048, "2 KiB"), (4 << 20, "4 MiB"), (1_600_000, "1.53 MiB")];
        for (bytes, text) in sizes {
            assert_eq!(shown(bytes), text);
        }
    }
}
