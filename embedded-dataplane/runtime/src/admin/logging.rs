//! Changes what is logged, by the parameters that istioctl sends: `level` and `reset`.

use http::StatusCode;

use super::page::{Answer, Ask};
use crate::log::Log;

/// `?reset=true` goes back to what was logged at first, `?level=debug,access=off` adds to what is
/// logged or to that; both at once do it in this order. Tells what is logged then.
pub(super) fn change(log: &Log, ask: &Ask<'_>) -> Answer {
    let mut filter = log.filter();
    match ask.parameter("reset").as_deref() {
        Some("" | "true") => filter = log.first_filter().clone(),
        None | Some("false") => {}
        Some(other) => return wrong(&format!("`{other}` is neither `true` nor `false`")),
    }
    if let Some(level) = ask.parameter("level") {
        match filter.with(&level) {
            Ok(changed) => filter = changed,
            Err(error) => return wrong(&error.to_string()),
        }
    }
    if filter != log.filter() {
        tracing::info!(%filter, "log level changed");
        log.set_filter(filter.clone());
    }
    Answer::text(StatusCode::OK, format!("current log level is {filter}\n"))
}

fn wrong(why: &str) -> Answer {
    let usage = "usage: POST /logging?level=LEVEL[,SCOPE=LEVEL…][&reset=true]";
    Answer::text(StatusCode::BAD_REQUEST, format!("{why}\n{usage}\n"))
}
