//! `diagnose`: what is the matter with tunnels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::descriptors;
use ambient_identity::{Credentials, Roots};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::probe::{self, Address, Cause, Options, Report, Rounds};
use crate::render::diagnosis as view;
use crate::settings::Diagnose;

use super::output::Output;

/// Probes at a time, at most: each has one connection.
const AT_ONCE: usize = 1000;
/// Descriptors that are needed for other things than probes.
const OTHERS: usize = 32;
/// The longest file of addresses, certificates or keys, in octets.
const LONGEST_FILE: u64 = 16 << 20;

pub(super) fn diagnose(
    settings: &Diagnose,
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let addresses = addresses(settings, output)?;
    let options = Arc::new(options(settings)?);
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ExpectedError::Runtime)?;
    let prober = Prober {
        runtime: &runtime,
        options,
        at_once: descriptors(AT_ONCE + OTHERS).saturating_sub(OTHERS).max(1),
    };
    let exit = match settings.count {
        Some(count) => once(&prober, settings, &addresses, count, output),
        None => watch(&prober, settings, &addresses, output),
    };
    // A resolver that never answers must not keep the program from ending.
    runtime.shutdown_background();
    exit
}

fn once(
    prober: &Prober<'_>,
    settings: &Diagnose,
    addresses: &[Address],
    count: u32,
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let total = addresses.len() as u64 * u64::from(count);
    let progress = progress(total, output);
    let mut all: BTreeMap<usize, Rounds> = BTreeMap::new();
    for round in 0..count {
        if round > 0 {
            prober.wait(settings.interval);
        }
        prober.round(addresses, |place, report| {
            progress.inc(1);
            match all.get_mut(&place) {
                Some(rounds) => rounds.add(report),
                None => _ = all.insert(place, Rounds::of(report)),
            }
        });
    }
    progress.finish_and_clear();
    let all: Vec<Rounds> = all.into_values().collect();
    let text = if settings.json {
        view::json(&all)
    } else {
        view::table(&all, output.style())
    };
    output.answer(&text)?;
    let is_healthy = |rounds: &Rounds| rounds.report.cause == Cause::Healthy;
    Ok(if all.iter().all(is_healthy) {
        Exit::Done
    } else {
        Exit::Found
    })
}

/// Goes on until the program is interrupted, or nobody reads any more.
fn watch(
    prober: &Prober<'_>,
    settings: &Diagnose,
    addresses: &[Address],
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let mut known: BTreeMap<usize, Cause> = BTreeMap::new();
    loop {
        let mut changed: BTreeMap<usize, Rounds> = BTreeMap::new();
        prober.round(addresses, |place, report| {
            if known.insert(place, report.cause) != Some(report.cause) {
                changed.insert(place, Rounds::of(report));
            }
        });
        for rounds in changed.into_values() {
            let line = if settings.json {
                view::json_line(&rounds)
            } else {
                view::line(&rounds, output.style())
            };
            output.answer(&line)?;
        }
        prober.wait(settings.interval);
    }
}

struct Prober<'r> {
    runtime: &'r Runtime,
    options: Arc<Options>,
    at_once: usize,
}

impl Prober<'_> {
    fn wait(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// Probes every address once, and hands over each report as it comes, with the place of its
    /// address.
    fn round(&self, addresses: &[Address], mut done: impl FnMut(usize, Report)) {
        self.runtime.block_on(async {
            let permits = Arc::new(Semaphore::new(self.at_once));
            let mut probes = JoinSet::new();
            for (place, address) in addresses.iter().cloned().enumerate() {
                let options = Arc::clone(&self.options);
                let permits = Arc::clone(&permits);
                probes.spawn(async move {
                    // Nobody closes the semaphore.
                    let _permit = permits.acquire().await;
                    (place, probe::run(address, &options).await)
                });
            }
            while let Some(report) = probes.join_next().await {
                match report {
                    Ok((place, report)) => done(place, report),
                    // Nobody cancels a probe.
                    Err(error) => {
                        if let Ok(panic) = error.try_into_panic() {
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
            }
        });
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

fn options(settings: &Diagnose) -> Result<Options, ExpectedError> {
    let credentials = match &settings.credentials {
        None => None,
        Some((chain, key)) => {
            let (chain_text, key_text) = (read("--cert", chain)?, read("--key", key)?);
            let credentials = Credentials::from_pem(&chain_text, &key_text);
            Some(credentials.map_err(|error| {
                let of_key = error.is_of_key();
                let (flag, path) = if of_key {
                    ("--key", key)
                } else {
                    ("--cert", chain)
                };
                unusable(flag, path, &error)
            })?)
        }
    };
    let roots = match &settings.roots {
        None => None,
        Some(path) => {
            let roots = Roots::from_pem(&read("--root", path)?);
            Some(roots.map_err(|error| unusable("--root", path, &error))?)
        }
    };
    Ok(Options {
        credentials,
        roots,
        expected: settings.expected.clone(),
        target: settings.target,
        timeout: settings.timeout,
        sizes: settings.sizes.clone(),
    })
}

fn unusable(flag: &'static str, path: &Path, reason: &impl ToString) -> ExpectedError {
    ExpectedError::UnusableFile {
        flag,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// All addresses that are asked for, each once.
fn addresses(settings: &Diagnose, output: &mut Output<'_>) -> Result<Vec<Address>, ExpectedError> {
    let mut addresses = settings.addresses.clone();
    for path in &settings.lists {
        let text = if path.as_os_str() == "-" {
            whole(output.stdin()).map_err(|source| unreadable("-f", path, source))?
        } else {
            read("-f", path)?
        };
        let text =
            String::from_utf8(text).map_err(|_| unusable("-f", path, &"it is not UTF-8 text"))?;
        for (place, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let address = line.parse().map_err(|error: probe::ParseAddressError| {
                // The line itself is not shown: it could be one of a key.
                let (line, reason) = (place + 1, error.reason());
                unusable("-f", path, &format!("line {line} is no address: {reason}"))
            })?;
            addresses.push(address);
        }
    }
    let mut known = BTreeSet::new();
    addresses.retain(|address| known.insert(address.clone()));
    if addresses.is_empty() {
        return Err(ExpectedError::NoAddresses(settings.lists.clone()));
    }
    Ok(addresses)
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, ExpectedError> {
    if path.to_string_lossy().contains('\n') {
        // Nor is this: it is the text of a file, and perhaps of a key.
        let reason = "it is text, and not the path of a file";
        return Err(unusable(flag, Path::new("…"), &reason));
    }
    let text = fs::File::open(path).and_then(|mut file| whole(&mut file));
    text.map_err(|source| unreadable(flag, path, source))
}

/// All that there is to read, unless that is too much.
fn whole(from: &mut dyn io::Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(text)
}

fn unreadable(flag: &'static str, path: &Path, source: io::Error) -> ExpectedError {
    ExpectedError::UnreadableFile {
        flag,
        path: path.to_owned(),
        source,
    }
}
