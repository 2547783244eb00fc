//! The publisher behind the demo's live prices: an ordinary client of the server, started by an
//! event of the topic [`CONTROL`] and stopped by silence.
//!
//! Each change of a price is one event of two topics: [`TICKS`] keeps every one of them for a
//! minute, [`PRICES`] only the newest of each instrument. Nothing runs until a page asks, and what
//! runs ends [`LEASE`] after the last page that asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::json;
use tidings_client::{Client, Item, NewEvent, Subscription};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};

use super::market::Market;
use crate::terminal;

/// Pages ask here: `{"rate":500}`, in changes of a price for each second.
const CONTROL: &str = "demo/prices/control";

/// The newest price of each instrument.
const PRICES: &str = "demo/prices";

/// Every change of a price, for a minute.
const TICKS: &str = "demo/ticks";

/// The most changes for each second.
const RATE_MAX: u32 = 5_000;

/// How long it goes on without being asked again.
const LEASE: Duration = Duration::from_secs(30);

/// How often a batch is published.
const BEAT: Duration = Duration::from_millis(20);

/// The most events of one batch: what the rate asks of four beats, when some were missed.
const BATCH_MAX: u32 = RATE_MAX / 50 * 4;

/// How long [`TICKS`] keeps an event, in milliseconds.
const TICKS_AGE_MS: u64 = 60_000;

/// What a page asks for.
#[derive(Deserialize)]
struct Asked {
    rate: u32,
}

/// Starts the publisher on a thread of its own. It leaves when the process is told to stop, so that
/// the server need not wait for it.
pub(crate) fn start(url: String) {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
            runtime.block_on(async {
                let mut terminate = signal(SignalKind::terminate())?;
                let mut interrupt = signal(SignalKind::interrupt())?;
                tokio::select! {
                    result = serve(&url) => result,
                    _ = terminate.recv() => Ok(()),
                    _ = interrupt.recv() => Ok(()),
                }
            })
        });
        if let Err(error) = result {
            terminal::note(&format!("the demo's prices have stopped: {error:#}"));
        }
    };
    if let Err(error) = std::thread::Builder::new().name("tidings-prices".into()).spawn(work) {
        terminal::note(&format!("the demo has no prices: {error}"));
    }
}

async fn serve(url: &str) -> anyhow::Result<()> {
    let client = Client::new(url)?;
    let mut control = client.subscribe().topic(CONTROL).open()?;
    let mut market = Market::new(now_ms());
    loop {
        let rate = asked(&mut control).await?;
        prepare(&client).await;
        publish(&client, &mut control, &mut market, rate).await?;
    }
}

/// The next rate that is asked for; what is not understood is passed over.
async fn asked(control: &mut Subscription) -> anyhow::Result<u32> {
    loop {
        match control.next().await {
            Some(Ok(Item::Event(event))) => {
                if let Ok(asked) = serde_json::from_str::<Asked>(&event.text()) {
                    return Ok(asked.rate.clamp(1, RATE_MAX));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("the topic {CONTROL} has ended"),
        }
    }
}

/// The topics as they are meant to be. Whoever made them before, otherwise, is left alone.
async fn prepare(client: &Client) {
    let prices = json!({"conflate": true, "durability": "memory"});
    let retain = json!({"age_ms": TICKS_AGE_MS});
    let ticks = json!({"retain": retain, "durability": "memory"});
    for (topic, policy) in [(PRICES, prices), (TICKS, ticks)] {
        // Refused for one that is there and was made otherwise.
        let _ = client.set_policy(topic, &policy).await;
    }
}

/// Publishes until nobody has asked for it any more for [`LEASE`].
async fn publish(
    client: &Client,
    control: &mut Subscription,
    market: &mut Market,
    mut rate: u32,
) -> anyhow::Result<()> {
    let mut until = Instant::now() + LEASE;
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = Instant::now();
    // What was due and is not a whole event yet.
    let mut due = 0.0;
    while Instant::now() < until {
        tokio::select! {
            next = asked(control) => {
                rate = next?;
                until = Instant::now() + LEASE;
            }
            now = beat.tick() => {
                due += f64::from(rate) * now.duration_since(last).as_secs_f64();
                last = now;
                let count = (due as u32).min(BATCH_MAX);
                due = (due - f64::from(count)).min(1.0);
                if count > 0 {
                    client.publish_many((0..count).map(|_| event(market))).send().await?;
                }
            }
        }
    }
    Ok(())
}

/// One change: `[price, how often it has changed, when in milliseconds since 1970]`.
fn event(market: &mut Market) -> NewEvent {
    let tick = market.tick();
    let data = format!("[{:.2},{},{}]", tick.price, tick.count, now_ms());
    NewEvent::new(TICKS, data).alternate(PRICES).key(tick.symbol)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
