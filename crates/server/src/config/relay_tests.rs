//! The promises of `[[relay]]` sections: what is no relay is refused, and by its line.

use std::time::Duration;

use tidings_relay::config::{Kept, OnDisconnect, UpstreamResume};

use super::*;

const LLM: &str = "anonymous = []\n[[relay]]\nkind = \"llm\"\npath = \"/v1\"\n\
                   upstream = \"http://127.0.0.1:1/v1\"\n";
const SHARED: &str = "anonymous = []\n[[relay]]\nkind = \"shared\"\npath = \"/prices\"\n\
                      upstream = \"http://127.0.0.1:1/stream\"\n";

fn load_text(text: String) -> Result<Loaded, ConfigError> {
    load(Mode::Serve, Some(&File { name: "f".to_owned(), text }), std::iter::empty(), &[])
}

#[test]
fn a_section_is_read_as_it_is_written() {
    let more = "name = \"n\"\nfallbacks = [\"https://b.example/v1\"]\nretries = 3\n\
                on_disconnect = \"cancel-after=30s\"\nkeep = \"2h\"\nruntime_max = \"2h\"\n\
                answer_timeout = \"1m\"\nidle_timeout = \"5s\"\npatience = \"2s\"\n\
                tokens_max = 7\ntokens_window = \"1h\"\nconcurrent_max = 2\n\
                upstream_resume = \"llama-server\"\nchat_path = \"/chat\"\ncount_usage = false\n\
                add_headers = [\"x-a: b\"]\nremove_headers = [\"x-c\"]\nanswer_bytes = \"1MiB\"\n\
                allow = [\"files\", \"GET,HEAD models/*\"]\nshare = [\"vector_stores\"]\n\
                one_account = true\n";
    let config = load_text(format!("{LLM}{more}")).expect("a relay").config;
    let llm = &config.llm_relays[0];
    let seconds = |seconds| Duration::from_secs(seconds);
    assert_eq!((&*llm.name, &*llm.path, llm.retries), ("n", "/v1", 3));
    assert_eq!(llm.upstreams[1].base, "https://b.example/v1");
    assert_eq!(llm.on_disconnect, OnDisconnect::CancelAfter(seconds(30)));
    assert_eq!((llm.keep, llm.runtime_max), (seconds(7_200), seconds(7_200)));
    assert_eq!((llm.answer_timeout, llm.idle_timeout), (seconds(60), seconds(5)));
    assert_eq!((llm.patience, llm.answer_bytes_max), (seconds(2), 1 << 20));
    assert_eq!((llm.quota.tokens, llm.quota.concurrent), (Some(7), Some(2)));
    assert_eq!((llm.quota.window, llm.count_usage), (seconds(3_600), false));
    assert_eq!(llm.upstream_resume, UpstreamResume::LlamaServer);
    assert_eq!(llm.chat.as_ref().expect("a chat").path, "/chat");
    assert_eq!((llm.add_headers.len(), llm.remove_headers.len()), (1, 1));
    let allowed: Vec<_> = llm.allow.iter().map(|it| (it.methods.len(), &*it.path)).collect();
    assert_eq!(allowed, [(0, "files"), (2, "models/*")]);
    assert_eq!((&*llm.share, llm.one_account), (&[Kept::VectorStores][..], Some(true)));
    assert!(!llm.allow_private, "only where it is said");
    let config = load_text(format!("{SHARED}topic = \"t\"\nreplay = 3\nretain = 9\n"));
    let shared = &config.expect("a relay").config.shared_relays[0];
    assert_eq!((shared.topic.as_str(), shared.replay, shared.retain), ("t", 3, 9));
    assert!(shared.allow_private, "an address of this machine was meant");
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (text, at, why) in [
        ("keep = \"1m\"", "keep", "less time than it may take (runtime_max)"),
        ("keep = \"10m\"\nruntime_max = \"11m\"", "keep", "less time than it may take"),
        ("runtime_max = \"1d\"\nkeep = \"23h\"", "keep", "less time than it may take"),
        ("on_disconnect = \"never\"", "on_disconnect", "cancel-after="),
        ("on_disconnect = \"cancel-after=5\"", "on_disconnect", "cancel-after="),
        ("fallbacks = [\"ftp://a/\"]", "fallbacks", "a URL such as"),
        ("fallbacks = [\"http://KEY@a/\"]", "fallbacks", "without a user in it"),
        ("fallbacks = [\"KEY@a\"]", "fallbacks", "such as http://127.0.0.1:8000/v1"),
        ("fallbacks = \"http://KEY@a/\"", "fallbacks", "found `\"http://(set)@a/\"`"),
        ("add_headers = \"x-key: KEY\"", "add_headers", "expected a list of texts"),
        ("add_headers = [\"x-key: KEY\", 1]", "add_headers", "expected a list of texts"),
        ("api_key_env = \"TIDINGS_NO_SUCH_VARIABLE\"", "api_key_env", "is not set"),
        ("allow = [\"get files\"]", "allow", "methods and a path"),
        (
            "share = [\"containers\"]",
            "share",
            "one of files, prompts, skills, vector_stores, tunnels",
        ),
        ("add_headers = [\"x\"]", "add_headers", "`Name: value`"),
        ("add_headers = [\"a b: c\"]", "add_headers", "`Name: value`"),
        ("remove_headers = [\"a b\"]", "remove_headers", "no header's name"),
        ("chat_path = \"/topics/x\"", "chat_path", "the server's own paths"),
        ("chat_path = \"/v1\"", "chat_path", "another relay has this path"),
        ("chat_path = \"chat\"", "chat_path", "with a slash in front"),
    ] {
        let error = load_text(format!("{LLM}{text}\n")).expect_err(text).to_string();
        assert!(error.contains(&format!("relay[0].{at}: ")), "{text}: {error}");
        assert!(error.contains(why) && !error.contains("KEY"), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{text}: {error}");
    }
    for text in ["keep = \"1h\"", "keep = \"1m\"\nruntime_max = \"1m\"", "runtime_max = \"24h\""] {
        assert!(load_text(format!("{LLM}{text}\n")).is_ok(), "{text}");
    }
    let twice =
        format!("{LLM}{}", SHARED.replace("anonymous = []\n", "").replace("/prices", "/v1"));
    let error = load_text(twice).expect_err("one path for two").to_string();
    assert!(error.contains("relay[1].path: /v1: another relay has this path"), "{error}");
    let error = load_text(format!("{SHARED}topic = \"$relay/x\"\n")).expect_err("internal");
    assert!(error.to_string().contains("relay[0].topic: names that begin with $"), "{error}");
}
