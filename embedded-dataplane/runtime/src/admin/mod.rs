//! How a process is asked: HTTP/1.1 on three ports, each with few pages.
//!
//! | site | port | pages |
//! |---|---|---|
//! | [`readiness`] | 15021 | `/healthz/ready` |
//! | [`metrics`] | 15020 | `/metrics`, `/stats/prometheus` |
//! | [`administration`] | 15000, on the loopback address | `/`, `/config_dump`, `/logging`, `/quitquitquit` |
//! | [`profiles`] | the same | `/debug/pprof/profile` |

mod logging;
mod page;
mod profiles;
mod recent;
mod server;
mod thread;

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::sync::watch;

use crate::log::Log;
use crate::metrics::{Exposition, Metrics};
use crate::readiness::Readiness;

use self::recent::Recent;

pub use self::page::{Answer, Ask, Reply, Site};
pub use self::profiles::{Sampling, profiles};
pub use self::server::{Limits, serve};
pub use self::thread::Server;

/// Asks a process to end. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Quit {
    asked: Arc<watch::Sender<bool>>,
}

impl Quit {
    /// Asks for it.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Waits until it was asked for.
    pub async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        // Its sender is here, so it does not fail.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}

impl Default for Quit {
    fn default() -> Self {
        let asked = Arc::new(watch::Sender::new(false));
        Self { asked }
    }
}

/// Tells whether the process is ready.
pub fn readiness(readiness: Readiness) -> Site {
    Site::new("readiness").page("/healthz/ready", &[Method::GET], move |_| {
        let missing = readiness.missing();
        if missing.is_empty() {
            return Answer::text(StatusCode::OK, "ready\n");
        }
        let text = format!("not ready, waiting for: {}\n", missing.join(", "));
        // What ztunnel answers too (its `src/readiness/server.rs`).
        Answer::text(StatusCode::INTERNAL_SERVER_ERROR, text)
    })
}

/// Tells what is counted, or was a moment ago.
pub fn metrics(metrics: &Arc<Metrics>) -> Site {
    let of = |exposition| {
        let metrics = Arc::clone(metrics);
        Recent::new(move || metrics.expose(exposition))
    };
    let forms = Arc::new((of(Exposition::OpenMetrics), of(Exposition::Text)));
    let expose = || {
        let forms = Arc::clone(&forms);
        move |ask: &Ask<'_>| {
            let exposition = Exposition::accepted(ask.accept());
            let (open_metrics, text) = &*forms;
            let text = match exposition {
                Exposition::OpenMetrics => open_metrics.text(),
                Exposition::Text => text.text(),
            };
            Answer::of(StatusCode::OK, exposition.content_type(), text)
        }
    };
    Site::new("metrics")
        .page("/metrics", &[Method::GET], expose())
        .page("/stats/prometheus", &[Method::GET], expose())
}

/// Shows the configuration, which `dump` makes as JSON once for those who ask at about the same time,
/// and changes what is logged.
pub fn administration(
    log: Option<Log>,
    quit: Quit,
    dump: impl Fn() -> String + Send + Sync + 'static,
) -> Site {
    let dump = Recent::new(dump);
    let site = Site::new("admin")
        .page("/config_dump", &[Method::GET], move |_| {
            Answer::of(StatusCode::OK, "application/json", dump.text())
        })
        .page("/quitquitquit", &[Method::POST], move |_| {
            quit.ask();
            Answer::text(StatusCode::OK, "shutting down\n")
        });
    let site = match log {
        Some(log) => site.page("/logging", &[Method::POST], move |ask| {
            logging::change(&log, ask)
        }),
        None => site,
    };
    site.with_index()
}

#[cfg(test)]
mod tests;
