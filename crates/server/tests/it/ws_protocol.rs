//! The WebSocket protocol itself, case by case as the Autobahn test suite groups them: 1 framing, 2
//! pings and pongs, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 limits, 10
//! what is cut up on the way. The suite's server echoes; ours does not, so a case is made where it
//! can be seen: in the answer to a message, in a pong, in the code of a close.

use serde_json::{Value, json};

use crate::support::Server;
use crate::websocket::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, Ws, frame};

/// What is sent, frame by frame.
type Bytes = Vec<Vec<u8>>;

/// What is to be seen.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    /// The answer to a ping of the subprotocol, with this `ref`: a message that came whole.
    Pong(Value),
    /// A pong of the protocol with this payload.
    ControlPong(Vec<u8>),
    /// A close with this code; none without one.
    Close(Option<u16>),
    /// An error of the subprotocol.
    Error,
}

fn ping_message(reference: &str) -> Vec<u8> {
    json!({"op": "ping", "ref": reference}).to_string().into_bytes()
}

/// A message of exactly this many bytes.
fn sized(length: usize) -> Vec<u8> {
    let mut message = br#"{"op":"ping","ref":1"#.to_vec();
    message.resize(length - 1, b' ');
    message.push(b'}');
    message
}

fn case(name: &str, frames: Bytes, seen: Vec<Seen>) -> (String, Bytes, Vec<Seen>) {
    (name.to_owned(), frames, seen)
}

/// Sends each case on a connection of its own and looks at all that comes, up to a last ping that
/// shows that the connection is as good as before, or the end.
fn run(cases: Vec<(String, Bytes, Vec<Seen>)>, in_pieces: bool) {
    let server = Server::start();
    for (name, frames, expect) in cases {
        let mut ws = Ws::open(&server);
        for bytes in &frames {
            // Group 10 and the pieces of 5.3 and 5.5: wherever it is cut, it is the same.
            let most = if in_pieces { bytes.len().div_ceil(64).max(3) } else { bytes.len() };
            bytes.chunks(most.max(1)).for_each(|piece| ws.send_bytes(piece));
        }
        let ends = matches!(expect.last(), Some(Seen::Close(_)));
        if !ends {
            ws.send_bytes(&frame(FIN | TEXT, &ping_message("last")));
        }
        let mut seen = Vec::new();
        while let Some(frame) = ws.next_frame() {
            match frame.opcode {
                PONG => seen.push(Seen::ControlPong(frame.payload)),
                CLOSE => {
                    let code = frame.payload.get(..2);
                    let code = code.map(|code| u16::from_be_bytes([code[0], code[1]]));
                    seen.push(Seen::Close(code));
                }
                TEXT => {
                    let message: Value = serde_json::from_slice(&frame.payload).unwrap();
                    if message["ref"] == "last" {
                        break;
                    }
                    seen.push(match message["op"].as_str() {
                        Some("pong") => Seen::Pong(message["ref"].clone()),
                        _ => Seen::Error,
                    });
                }
                other => panic!("{name}: opcode {other}"),
            }
            if matches!(seen.last(), Some(Seen::Close(_))) {
                // The end of the connection follows, not more frames.
                assert_eq!(ws.next_frame(), None, "{name}");
                break;
            }
        }
        assert_eq!(seen, expect, "{name}");
    }
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

fn close(payload: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, payload)
}

fn good() -> Vec<Seen> {
    vec![Seen::Pong(json!(1))]
}

fn closed(code: u16) -> Vec<Seen> {
    vec![Seen::Close(Some(code))]
}

#[test]
fn framing_group_1() {
    let mut cases = Vec::new();
    for length in [125, 126, 127, 128, 65_535, 65_536, 65_537] {
        cases.push(case(&format!("1.1 {length}"), vec![text(&sized(length))], good()));
    }
    cases.push(case("1.1.1 empty", vec![text(b"")], vec![Seen::Error]));
    // A length in more bytes than it needs is taken by the suite too.
    let mut long = vec![FIN | TEXT, 0xff];
    long.extend(22_u64.to_be_bytes());
    long.extend([0; 4]);
    long.extend(sized(22));
    cases.push(case("1 long form", vec![long], good()));
    for payload in [&b""[..], b"binary", &[0xff; 200]] {
        cases.push(case("1.2", vec![frame(FIN | BINARY, payload)], closed(1003)));
    }
    run(cases, false);
}

