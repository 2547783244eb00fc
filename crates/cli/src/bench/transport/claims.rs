//! What people say about the two transports, and by which rule the figures confirm or refute it.
//!
//! The rules read medians out of the measured cases and nothing else, so they can be tested
//! without measuring. A difference counts when it is at least [`SAME`] of the larger figure and
//! the median of each lies outside of the runs of the other; all figures that a claim is about
//! must agree, otherwise it depends.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::crowds::LOADS;
use super::payload::KINDS;
use super::proxy::{SETTINGS, Setting};
use crate::bench::result::{Case, Figure};
use crate::bench::table::number;

/// Differences below this share of the larger figure are none.
const SAME: f64 = 0.15;

/// The columns, as they are headed.
pub(super) const SSE: &str = "SSE";
pub(super) const WS: &str = "WebSocket";
pub(super) const BARE: &str = "WebSocket, bare";
pub(super) const POLL: &str = "long-poll";
pub(super) const FORGETFUL: &str = "SSE, no ids";

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Confirmed,
    Refuted,
    Depends,
}

/// A claim with its verdict, and the figures in short for each transport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) verdict: Verdict,
    pub(crate) sse: String,
    pub(crate) ws: String,
    /// A WebSocket without a protocol on top, where that is another figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bare: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) poll: Option<String>,
    /// Everything that was measured for it.
    pub(crate) figures: Vec<Figures>,
}

/// One metric of one case: `[median, lowest, highest]` of the runs by the heading of the column,
/// so that other transports can be columns, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) case: String,
    /// With its unit.
    pub(crate) label: String,
    pub(crate) columns: BTreeMap<String, [f64; 3]>,
}

/// The claims in their order: the name of the row, and what is said.
pub(super) const CLAIMS: [(&str, &str); 13] = [
    ("handshake", "SSE connects with fewer bytes up than a WebSocket"),
    ("H1", "An idle WebSocket costs more memory than an idle SSE connection"),
    ("H2", "A WebSocket needs fewer bytes for each message"),
    ("binary", "A WebSocket carries binary data in fewer bytes"),
    ("H3", "Compressed, a WebSocket still needs fewer bytes"),
    ("H4", "A WebSocket delivers sooner"),
    ("H5", "A WebSocket costs the server less for each message"),
    ("H6", "A round trip is faster over a WebSocket than by POST and SSE"),
    ("upstream", "A WebSocket needs fewer bytes upstream"),
    ("H7", "SSE is live again sooner after a cut"),
    ("H8", "SSE loses nothing over a cut, a WebSocket does"),
    ("H9", "SSE wakes a phone more often while nothing happens"),
    ("H11", "Proxies break SSE"),
];

/// The rows of all claims that were measured.
pub(super) fn rows(cases: &[Case]) -> BTreeMap<String, Row> {
    let cases = Cases(cases);
    let judged = CLAIMS.iter().filter_map(|(name, _)| {
        let mut row = cases.judge(name)?;
        row.figures = cases.figures(name);
        Some(((*name).to_owned(), row))
    });
    judged.collect()
}

struct Cases<'a>(&'a [Case]);

