//! Compares what a client saw through the relay with what is expected of it.

use serde_json::Value;
use tidings_scripted::Upstream;

use super::client::Results;
use super::scenario::{self, Label};
use super::variant::{Expect, Variant};

/// What one client saw, and who answered it.
pub(super) struct Seen<'a> {
    /// The client, as its requests name it.
    pub(super) client: &'a str,
    pub(super) direct: &'a Results,
    pub(super) relayed: &'a Results,
    /// The upstream that the client asked by itself.
    pub(super) asked: &'a Upstream,
    /// The upstream behind the relay.
    pub(super) behind: &'a Upstream,
}

/// What the page says of a case, or what is wrong.
pub(super) type Verdict = Result<String, String>;

impl Seen<'_> {
    /// Judges a case.
    pub(super) fn judge(&self, variant: &Variant) -> Verdict {
        let relayed = self.result(self.relayed, variant)?;
        let verdict = match variant.expect {
            Expect::Same => self.same(variant, &relayed),
            Expect::Whole => self.whole(variant, &relayed),
            Expect::Raises => self.raises(variant, &relayed),
            Expect::Once => self.once(variant, &relayed),
            Expect::Resumes => self.resumes(variant, &relayed),
            Expect::Stops => self.stops(variant, &relayed),
            Expect::GoesOn => self.goes_on(variant, &relayed),
            Expect::Nothing => nothing(&relayed),
            Expect::Fails => fails(&relayed),
        };
        verdict.map_err(|why| format!("{why}\n  it ends with {}", ending(&relayed)))
    }

    /// What a case came to, with ids that are the same in every case.
    fn result(&self, results: &Results, variant: &Variant) -> Result<Value, String> {
        let result = results.get(variant.name).ok_or("the client did not get this far")?;
        let label = Label { scenario: "", variant: variant.name, client: self.client };
        let mut result = result.clone();
        result.as_object_mut().ok_or("no object")?.remove("case");
        let text = result.to_string().replace(&label.id(), self.client);
        // The question is repeated by nobody but is part of what some clients keep.
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// What the client sees of a plain answer without the relay.
    fn plain(&self, variant: &Variant) -> Result<Value, String> {
        let name = if variant.verb == "helper" { "helper" } else { "plain" };
        let plain = self.result(self.direct, Variant::named(name))?;
        if plain.get("failed").is_some() || !is_null(&plain, "raised") {
            return Err(format!("not even a plain answer can be read: {plain}"));
        }
        Ok(plain)
    }

    fn same(&self, variant: &Variant, relayed: &Value) -> Verdict {
        let direct = self.result(self.direct, variant)?;
        if *relayed != direct {
            return Err(difference("without the relay", &direct, relayed));
        }
        let error = [&direct["failed"], &direct["raised"]].into_iter().find(|it| !it.is_null());
        Ok(match error {
            Some(error) => format!("same ({})", error["class"].as_str().unwrap_or("error")),
            None if variant.scenario == "error" => "same (an event)".into(),
            None => "same".into(),
        })
    }

    fn whole(&self, variant: &Variant, relayed: &Value) -> Verdict {
        let plain = self.plain(variant)?;
        if *relayed != plain {
            return Err(difference("a plain answer has", &plain, relayed));
        }
        let direct = self.result(self.direct, variant)?;
        let error = [&direct["failed"], &direct["raised"]].into_iter().find(|it| !it.is_null());
        Ok(match error {
            Some(error) => format!("**whole**; direct: {}", class(error)),
            None if direct != plain => format!("**whole**; direct: {}", count(&direct, &plain)),
            None => "same".into(),
        })
    }

    fn raises(&self, variant: &Variant, relayed: &Value) -> Verdict {
        begins(&self.plain(variant)?, &[&relayed["events"]])?;
        if relayed["raised"].is_null() {
            return Err("the client takes a broken answer for a whole one".into());
        }
        let direct = self.result(self.direct, variant)?;
        if direct["raised"].is_null() {
            // All that came before the end is there, and it is told that it is not all.
            if relayed["events"] != direct["events"] {
                return Err(difference("without the relay", &direct, relayed));
            }
            return Ok("**raises**; direct: taken for complete".into());
        }
        Ok("raises".into())
    }

    fn once(&self, variant: &Variant, relayed: &Value) -> Verdict {
        let plain = self.plain(variant)?;
        if *relayed != plain {
            return Err(difference("a plain answer has", &plain, relayed));
        }
        let count = |upstream| scenario::asked(upstream, variant.name, self.client);
        match (count(self.behind), count(self.asked)) {
            (1, direct) => Ok(format!("**1 generation**; direct: {direct}")),
            (relayed, _) => Err(format!("{relayed} generations instead of one")),
        }
    }

    fn resumes(&self, variant: &Variant, relayed: &Value) -> Verdict {
        let plain = self.plain(variant)?;
        if relayed["events"] != plain["events"] || !is_null(relayed, "raised") {
            return Err(difference("a plain answer has", &plain, relayed));
        }
        if relayed.get("first").is_some() {
            begins(&plain, &[&relayed["first"]["events"]])?;
        }
        let attached = relayed.get("attached").is_none_or(|it| it == "true");
        if !attached || relayed.get("status").is_some_and(|status| status != "completed") {
            return Err("it is not the same answer".into());
        }
        match scenario::asked(self.behind, variant.name, self.client) {
            1 => Ok("exact, 1 generation".into()),
            count => Err(format!("{count} generations instead of one")),
        }
    }

    fn stops(&self, variant: &Variant, relayed: &Value) -> Verdict {
        begins(&self.plain(variant)?, &[&relayed["first"], &relayed["events"]])?;
        let again = relayed["status"].as_array().is_none_or(|said| {
            let good = |said: &Value| said == 200 || said == 204 || said == "cancelled";
            said.len() == 2 && said.iter().all(good)
        });
        if !again {
            return Err("stopping is not safe to repeat".into());
        }
        // The AI SDK shows what it has, and is ready for the next question.
        let told = !relayed["raised"].is_null() || relayed["chat"] == "ready";
        if variant.verb != "leave" && !told {
            return Err("the client takes what was stopped for a whole answer".into());
        }
        if !scenario::closed(self.behind, variant.name, self.client) {
            return Err("the upstream goes on".into());
        }
        Ok("upstream stops".into())
    }

    fn goes_on(&self, variant: &Variant, relayed: &Value) -> Verdict {
        begins(&self.plain(variant)?, &[&relayed["events"]])?;
        if !scenario::finished(self.behind, variant.name, self.client) {
            return Err("the upstream was not read to the end".into());
        }
        Ok("goes on".into())
    }
}

