//! What `tidings dev` offers where there is no model: an answer that says so.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::dialect::{Dialect, models};
use crate::script::Script;
use crate::seen::Received;
use crate::text::is_ideographic;

/// The name of the model that is none.
pub const DEMO_MODEL: &str = "scripted-demo";

/// The same, with a longer answer that uses most of Markdown.
pub const STORY_MODEL: &str = "scripted-story";

/// That one as fast as a small model on good hardware.
pub const FAST_MODEL: &str = "scripted-story-fast";

/// Tokens for each second, by model.
const TOKENS_PER_SECOND: u32 = 30;
const STORY_TOKENS_PER_SECOND: u32 = 40;
const FAST_TOKENS_PER_SECOND: u32 = 200;

/// Characters of the question that are quoted.
const QUOTED_CHARS_MAX: usize = 120;

/// How long the first token lets itself be waited for.
const FIRST_AFTER: Duration = Duration::from_millis(300);

/// The demonstration, for [`Upstream::play`](crate::Upstream::play): any chat, Responses or
/// Messages request is answered with a text that says that no model is running, in English or, to
/// a question in Chinese, in Traditional Chinese; about 120 tokens, 30 each second. The models
/// [`STORY_MODEL`] and [`FAST_MODEL`] answer with some 400 tokens.
pub fn demo() -> impl Fn(&Received) -> Script + Send + Sync + 'static {
    answer
}

fn answer(request: &Received) -> Script {
    match request.method.as_str() {
        "POST" if Dialect::of(&request.path).is_some() => {
            let body = request.json();
            let question = question(&body).unwrap_or_default();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let (model, text, pace) = match body["model"].as_str() {
                Some(STORY_MODEL) => (STORY_MODEL, story(&question), STORY_TOKENS_PER_SECOND),
                Some(FAST_MODEL) => (FAST_MODEL, story(&question), FAST_TOKENS_PER_SECOND),
                _ => (DEMO_MODEL, text(&question), TOKENS_PER_SECOND),
            };
            Script::text(&text)
                .model(model)
                .created(now.as_secs())
                .first_after(FIRST_AFTER)
                .pace(Duration::from_secs(1) / pace)
        }
        "GET" if request.path.ends_with("/models") => {
            Script::body(200, "application/json", models(&[DEMO_MODEL, STORY_MODEL, FAST_MODEL]))
        }
        _ => Script::refuse(404, "the scripted upstream answers chat, responses and messages"),
    }
}

/// What the last message of the user says: a string, or the text parts of a list.
fn question(body: &Value) -> Option<String> {
    let messages = body.get("messages").or_else(|| body.get("input"))?;
    if let Value::String(text) = messages {
        return Some(text.clone());
    }
    let of_user = |message: &&Value| message["role"] == "user";
    let content = &messages.as_array()?.iter().rev().find(of_user)?["content"];
    if let Value::String(text) = content {
        return Some(text.clone());
    }
    let texts = content.as_array()?.iter().filter_map(|part| part["text"].as_str());
    Some(texts.collect::<Vec<_>>().join(" "))
}

/// The question, cut at [`QUOTED_CHARS_MAX`].
fn quote(question: &str) -> String {
    let trimmed = question.trim();
    let mut quoted: String = trimmed.chars().take(QUOTED_CHARS_MAX).collect();
    if quoted.len() < trimmed.len() {
        quoted.push('…');
    }
    quoted
}

fn story(question: &str) -> String {
    let chinese = question.chars().any(is_ideographic);
    let story = if chinese { include_str!("story.zh.md") } else { include_str!("story.en.md") };
    story.trim_end().replace("{question}", &quote(question))
}

fn text(question: &str) -> String {
    let quoted = quote(question);
    if question.chars().any(is_ideographic) {
        return format!(
            "**這是照劇本播放的回答，沒有任何模型在執行。**\n\n你問的是：「{quoted}」\n\n\
             這段文字一個字一個字送來，好讓你親手試試：\n\n\
             1. 重新整理這一頁，回答會從斷掉的地方接下去。\n\
             2. 在另一個分頁或另一台裝置打開，看到的是同一個回答。\n\
             3. 關掉網路再打開，一個字都不會少。\n\n\
             要換成真正的模型，請在啟動時加上 `--llm` 和它的網址。"
        );
    }
    format!(
        "**This is a scripted answer, no model is running.**\n\nYou asked: \"{quoted}\"\n\n\
         The words arrive one by one so that you can try what a stream has to survive:\n\n\
         1. Reload this page in the middle of the answer. It goes on where it was, and nothing is \
         generated twice.\n\
         2. Open the same answer in a second tab or on another device. Both follow the same \
         stream, word for word.\n\
         3. Switch the network off and on again. Not a single word is missing, and none comes \
         twice.\n\n\
         To put a real model in this place, start with `--llm` and the address of its API, and \
         change nothing else."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens;

    #[test]
    fn the_answer_is_in_the_language_of_the_question() {
        let english = text("What is a tide?");
        assert!(english.starts_with("**This is a scripted answer, no model is running"));
        assert!(english.contains("\"What is a tide?\""));
        let chinese = text("潮汐是什麼？");
        assert!(chinese.contains("沒有任何模型在執行") && chinese.contains("「潮汐是什麼？」"));
        for answer in [english, chinese] {
            let count = tokens(&answer).len();
            assert!((90..=190).contains(&count), "{count}");
        }
    }

    #[test]
    fn the_story_says_that_no_model_is_running() {
        for (question, says) in [("Why?", "no model is running"), ("為什麼？", "沒有任何模型")]
        {
            let story = story(question);
            assert!(story.contains(says) && story.contains(question), "{story}");
            assert!((250..=900).contains(&tokens(&story).len()), "{}", tokens(&story).len());
        }
    }

    #[test]
    fn a_long_question_is_cut_at_a_character() {
        let answer = text(&"é".repeat(QUOTED_CHARS_MAX + 1));
        assert!(answer.contains(&format!("\"{}…\"", "é".repeat(QUOTED_CHARS_MAX))));
    }

    #[test]
    fn the_question_is_found_in_every_dialect() {
        let bodies = [
            r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"q"},
                {"role":"assistant","content":"x"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]}]}"#,
            r#"{"input":"q"}"#,
            r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"q"}]}]}"#,
        ];
        for body in bodies {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(question(&body).as_deref(), Some("q"), "{body}");
        }
    }
}