impl Cases<'_> {
    fn get(&self, case: &str, column: &str, key: &str) -> Option<Figure> {
        let case = self.0.iter().find(|one| one.name == case)?;
        case.columns.iter().find(|one| one.name == column)?.figure(key)
    }

    /// The cases that a claim is judged by.
    fn of<'a>(&'a self, claim: &'a str) -> impl Iterator<Item = &'a Case> {
        let name = match claim {
            "H5" => "H4",
            "upstream" => "H6",
            "binary" => "H2",
            other => other,
        };
        self.0.iter().filter(move |case| case.name.split(' ').next() == Some(name))
    }

    fn judge(&self, claim: &str) -> Option<Row> {
        match claim {
            "handshake" => self.handshake(),
            "H1" => self.pair("H1", "kib", Ordering::Greater, |one| format!("{one:.2} KiB")),
            "H2" => self.bytes("H2", &KINDS.map(|kind| format!("{}_over", kind.name()))),
            "H3" => self.bytes("H3", &KINDS.map(|kind| kind.name().to_owned())),
            "binary" => self.bytes("H2", &["binary_over".to_owned()]),
            "H4" => self.loads(&["p50_ms", "p99_ms"], "p99_ms", "ms"),
            "H5" => self.loads(&["cpu_us"], "cpu_us", "µs"),
            "H6" => self.trip(),
            "upstream" => self.pair("H6", "up", Ordering::Less, |one| format!("{one:.0} B")),
            "H7" => self.pair("H7", "ms", Ordering::Greater, |one| number(one, 0) + " ms"),
            "H8" => self.drops(),
            "H9" => self.idle(),
            "H11" => self.proxy(),
            _ => None,
        }
    }

    /// One figure of each; confirmed when the WebSocket's is `wanted` compared with the other.
    fn pair(
        &self,
        case: &str,
        key: &str,
        wanted: Ordering,
        show: impl Fn(f64) -> String,
    ) -> Option<Row> {
        let (sse, ws) = (self.get(case, SSE, key)?, self.get(case, WS, key)?);
        let verdict = agree(&[compare(ws, sse)], wanted);
        let poll = self.get(case, POLL, key).map(|figure| show(figure.median));
        Some(Row { poll, ..row(verdict, show(sse.median), show(ws.median)) })
    }

    fn handshake(&self) -> Option<Row> {
        let up = |column| {
            Some([self.get("handshake", column, "up_least")?, self.get("handshake", column, "up")?])
        };
        let (sse, ws) = (up(SSE)?, up(WS)?);
        let found: Vec<Ordering> =
            sse.iter().zip(&ws).map(|(sse, ws)| compare(*ws, *sse)).collect();
        let show = |figures: [Figure; 2], column| {
            let down = self.get("handshake", column, "down")?.median;
            Some(format!("{:.0}–{:.0} ↑ {down:.0} ↓ B", figures[0].median, figures[1].median))
        };
        Some(row(agree(&found, Ordering::Greater), show(sse, SSE)?, show(ws, WS)?))
    }

    /// Bytes of each kind of message, of Tidings' WebSocket and of a bare one.
    fn bytes(&self, case: &str, keys: &[String]) -> Option<Row> {
        let all = |column: &str| {
            keys.iter().map(|key| self.get(case, column, key)).collect::<Option<Vec<_>>>()
        };
        let (sse, ws, bare) = (all(SSE)?, all(WS)?, all(BARE)?);
        let found: Vec<Ordering> = ws
            .iter()
            .zip(&sse)
            .chain(bare.iter().zip(&sse))
            .map(|(ws, sse)| compare(*ws, *sse))
            .collect();
        let verdict = agree(&found, Ordering::Less);
        let poll = all(POLL).map(|figures| span(&figures, "B"));
        let bare = Some(span(&bare, "B"));
        Some(Row { bare, poll, ..row(verdict, span(&sse, "B"), span(&ws, "B")) })
    }

    /// Figures of every load, all of which must be smaller for the WebSocket.
    fn loads(&self, keys: &[&str], shown: &str, unit: &str) -> Option<Row> {
        let measured: Vec<String> = LOADS
            .iter()
            .map(|load| load.name())
            .filter(|name| self.0.iter().any(|case| case.name == *name))
            .collect();
        let mut found = Vec::new();
        let (mut sse_shown, mut ws_shown) = (Vec::new(), Vec::new());
        for name in &measured {
            for key in keys {
                found.push(compare(self.get(name, WS, key)?, self.get(name, SSE, key)?));
            }
            let show = |column| {
                let median = self.get(name, column, shown)?.median;
                Some(number(median, if median < 10.0 { 2 } else { 1 }))
            };
            sse_shown.push(show(SSE)?);
            ws_shown.push(show(WS)?);
        }
        let all = |shown: Vec<String>| format!("{} {unit}", shown.join(" · "));
        let verdict = agree(&found, Ordering::Less);
        (!found.is_empty()).then(|| row(verdict, all(sse_shown), all(ws_shown)))
    }

    fn trip(&self) -> Option<Row> {
        let both =
            |column| Some([self.get("H6", column, "p50_us")?, self.get("H6", column, "p99_us")?]);
        let (sse, ws) = (both(SSE)?, both(WS)?);
        let found: Vec<Ordering> =
            sse.iter().zip(&ws).map(|(sse, ws)| compare(*ws, *sse)).collect();
        let show = |[p50, p99]: [Figure; 2]| {
            format!("{} / {} µs", number(p50.median, 0), number(p99.median, 0))
        };
        let verdict = agree(&found, Ordering::Less);
        Some(Row { poll: both(POLL).map(show), ..row(verdict, show(sse), show(ws)) })
    }

    /// Any loss in any run counts, not the median's.
    fn drops(&self) -> Option<Row> {
        let most = |column: &str, key: &str| Some(self.get("H8", column, key)?.max);
        let wrong = |column| Some(most(column, "lost")? + most(column, "twice")?);
        let show = |column| {
            let (lost, twice) = (most(column, "lost")?, most(column, "twice")?);
            Some(format!("{} / {}", number(lost, 0), number(twice, 0)))
        };
        let (sse, ws, bare) = (wrong(SSE)?, wrong(WS)?, wrong(BARE)?);
        let verdict = if sse > 0.0 {
            Verdict::Refuted
        } else if ws > 0.0 {
            Verdict::Confirmed
        } else if bare > 0.0 {
            // The protocol decides, not the transport.
            Verdict::Depends
        } else {
            Verdict::Refuted
        };
        let (bare, poll) = (show(BARE), show(POLL));
        Some(Row { bare, poll, ..row(verdict, show(SSE)?, show(WS)?) })
    }

    fn idle(&self) -> Option<Row> {
        let show = |column| {
            let packets = self.get("H9", column, "packets")?.median;
            let bytes = self.get("H9", column, "bytes")?.median;
            Some(format!("{packets:.0}/min · {bytes:.0} B"))
        };
        let (sse, ws) = (self.get("H9", SSE, "packets")?, self.get("H9", WS, "packets")?);
        Some(row(agree(&[compare(ws, sse)], Ordering::Less), show(SSE)?, show(WS)?))
    }

    /// Broken is what has not brought every event and outlived the silence in every run.
    fn proxy(&self) -> Option<Row> {
        let whole = |how: Setting, column: &str| {
            let get = |key| self.get(how.name(), column, key);
            let all = get("delivered")?.min >= get("sent")?.max;
            // A quick run is not silent everywhere.
            Some(all && get("outlives").is_none_or(|outlives| outlives.min > 0.0))
        };
        let show = |column: &str| {
            let each = SETTINGS.iter().map(|how| {
                let get = |key| self.get(how.name(), column, key).map(|figure| figure.median);
                Some(format!("{:.0}/{:.0}", get("delivered")?, get("sent")?))
            });
            Some(each.collect::<Option<Vec<_>>>()?.join(" · "))
        };
        let sse: Option<Vec<bool>> = SETTINGS.iter().map(|how| whole(*how, SSE)).collect();
        let sse = sse?;
        let verdict = match (sse.iter().all(|whole| *whole), sse.iter().any(|whole| *whole)) {
            (true, _) => Verdict::Refuted,
            (false, true) => Verdict::Depends,
            (false, false) => Verdict::Confirmed,
        };
        let poll = show(POLL);
        Some(Row { poll, ..row(verdict, show(SSE)?, show(WS)?) })
    }

    fn figures(&self, claim: &str) -> Vec<Figures> {
        let mut all = Vec::new();
        for case in self.of(claim) {
            for metric in &case.metrics {
                let columns = case.columns.iter().filter_map(|column| {
                    let Figure { median, min, max } = column.figure(&metric.key)?;
                    Some((column.name.clone(), [median, min, max].map(rounded)))
                });
                let (case, label) = (case.title.clone(), metric.label.clone());
                all.push(Figures { case, label, columns: columns.collect() });
            }
        }
        all
    }
}

