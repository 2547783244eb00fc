//! How an event is printed.
//!
//! Into a pipe goes the data and nothing else, unchanged, with a line feed after it; a program that
//! wants more asks for JSON. A person on a terminal gets time, topic and type as well, and nothing
//! that the terminal would obey.

use std::io::{self, IsTerminal, Write};

use tidings_frame::{EventObject, Time};

use crate::terminal::{Paint, Style, harmless};

/// Prints events in one way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    form: Form,
    /// Whether the topic must be told, because there are several.
    topics: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Data,
    Person(Paint),
}

impl Printer {
    /// A printer for standard output.
    pub(crate) fn stdout(json: bool, topics: bool) -> Self {
        let form = match (json, io::stdout().is_terminal()) {
            (true, _) => Form::Json,
            (false, false) => Form::Data,
            (false, true) => Form::Person(Paint::stdout()),
        };
        Self { form, topics }
    }

    /// Prints events and flushes, so that whoever reads a pipe has them at once.
    pub(crate) fn print(self, events: &[EventObject<'_>]) -> io::Result<()> {
        let mut text = Vec::new();
        for event in events {
            self.write(event, &mut text);
        }
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    fn write(self, event: &EventObject<'_>, text: &mut Vec<u8>) {
        match self.form {
            Form::Json => event.write_to(text),
            Form::Data => text.extend_from_slice(&event.data),
            Form::Person(paint) => text.extend_from_slice(self.line(event, paint).as_bytes()),
        }
        text.push(b'\n');
    }

    fn line(self, event: &EventObject<'_>, paint: Paint) -> String {
        let time = Time(event.time_ms).to_string();
        // The time of day is what changes; the date is in the JSON form.
        let time = time.split('T').nth(1).unwrap_or_default().trim_end_matches('Z');
        let mut line = paint.text(Style::Faint, time);
        if self.topics {
            line.push_str(&format!(" {}", paint.text(Style::Cyan, &harmless(&event.topic))));
        }
        if let Some(event_type) = &event.event_type {
            line.push_str(&format!(" {}", paint.text(Style::Green, &harmless(event_type))));
        }
        format!("{line}  {}", harmless(&String::from_utf8_lossy(&event.data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventObject<'static> {
        EventObject {
            id: "abcdefgh-7".parse().unwrap(),
            topic: "chat/lobby".into(),
            alternates: Vec::new(),
            time_ms: 3_723_004,
            event_type: Some("said".into()),
            key: None,
            publisher_id: None,
            end: None,
            data: b"hi \x1b[2J\nthere"[..].into(),
        }
    }

    fn printed(form: Form, topics: bool) -> String {
        let mut text = Vec::new();
        Printer { form, topics }.write(&event(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_pipe_gets_the_data_unchanged() {
        assert_eq!(printed(Form::Data, true), "hi \x1b[2J\nthere\n");
    }

    #[test]
    fn a_terminal_is_not_made_to_obey() {
        let line = printed(Form::Person(Paint::plain()), true);
        assert_eq!(line, "01:02:03.004 chat/lobby said  hi \\u{1b}[2J\nthere\n");
        assert!(!printed(Form::Person(Paint::plain()), false).contains("lobby"));
    }

    #[test]
    fn json_is_one_line() {
        let line = printed(Form::Json, false);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["data"], "hi \u{1b}[2J\nthere");
    }
}