#[test]
fn pings_and_pongs_group_2() {
    let ping = |payload: &[u8]| frame(FIN | PING, payload);
    let pong = |payload: &[u8]| Seen::ControlPong(payload.to_vec());
    let longest = vec![0xfe; 125];
    run(
        vec![
            case("2.1", vec![ping(b"")], vec![pong(b"")]),
            case("2.2", vec![ping(b"Hello, world!")], vec![pong(b"Hello, world!")]),
            case("2.3", vec![ping(b"\x00\xff\xfe\xfd")], vec![pong(b"\x00\xff\xfe\xfd")]),
            case("2.4", vec![ping(&longest)], vec![pong(&longest)]),
            case("2.5 too long", vec![ping(&[0xfe; 126])], closed(1002)),
            case("2.6 in pieces", vec![ping(&longest)], vec![pong(&longest)]),
            case("2.7 a pong unasked", vec![frame(FIN | PONG, b"")], vec![]),
            case("2.8", vec![frame(FIN | PONG, b"unasked")], vec![]),
            case("2.9", vec![frame(FIN | PONG, b"unasked"), ping(b"ping")], vec![pong(b"ping")]),
            case(
                "2.10 ten",
                (0..10).map(|number| ping(&[number])).collect(),
                (0..10).map(|number| pong(&[number])).collect(),
            ),
            case("2 unmasked", vec![vec![FIN | PING, 0]], closed(1002)),
        ],
        false,
    );
}

#[test]
fn reserved_bits_and_opcodes_groups_3_and_4() {
    let mut cases = Vec::new();
    for bits in 1..8_u8 {
        for opcode in [TEXT, PING, CLOSE] {
            let frames = vec![frame(FIN | bits << 4 | opcode, b"")];
            cases.push(case(&format!("3 bits {bits} opcode {opcode}"), frames, closed(1002)));
        }
    }
    let before = vec![text(&sized(50)), frame(FIN | 0x40 | TEXT, b"x"), text(&sized(50))];
    let seen = vec![Seen::Pong(json!(1)), Seen::Close(Some(1002))];
    cases.push(case("3.2 after a good one", before, seen));
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for payload in [&b""[..], b"reserved"] {
            let frames = vec![frame(FIN | opcode, payload)];
            cases.push(case(&format!("4 opcode {opcode}"), frames, closed(1002)));
        }
    }
    run(cases, false);
}

#[test]
fn fragmentation_group_5() {
    let message = sized(60);
    let (a, b) = message.split_at(20);
    let first = |payload: &[u8]| frame(TEXT, payload);
    let middle = |payload: &[u8]| frame(CONTINUATION, payload);
    let last = |payload: &[u8]| frame(FIN | CONTINUATION, payload);
    let ping = frame(FIN | PING, b"between");
    let pong = Seen::ControlPong(b"between".to_vec());
    let both = vec![pong.clone(), Seen::Pong(json!(1))];
    let mut each = vec![first(&message[..1])];
    each.extend(message[1..59].iter().map(|byte| middle(&[*byte])));
    each.push(last(&message[59..]));
    run(
        vec![
            case("5.1 a ping in fragments", vec![frame(PING, b"a"), last(b"b")], closed(1002)),
            case("5.2 a pong in fragments", vec![frame(PONG, b"a"), last(b"b")], closed(1002)),
            case("5 a close in fragments", vec![frame(CLOSE, b"\x03\xe8")], closed(1002)),
            case("5.3 two", vec![first(a), last(b)], good()),
            case("5.4 three, one of them empty", vec![first(a), middle(b""), last(b)], good()),
            case("5 empty ones only", vec![first(b""), middle(b""), last(b"")], vec![Seen::Error]),
            case("5.6 a ping between", vec![first(a), ping.clone(), last(b)], both.clone()),
            case("5 a pong between", vec![first(a), frame(FIN | PONG, b"x"), last(b)], good()),
            case("5.9 nothing to continue", vec![last(b"x")], closed(1002)),
            case("5.10", vec![last(b"x"), text(&message)], closed(1002)),
            case("5.12 nothing, not final", vec![middle(b"x")], closed(1002)),
            case("5.15 continued after its end", vec![first(a), last(b), middle(b"x")], {
                vec![Seen::Pong(json!(1)), Seen::Close(Some(1002))]
            }),
            case("5.18 a second beginning", vec![first(a), text(b)], closed(1002)),
            case("5.18 a second beginning, in fragments", vec![first(a), first(b)], closed(1002)),
            case("5.19 a byte each", each, good()),
            case("5 binary in fragments", vec![frame(BINARY, b"a"), last(b"b")], closed(1003)),
            case("5 a close between", vec![first(a), close(b"\x03\xe8")], closed(1000)),
        ],
        false,
    );
}

/// Texts that are not UTF-8: overlong, surrogates, beyond the last, cut, alone.
const NOT_UTF8: [&[u8]; 17] = [
    b"\xff",
    b"\xfe",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x88\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
];

