//! Profiles of this process: where its threads spend the processor's time. A signal of the kernel's
//! timer interrupts whoever is at work, so that what is not profiled costs nothing.

mod encode;
mod room;

use std::time::{Duration, UNIX_EPOCH};

use ambient_runtime::admin::Sampling;
use pprof::{Error, Frames, ProfilerGuard, ProfilerGuardBuilder, Report, Symbol};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use encode::{Function, Profile, Stack};

/// Where no stack is looked at: the one that does it is not to be interrupted by itself, and the
/// kernel's code does not always say what called it.
const PASSED_OVER: [&str; 2] = ["libgcc", "vdso"];

/// What the profiler's own functions are called, which are on top of every stack.
const OF_PROFILER: [&str; 4] = ["pprof::", "<pprof::", "backtrace::", "<backtrace::"];

/// Takes a profile in the form of pprof.
///
/// # Errors
///
/// Why there is none.
pub(crate) async fn take(sampling: Sampling) -> Result<Vec<u8>, String> {
    // It sets up some memory, and looks at the program, which takes a while.
    let guard = apart(move || start(sampling.frequency)).await?;
    sleep(sampling.duration).await;
    apart(move || finish(&guard, sampling.frequency)).await
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(error.to_string()),
    }
}

fn start(frequency: u16) -> Result<ProfilerGuard<'static>, String> {
    room::look(room::LIMITS.as_ref())?;
    let builder = ProfilerGuardBuilder::default().frequency(frequency.into());
    let builder = builder.blocklist(&PASSED_OVER);
    let guard = builder.build().map_err(|error| match error {
        // Stacks that it does not expect go there.
        Error::CreatingError => "it needs a folder for temporary files: set `TMPDIR`".to_owned(),
        other => other.to_string(),
    })?;
    room::take();
    Ok(guard)
}

fn finish(guard: &ProfilerGuard<'_>, frequency: u16) -> Result<Vec<u8>, String> {
    let report = guard.report().build().map_err(|error| error.to_string())?;
    let profile = profile(&report, frequency).encode();
    encode::gzip(&profile).map_err(|error| error.to_string())
}

fn profile(report: &Report, frequency: u16) -> Profile {
    let stacks = report.data.iter().map(|(frames, samples)| Stack {
        thread: frames.thread_name_or_id(),
        calls: calls(frames),
        samples: u64::try_from(*samples).unwrap_or(0),
    });
    let mut stacks: Vec<_> = stacks.collect();
    stacks.sort();
    let begun = report.timing.start_time.duration_since(UNIX_EPOCH);
    Profile {
        stacks,
        begun: begun.unwrap_or_default(),
        lasted: report.timing.duration,
        period: Duration::from_secs(1) / u32::from(frequency.max(1)),
    }
}

/// What was called at each place of the stack, with what the compiler put in there, from whoever was
/// interrupted on.
fn calls(frames: &Frames) -> Vec<Vec<Function>> {
    let function = |symbol: &Symbol| Function {
        name: symbol.name(),
        symbol: symbol.sys_name().into_owned(),
        file: symbol.filename().into_owned(),
        line: symbol.lineno(),
    };
    let calls = frames.frames.iter();
    let calls = calls.map(|symbols| symbols.iter().map(function).collect());
    let mut calls: Vec<Vec<_>> = calls.collect();
    let is_of_profiler = |call: &Vec<Function>| {
        let mut names = call.iter().map(|function| &function.name);
        names.any(|name| OF_PROFILER.iter().any(|own| name.starts_with(own)))
    };
    if let Some(last) = calls.iter().rposition(is_of_profiler) {
        calls.drain(..=last);
    }
    calls
}
