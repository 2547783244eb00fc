//! The tutorial's React component in a real browser, behind a shared relay
//! (`examples/react/test.mjs`).

use crate::program::in_browser;

#[test]
fn the_tutorials_component_shows_what_the_upstream_says() {
    in_browser("examples/react/test.mjs");
}
