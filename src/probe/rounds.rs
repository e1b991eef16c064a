//! Several probes of one address, as one answer.

use std::time::Duration;

use super::{Cause, Report, StepResult};

/// What several probes of one address came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounds {
    /// The first that found something, or else the last.
    pub report: Report,
    /// How many there were.
    pub count: u32,
    /// How many of them found nothing.
    pub healthy: u32,
    /// How long those took that found nothing, each from its first step to its last: sorted.
    times: Vec<Duration>,
}

impl Rounds {
    /// The first of them.
    pub fn of(report: Report) -> Self {
        let mut rounds = Self {
            report: report.clone(),
            count: 0,
            healthy: 0,
            times: Vec::new(),
        };
        rounds.add(report);
        rounds
    }

    /// Another of them.
    pub fn add(&mut self, report: Report) {
        self.count += 1;
        if report.cause == Cause::Healthy {
            self.healthy += 1;
            let time = report.time();
            let place = self.times.partition_point(|&t| t <= time);
            self.times.insert(place, time);
        }
        if self.report.cause == Cause::Healthy {
            self.report = report;
        }
    }

    /// The time within which some hundredths of those that found nothing were done: the nearest
    /// rank. `None` when there were none.
    pub fn percentile(&self, hundredths: u32) -> Option<Duration> {
        let count = u32::try_from(self.times.len()).ok()?;
        let rank = (count * hundredths).div_ceil(100).max(1);
        self.times.get(usize::try_from(rank).ok()? - 1).copied()
    }
}

impl Report {
    /// How long all steps took together.
    pub fn time(&self) -> Duration {
        let tried = self.steps.iter();
        let tried = tried.filter(|step| step.result != StepResult::Skipped);
        tried.map(|step| step.time).sum()
    }
}
