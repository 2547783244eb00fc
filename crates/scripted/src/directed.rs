//! Scripts that a request asks for by the name of its model, so that a client in any language can
//! have every answer and every fault, also through a relay that passes nothing else on.

use std::time::Duration;

use crate::fault::{At, Fault};
use crate::framing::{LineEnd, Writes};
use crate::script::{Coding, Finish, Script};
use crate::seen::Received;
use crate::upstream::default_script;

/// What such a model's name begins with.
const PREFIX: &str = "play:";

/// The most tokens that can be asked for.
const TOKENS_MAX: usize = 1_000_000;

/// Plays what the model's name says, as [`Script::directed`] has it, and [`default_script`] where
/// it says nothing; wrong directions are refused with 400.
#[must_use]
pub fn directed_script(request: &Received) -> Script {
    let body = request.json();
    match body["model"].as_str().and_then(|model| model.strip_prefix(PREFIX)) {
        Some(directions) if request.method == "POST" => {
            Script::directed(directions).unwrap_or_else(|wrong| Script::refuse(400, &wrong))
        }
        _ => default_script(request),
    }
}

impl Script {
    /// A script from words such as `tokens=5,pace=20,reset=t3`. One of `text=…` (without commas),
    /// `tokens=N` (the words `t1` to `tN`) and `refuse=STATUS` begins it, eight tokens if none
    /// does. Then, in any order:
    ///
    /// * `reasoning=TEXT` comes before it, `say=TEXT` and `call=NAME` come after it (the call's
    ///   arguments are `{"place": "Keelung"}`);
    /// * `pace=MS`, `first=MS`, `head=MS` are times, `stamped` puts times into the tokens;
    /// * `end`, `close`, `reset`, `hang`, `error`, `fail`, `garbage` happen at a place: `=head`,
    ///   `=b300` (after byte 300), `=t3` (after token 3); `pause=t3:500` also says for how many
    ///   milliseconds;
    /// * `lines=crlf`, `lines=cr`, `tight`, `bom`, `ids`, `retry=MS`, `glued=N` and `block=N`
    ///   (comments before every N events), `sizes=1+3` frame it;
    /// * `coding=length`, `coding=close`, `choices=N`, `pings=N`, `finish=length`,
    ///   `finish=filter`, `unmarked` (without the end marker), `bare` (without indices).
    ///
    /// # Errors
    ///
    /// The word that is not understood.
    pub fn directed(directions: &str) -> Result<Self, String> {
        let words = || directions.split(',').filter(|word| !word.is_empty());
        let begins = |word: &&str| BEGINNINGS.iter().any(|begin| word.starts_with(begin));
        let beginning = words().find(begins).unwrap_or("tokens=8");
        let mut script = begin(beginning).ok_or_else(|| format!("not understood: {beginning}"))?;
        let first = words().position(|word| begins(&word));
        let others = words().enumerate().filter(|&(place, _)| Some(place) != first);
        for (_, word) in others {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let fault = fault(key, value).map(|fault| script.clone().fault(fault));
            let refined = fault.or_else(|| refine(script, key, value));
            script = refined.ok_or_else(|| format!("not understood: {word}"))?;
        }
        Ok(script)
    }
}

const BEGINNINGS: [&str; 3] = ["text=", "tokens=", "refuse="];

fn begin(word: &str) -> Option<Script> {
    match word.split_once('=')? {
        ("text", text) => Some(Script::text(text)),
        ("tokens", count) => {
            let count = count.parse().ok().filter(|&count: &usize| count <= TOKENS_MAX)?;
            let word = |n| if n == 1 { "t1".to_owned() } else { format!(" t{n}") };
            Some(Script::tokens((1..=count).map(word).collect()))
        }
        ("refuse", status) => {
            let status = status.parse().ok().filter(|status| (400..600).contains(status))?;
            Some(Script::refuse(status, "refused as directed"))
        }
        _ => None,
    }
}

fn fault(key: &str, value: &str) -> Option<Fault> {
    let (place, pause) = value.split_once(':').unwrap_or((value, ""));
    let at = match place.split_at_checked(1)? {
        ("h", "ead") => At::Head,
        ("b", byte) => At::Byte(byte.parse().ok()?),
        ("t", token) => At::Token(token.parse().ok()?),
        _ => return None,
    };
    match key {
        "end" => Some(Fault::end(at)),
        "close" => Some(Fault::close(at)),
        "reset" => Some(Fault::reset(at)),
        "hang" => Some(Fault::hang(at)),
        "error" => Some(Fault::error(at, "broken as directed")),
        "fail" => Some(Fault::fail(at, "broken as directed")),
        "garbage" => Some(Fault::garbage(at)),
        "pause" => Some(Fault::pause(at, ms(pause)?)),
        _ => None,
    }
}

fn ms(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_millis)
}

fn refine(mut script: Script, key: &str, value: &str) -> Option<Script> {
    let framing = &mut script.framing;
    match (key, value) {
        ("lines", "crlf") => framing.line_end = LineEnd::CrLf,
        ("lines", "cr") => framing.line_end = LineEnd::Cr,
        ("tight", "") => framing.tight = true,
        ("bom", "") => framing.bom = true,
        ("ids", "") => framing.ids_from = Some(0),
        ("retry", retry) => framing.retry_ms = Some(retry.parse().ok()?),
        ("glued", every) => return Some(script.comment("hb", every.parse().ok()?, false)),
        ("block", every) => return Some(script.comment("hb", every.parse().ok()?, true)),
        ("sizes", sizes) => {
            let sizes = sizes.split('+').map(|size| size.parse().ok());
            let sizes = Writes::Sizes(sizes.collect::<Option<_>>()?);
            return Some(script.writes(sizes, Duration::ZERO));
        }
        ("reasoning", text) => return Some(script.reasoning(text)),
        ("say", text) => return Some(script.then_text(text)),
        ("call", name) => return Some(script.then_call(name, r#"{"place": "Keelung"}"#)),
        ("pace", time) => return Some(script.pace(ms(time)?)),
        ("first", time) => return Some(script.first_after(ms(time)?)),
        ("head", time) => return Some(script.head_after(ms(time)?)),
        ("stamped", "") => return Some(script.stamped()),
        ("coding", "length") => return Some(script.coding(Coding::Length)),
        ("coding", "close") => return Some(script.coding(Coding::UntilClose)),
        ("choices", choices) => return Some(script.choices(choices.parse().ok()?)),
        ("pings", every) => return Some(script.pings(every.parse().ok()?)),
        ("finish", "length") => return Some(script.finish(Finish::Length)),
        ("finish", "filter") => return Some(script.finish(Finish::ContentFilter)),
        ("unmarked", "") => return Some(script.without_end_marker()),
        ("bare", "") => return Some(script.without_indices()),
        _ => return None,
    }
    Some(script)
}
