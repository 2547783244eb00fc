//! What the doctor is doing, on a terminal: one line on standard error, drawn over itself.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// The line. It draws nothing where standard error is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    hidden: bool,
}

impl Progress {
    pub(super) fn new(hidden: bool) -> Self {
        Self { hidden }
    }

    /// While work is done that takes a short time nobody knows.
    pub(super) async fn during<T>(&self, what: &'static str, work: impl Future<Output = T>) -> T {
        self.draw(self.bar(None, "{spinner} {msg}"), what, work).await
    }

    /// While work is done that takes a known time.
    pub(super) async fn along<T>(
        &self,
        what: &'static str,
        time: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        let length = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bar = self.bar(Some(length), "{bar:24} {percent:>3} %  {msg}  {eta} left");
        self.draw(bar, what, work).await
    }

    fn bar(&self, length: Option<u64>, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template)
            .expect("the templates are constants, and a test draws them");
        let target = match self.hidden {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        ProgressBar::with_draw_target(length, target).with_style(style)
    }

    async fn draw<T>(
        &self,
        bar: ProgressBar,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> T {
        bar.set_message(what);
        let mut tick = tokio::time::interval(TICK);
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = tick.tick() => bar.set_position(bar.elapsed().as_millis() as u64),
            }
        };
        bar.finish_and_clear();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_beside_either_line() {
        let progress = Progress::new(true);
        assert_eq!(progress.during("a", async { 1 }).await, 1);
        assert_eq!(progress.along("b", Duration::from_secs(1), async { 2 }).await, 2);
    }
}
