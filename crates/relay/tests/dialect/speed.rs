//! What the common token costs, printed for those who look (`-- --ignored --nocapture`).

use std::hint::black_box;
use std::time::Instant;

use crate::support::cases;

#[test]
#[ignore = "prints a figure, judges nothing"]
fn cost_of_a_token() {
    for name in
        ["chat: llama.cpp", "responses: llama.cpp", "responses: two parts", "messages: text"]
    {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let token = case.upstream.iter().rfind(|(_, data)| data.contains("delta\":")).unwrap();
        let token = case.upstream.iter().rfind(|(_, data)| data.contains(" and")).unwrap_or(token);
        let mut reader = case.reader();
        let mut out = Vec::with_capacity(4);
        for (name, data) in &case.upstream[..case.upstream.len() / 2] {
            reader.event(name, data, &mut out);
        }
        let rounds = 200_000_u32;
        let start = Instant::now();
        for _ in 0..rounds {
            out.clear();
            black_box(reader.event(&token.0, black_box(&token.1), &mut out));
        }
        println!("{name}: {:?} each, {} bytes", start.elapsed() / rounds, token.1.len());
    }
}
