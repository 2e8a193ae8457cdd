//! What a pipeline did.

use std::fmt;
use std::time::Duration;

/// What one rule did in one place of the pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleReport {
    /// The rule.
    pub rule: &'static str,
    /// How often it was applied.
    pub fired: usize,
    /// Applications that stopped half way and were taken back; each is a defect of the rule.
    pub undone: usize,
    /// Places looked at.
    pub looked: usize,
    /// Time spent.
    pub time: Duration,
}

impl RuleReport {
    /// Of a rule that has not looked anywhere.
    pub(super) fn idle(rule: &'static str) -> RuleReport {
        RuleReport { rule, fired: 0, undone: 0, looked: 0, time: Duration::ZERO }
    }
}

/// What a pipeline did, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// One entry per rule of the list.
    pub rules: Vec<RuleReport>,
}

impl Report {
    /// How often rules were applied in total.
    pub fn fired(&self) -> usize {
        self.rules.iter().map(|rule| rule.fired).sum()
    }

    /// How often one rule was applied.
    pub fn fired_by(&self, rule: &str) -> usize {
        self.rules.iter().filter(|report| report.rule == rule).map(|report| report.fired).sum()
    }

    /// Time spent in rules.
    pub fn time(&self) -> Duration {
        self.rules.iter().map(|rule| rule.time).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>8} {:>8} {:>12}", "rule", "fired", "looked", "time")?;
        for rule in &self.rules {
            let time = format!("{:.3} ms", rule.time.as_secs_f64() * 1e3);
            writeln!(f, "{:<24} {:>8} {:>8} {:>12}", rule.rule, rule.fired, rule.looked, time)?;
        }
        let total = format!("{:.3} ms", self.time().as_secs_f64() * 1e3);
        write!(f, "{:<24} {:>8} {:>8} {:>12}", "total", self.fired(), "", total)
    }
}
