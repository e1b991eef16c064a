//! `diagnose`: what is the matter with tunnels.

mod input;
mod pace;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::ctrl_c;

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::probe::{Address, Cause, Options, Rounds};
use crate::render::diagnosis as view;
use crate::settings::Diagnose;

use super::output::{Output, Reader};
use pace::{Pace, Placed};

pub(super) fn diagnose(
    settings: &Diagnose,
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let addresses = input::addresses(settings, output)?;
    let options = Arc::new(input::options(settings)?);
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ExpectedError::Runtime)?;
    let prober = Prober {
        runtime: &runtime,
        addresses: &addresses,
        options: &options,
        pace: Pace {
            interval: settings.interval,
            count: settings.count,
        },
    };
    let exit = match settings.count {
        Some(count) => once(&prober, count, settings.json, output),
        None => watch(&prober, settings.json, output),
    };
    // A resolver that never answers must not keep the program from ending.
    runtime.shutdown_background();
    exit
}

/// Shows what was found when all is done, or what was found until then when it is interrupted.
fn once(
    prober: &Prober<'_>,
    count: u32,
    json: bool,
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let progress = progress(prober.addresses.len() as u64 * u64::from(count), output);
    let mut all: BTreeMap<usize, Rounds> = BTreeMap::new();
    let ended = prober.run(|(place, report)| {
        progress.inc(1);
        match all.get_mut(&place) {
            Some(rounds) => rounds.add(report),
            None => _ = all.insert(place, Rounds::of(report)),
        }
        Ok::<_, Infallible>(())
    });
    progress.finish_and_clear();
    let all: Vec<Rounds> = all.into_values().collect();
    if !all.is_empty() {
        let text = if json {
            view::json(&all)
        } else {
            view::table(&all, output.style())
        };
        output.answer(&text)?;
    }
    let is_healthy = |rounds: &Rounds| rounds.report.cause == Cause::Healthy;
    Ok(match ended {
        Ok(Ended::Interrupted) => Exit::Interrupted,
        Ok(Ended::Done) if all.iter().all(is_healthy) => Exit::Done,
        Ok(Ended::Done) => Exit::Found,
    })
}

/// Goes on until the program is interrupted, or nobody reads any more.
fn watch(prober: &Prober<'_>, json: bool, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let mut known: BTreeMap<usize, Cause> = BTreeMap::new();
    let ended = prober.run(|(place, report)| {
        if known.insert(place, report.cause) == Some(report.cause) {
            return Ok(());
        }
        let rounds = Rounds::of(report);
        let line = if json {
            view::json_line(&rounds)
        } else {
            view::line(&rounds, output.style())
        };
        match output.answer_part(&line) {
            Ok(Reader::Reads) => Ok(()),
            Ok(Reader::Gone) => Err(None),
            Err(error) => Err(Some(error)),
        }
    });
    match ended {
        Ok(Ended::Interrupted) => Ok(Exit::Interrupted),
        Ok(Ended::Done) | Err(None) => Ok(Exit::Done),
        Err(Some(error)) => Err(error),
    }
}

struct Prober<'r> {
    runtime: &'r Runtime,
    addresses: &'r [Address],
    options: &'r Arc<Options>,
    pace: Pace,
}

enum Ended {
    Done,
    Interrupted,
}

impl Prober<'_> {
    fn run<E>(&self, take: impl FnMut(Placed) -> Result<(), E>) -> Result<Ended, E> {
        self.runtime.block_on(async {
            tokio::select! {
                ended = pace::probe(self.addresses, self.options, self.pace, take) => {
                    ended.map(|()| Ended::Done)
                }
                // Where it cannot be listened for, an interruption ends the program as ever.
                Ok(()) = ctrl_c() => Ok(Ended::Interrupted),
            }
        })
    }
}

fn progress(total: u64, output: &Output<'_>) -> ProgressBar {
    let target = if output.error_style().terminal && total > 1 {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} probes");
    let bar = ProgressBar::with_draw_target(Some(total), target);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
