//! `demo`: a tunnel on this machine, to look at.

use std::io::{self, Write};
use std::time::Duration;

use ambient_runtime::log::{Log, LogOptions};
use tempfile::NamedTempFile;
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval};

use crate::demo::{Demo, Memory};
use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::render::demo as view;

use super::output::Output;

/// How often a connection goes through the tunnel while somebody looks.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn demo(once: bool, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    // It goes with the program.
    let file = tempfile::Builder::new()
        .prefix("kubectl-ambient-demo-")
        .suffix(".log")
        .tempfile()
        .map_err(ExpectedError::Log)?;
    let memory = Memory::default();
    let both = Both {
        file: file.reopen().map_err(ExpectedError::Log)?,
        memory: memory.clone(),
    };
    let log = Log::start(both, LogOptions::default()).map_err(ExpectedError::Log)?;
    // Fails where the program is a part of another that has one, and then says more than it has to.
    _ = log.install();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ExpectedError::Runtime)?;
    runtime.block_on(async {
        tokio::select! {
            shown = show(once, &log, memory, &file, output) => shown,
            // Before there is something to end, or while it is checked.
            Ok(()) = async { Ends::listen()?.told().await }, if once => Ok(Exit::Interrupted),
        }
    })
}

async fn show(
    once: bool,
    log: &Log,
    memory: Memory,
    file: &NamedTempFile,
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let demo = Demo::start(log, memory).await?;
    let places = demo.places();
    output.answer(&(view::places(&places, output.style()) + "\n"))?;
    let checks = demo.check(log).await;
    output.answer(&view::checks(&checks, output.style()))?;
    if !once {
        // Listens before anybody is told that it does.
        let end = Ends::listen();
        let look = view::where_to_look(&places, demo.entrance(), file.path());
        output.answer(&format!("\n{look}"))?;
        go_on(&demo, end).await;
    }
    let left = demo.end().await;
    output.answer(&view::ended(&left.to_string()))?;
    let is_good = checks.iter().all(|check| check.seen.is_ok()) && left.is_empty();
    Ok(if is_good { Exit::Done } else { Exit::Found })
}

/// Until somebody has seen enough. What does not come back is in the log and in the metrics.
async fn go_on(demo: &Demo, end: io::Result<Ends>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let traffic = async {
        loop {
            ticks.tick().await;
            _ = demo.send_a_little().await;
        }
    };
    tokio::select! {
        () = traffic => {}
        // Where it cannot be listened for, an interruption ends the program as ever.
        Ok(()) = async { end?.told().await } => {}
    }
}

/// What ends the program: Ctrl-C, and the system.
#[cfg(unix)]
struct Ends([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Ends {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let [interrupted, terminated] = kinds.map(signal);
        Ok(Self([interrupted?, terminated?]))
    }

    async fn told(mut self) -> io::Result<()> {
        let [interrupted, terminated] = &mut self.0;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        Ok(())
    }
}

#[cfg(not(unix))]
struct Ends;

#[cfg(not(unix))]
impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn told(self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}

/// Writes to both.
struct Both<F> {
    file: F,
    memory: Memory,
}

impl<F: Write> Write for Both<F> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = self.file.write(octets)?;
        if let Some(written) = octets.get(..count) {
            self.memory.write_all(written)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