#[test]
fn utf8_group_6() {
    let around = |inside: &[u8]| [br#"{"op":"ping","ref":""#, inside, br#""}"#].concat();
    let mut cases = Vec::new();
    for bad in NOT_UTF8 {
        let message = around(bad);
        cases.push(case(&format!("6.3 {bad:x?}"), vec![text(&message)], closed(1007)));
        // In every fragmentation into two, and byte by byte.
        for cut in 19..message.len() {
            let (a, b) = message.split_at(cut);
            let frames = vec![frame(TEXT, a), frame(FIN | CONTINUATION, b)];
            cases.push(case(&format!("6.4 {bad:x?} cut at {cut}"), frames, closed(1007)));
        }
        let mut frames: Bytes = message.iter().map(|byte| frame(CONTINUATION, &[*byte])).collect();
        frames[0] = frame(TEXT, &message[..1]);
        frames.push(frame(FIN | CONTINUATION, b""));
        cases.push(case(&format!("6.4 {bad:x?} byte by byte"), frames, closed(1007)));
    }
    for good in
        ["κόσμε", "\u{7f}\u{80}\u{7ff}\u{800}", "\u{ffff}\u{10000}\u{10ffff}", "\u{fffe}", "😀"]
    {
        let message = around(good.as_bytes());
        for cut in 0..=message.len() {
            let (a, b) = message.split_at(cut);
            let frames = vec![frame(TEXT, a), frame(FIN | CONTINUATION, b)];
            cases.push(case("6.5", frames, vec![Seen::Pong(json!(good))]));
        }
    }
    run(cases, true);
}

#[test]
fn closing_group_7() {
    let mut cases = vec![
        case("7.1.1 after a message", vec![text(&sized(50)), close(b"\x03\xe8")], {
            vec![Seen::Pong(json!(1)), Seen::Close(Some(1000))]
        }),
        case("7.1.2 twice", vec![close(b"\x03\xe8"), close(b"\x03\xe8")], closed(1000)),
        case(
            "7.1.3 a ping after it",
            vec![close(b"\x03\xe8"), frame(FIN | PING, b"")],
            closed(1000),
        ),
        case("7.1.4 a message after it", vec![close(b"\x03\xe8"), text(&sized(50))], closed(1000)),
        case("7.3.1 no code", vec![close(b"")], vec![Seen::Close(None)]),
        case("7.3.2 half a code", vec![close(b"\x03")], closed(1002)),
        case("7.3.4 a reason", vec![close(b"\x03\xe8Hello")], closed(1000)),
        case(
            "7.3.5 the longest",
            vec![close(&[b"\x03\xe8", &[b'*'; 123][..]].concat())],
            closed(1000),
        ),
        case(
            "7.3.6 too long",
            vec![close(&[b"\x03\xe8", &[b'*'; 124][..]].concat())],
            closed(1002),
        ),
        case(
            "7.5.1 a reason that is not UTF-8",
            vec![close(b"\x03\xe8\xce\xba\xed\xa0")],
            closed(1007),
        ),
    ];
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(&format!("7.7 {code}"), vec![close(&code.to_be_bytes())], closed(code)));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999] {
        cases.push(case(&format!("7.9 {code}"), vec![close(&code.to_be_bytes())], closed(1002)));
    }
    run(cases, false);
}

#[test]
fn limits_and_pieces_groups_9_and_10() {
    let limit = 8 << 20;
    let message = sized(limit);
    let halves = |rest: usize| {
        vec![
            frame(TEXT, &message[..limit / 2]),
            frame(FIN | CONTINUATION, &message[limit / 2..limit - rest]),
        ]
    };
    let mut over = halves(0);
    over.insert(1, frame(CONTINUATION, b" "));
    let mut fragments: Bytes =
        message.chunks(64 << 10).map(|part| frame(CONTINUATION, part)).collect();
    fragments[0][0] = TEXT;
    fragments.last_mut().unwrap()[0] = FIN | CONTINUATION;
    // Its length alone is too much; nothing of it need be sent.
    let mut announced = vec![FIN | TEXT, 0xff];
    announced.extend(u64::MAX.to_be_bytes());
    announced.extend([0; 4]);
    let mut signed = vec![FIN | TEXT, 0xff];
    signed.extend((limit as u64 + 1).to_be_bytes());
    signed.extend([0; 4]);
    run(
        vec![
            case("9.1 64 KiB", vec![text(&sized(64 << 10))], good()),
            case("9.1 the largest", vec![text(&message)], good()),
            case("9.3 the largest in two", halves(0), good()),
            case("9.3 the largest in many", fragments, good()),
            case("9 one more", vec![text(&sized(limit + 1))], closed(1009)),
            case("9 one more in fragments", over, closed(1009)),
            case("9 announced", vec![signed], closed(1009)),
            case("9 announced without end", vec![announced], closed(1009)),
            case("9.7 many small ones", (0..2_000).map(|_| text(&sized(64))).collect(), {
                vec![Seen::Pong(json!(1)); 2_000]
            }),
        ],
        true,
    );
    // 10.1: bytes one by one.
    let one = text(&sized(300));
    run(vec![case("10.1", one.iter().map(|byte| vec![*byte]).collect(), good())], false);
}

#[test]
fn frames_without_a_mask_are_refused() {
    let unmasked = |payload: &[u8]| {
        let mut bytes = vec![FIN | TEXT, u8::try_from(payload.len()).unwrap()];
        bytes.extend(payload);
        bytes
    };
    run(
        vec![
            case("unmasked", vec![unmasked(&sized(60))], closed(1002)),
            case("unmasked after a good one", vec![text(&sized(60)), unmasked(&sized(60))], {
                vec![Seen::Pong(json!(1)), Seen::Close(Some(1002))]
            }),
        ],
        false,
    );
}