fn nothing(relayed: &Value) -> Verdict {
    if *relayed == serde_json::json!({"events": [], "raised": null, "chat": "ready"}) {
        return Ok("nothing, no error".into());
    }
    Err("there should be nothing".into())
}

fn fails(relayed: &Value) -> Verdict {
    if relayed["events"] == serde_json::json!([]) && !relayed["raised"].is_null() {
        return Ok("raises".into());
    }
    Err("there should be an error and nothing else".into())
}

/// Whether the events, put together, are what a plain answer begins with, and not nothing.
fn begins(plain: &Value, events: &[&Value]) -> Result<(), String> {
    let seen: Vec<&Value> = events.iter().filter_map(|it| it.as_array()).flatten().collect();
    let plain = plain["events"].as_array().ok_or("no events")?;
    if seen.is_empty() || seen.len() > plain.len() {
        return Err(format!("{} events instead of up to {}", seen.len(), plain.len()));
    }
    let goes_on = |(seen, plain): (&&Value, &Value)| **seen == *plain || is_beginning(seen, plain);
    let same = seen.iter().zip(plain).position(|pair| !goes_on(pair));
    match same {
        Some(at) => Err(format!("event {at} is not that of a plain answer: {}", plain[at])),
        None => Ok(()),
    }
}

/// Whether a part of a message that is shown, of the AI SDK, has the beginning of the whole text.
fn is_beginning(seen: &Value, plain: &Value) -> bool {
    let text = |part: &Value| part["text"].as_str().map(str::to_owned);
    let (Some(seen_text), Some(text)) = (text(seen), text(plain)) else { return false };
    seen["type"] == plain["type"] && !seen_text.is_empty() && text.starts_with(&seen_text)
}

fn is_null(result: &Value, name: &str) -> bool {
    result.get(name).is_none_or(Value::is_null)
}

/// How the number of events differs from that of a plain answer.
fn count(direct: &Value, plain: &Value) -> &'static str {
    let events = |result: &Value| result["events"].as_array().map_or(0, Vec::len);
    match events(direct).cmp(&events(plain)) {
        std::cmp::Ordering::Less => "an event is lost",
        std::cmp::Ordering::Equal => "something else",
        std::cmp::Ordering::Greater => "one event too many",
    }
}

fn class(error: &Value) -> &str {
    error["class"].as_str().unwrap_or("an error")
}

/// Where two results differ first.
fn difference(other: &str, expected: &Value, seen: &Value) -> String {
    let pointer = first_difference(expected, seen, String::new());
    let at = |value: &Value| value.pointer(&pointer).map_or("nothing".into(), Value::to_string);
    format!("{pointer}: {other} {}, here it is {}", at(expected), at(seen))
}

fn first_difference(a: &Value, b: &Value, at: String) -> String {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys());
            let differs = |name: &&String| left.get(*name) != right.get(*name);
            let Some(name) = names.into_iter().find(differs) else { return at };
            let at = format!("{at}/{name}");
            first_difference(&a[name.as_str()], &b[name.as_str()], at)
        }
        (Value::Array(left), Value::Array(right)) => {
            let most = left.len().max(right.len());
            let Some(index) = (0..most).find(|&it| left.get(it) != right.get(it)) else {
                return at;
            };
            let at = format!("{at}/{index}");
            first_difference(&a[index], &b[index], at)
        }
        _ => at,
    }
}

/// The last event of a result, and its error.
fn ending(result: &Value) -> String {
    let last = result["events"].as_array().and_then(|events| events.last());
    let error = [&result["failed"], &result["raised"]].into_iter().find(|it| !it.is_null());
    format!("{} and {}", last.unwrap_or(&Value::Null), error.unwrap_or(&Value::Null))
}
