//! Answers that the name of the model asks for.

use tidings_scripted::{At, Coding, Fault, Framing, LineEnd, Script, Upstream, directed_script};

use crate::client::{Call, Ended, body, cut_head};

const PATH: &str = "/v1/chat/completions";

fn ask(upstream: &Upstream, model: &str) -> Call {
    Call::post(upstream, PATH, &format!(r#"{{"model":"{model}","stream":true}}"#))
}

/// What a model's name and a script lead to, without ids.
fn both(directions: &str, script: Script) -> [(Vec<u8>, Ended); 2] {
    let upstream = Upstream::start().unwrap();
    upstream.play(move |request| {
        let as_directed = request.query.is_empty();
        let played = if as_directed { directed_script(request) } else { script.clone() };
        played.id("fixed").model("m")
    });
    let request = format!(r#"{{"model":"play:{directions}","stream":true}}"#);
    ["", "?script"].map(|query| Call::post(&upstream, &format!("{PATH}{query}"), &request).all())
}

#[test]
fn directions_say_the_same_as_the_functions() {
    let three = || Script::text("t1 t2 t3");
    let framing = Framing {
        line_end: LineEnd::CrLf,
        tight: true,
        bom: true,
        ids_from: Some(0),
        retry_ms: Some(9),
        ..Framing::default()
    };
    let cases = [
        ("", Script::text("t1 t2 t3 t4 t5 t6 t7 t8")),
        ("tokens=3", three()),
        ("text=a b", Script::text("a b")),
        ("tokens=3,reset=t2", three().fault(Fault::reset(At::Token(2)))),
        ("close=b99,tokens=3", three().fault(Fault::close(At::Byte(99)))),
        ("tokens=3,end=t0", three().fault(Fault::end(At::Token(0)))),
        ("tokens=3,error=t1", three().fault(Fault::error(At::Token(1), "broken as directed"))),
        ("tokens=3,fail=t1,reasoning=hm", {
            three().reasoning("hm").fault(Fault::fail(At::Token(1), "broken as directed"))
        }),
        ("tokens=3,reset=head", three().fault(Fault::reset(At::Head))),
        ("tokens=3,garbage=b0", three().fault(Fault::garbage(At::Byte(0)))),
        ("tokens=3,lines=crlf,tight,bom,ids,retry=9", three().framing(framing)),
        ("tokens=3,glued=2", three().comment("hb", 2, false)),
        ("tokens=3,block=1", three().comment("hb", 1, true)),
        ("tokens=3,coding=close", three().coding(Coding::UntilClose)),
        ("tokens=3,coding=length,unmarked", three().coding(Coding::Length).without_end_marker()),
        ("tokens=3,choices=2,call=f", three().choices(2).then_call("f", r#"{"place": "Keelung"}"#)),
        ("refuse=429", Script::refuse(429, "refused as directed")),
    ];
    for (directions, script) in cases {
        let [directed, played] = both(directions, script);
        let text = String::from_utf8_lossy(&directed.0).into_owned();
        assert_eq!(directed, played, "{directions}: {text}");
    }
}

#[test]
fn wrong_directions_are_refused_and_others_play_the_default() {
    let upstream = Upstream::start().unwrap();
    upstream.play(directed_script);
    for wrong in [
        "nonsense",
        "tokens=x",
        "reset=q3",
        "refuse=200",
        "pause=t1",
        "sizes=1+x",
        "reset=é",
        "tokens=1,refuse=429",
    ] {
        let (wire, _) = ask(&upstream, &format!("play:{wrong}")).all();
        let (head, body) = cut_head(&wire);
        assert!(head.starts_with("HTTP/1.1 400 "), "{wrong}: {head}");
        assert!(
            String::from_utf8_lossy(body)
                .contains(&format!("not understood: {}", wrong.replace("tokens=1,", "")))
        );
    }
    assert!(body(ask(&upstream, "m")).0.contains("tide"));
}
