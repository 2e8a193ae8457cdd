//! What a long run shows on standard error while it lasts; nothing where that is no terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two changes of a [`Line`].
const PAUSE: Duration = Duration::from_millis(200);

/// Appears only when the run takes long enough for somebody to wonder.
pub(super) fn spinner(message: &str) -> ProgressBar {
    let spinner = bar().with_message(message.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(500));
    spinner
}

/// A line that says how far a run has come.
pub(super) struct Line {
    bar: ProgressBar,
    shown: Instant,
}

impl Line {
    /// A line that says nothing yet.
    pub fn new() -> Line {
        Line { bar: bar(), shown: Instant::now() }
    }

    /// Says how far the run is, if it has not just said so.
    pub fn show(&mut self, summary: impl FnOnce() -> String) {
        if self.shown.elapsed() > PAUSE {
            self.shown = Instant::now();
            self.bar.set_message(summary());
            self.bar.tick();
        }
    }

    /// Takes the line away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
