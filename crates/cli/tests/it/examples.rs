//! The examples in a real browser, what is foreign unmodified (`examples/test.mjs`).

use crate::program::in_browser;

#[test]
fn what_people_have_follows_resumes_and_shows() {
    in_browser("examples/test.mjs");
}