fn row(verdict: Verdict, sse: String, ws: String) -> Row {
    Row { verdict, sse, ws, bare: None, poll: None, figures: Vec::new() }
}

/// Three decimals: more than any of the figures is good for.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The lowest and the highest of the medians.
fn span(figures: &[Figure], unit: &str) -> String {
    let medians = figures.iter().map(|figure| figure.median.round());
    let (low, high) =
        medians.fold((f64::MAX, 0.0_f64), |(low, high), one| (low.min(one), high.max(one)));
    if low < high { format!("{low:.0}–{high:.0} {unit}") } else { format!("{low:.0} {unit}") }
}

/// How the first compares with the second; equal when there is no difference worth the name.
fn compare(one: Figure, other: Figure) -> Ordering {
    let larger = one.median.abs().max(other.median.abs());
    if larger == 0.0 || (one.median - other.median).abs() / larger < SAME {
        return Ordering::Equal;
    }
    let within = |median: f64, runs: Figure| runs.min <= median && median <= runs.max;
    if within(one.median, other) || within(other.median, one) {
        return Ordering::Equal;
    }
    one.median.total_cmp(&other.median)
}

/// Confirmed when all are as wanted, refuted when all are the opposite.
fn agree(found: &[Ordering], wanted: Ordering) -> Verdict {
    if found.iter().all(|one| *one == wanted) {
        Verdict::Confirmed
    } else if found.iter().all(|one| *one == wanted.reverse()) {
        Verdict::Refuted
    } else {
        Verdict::Depends
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
