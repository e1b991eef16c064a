//! Changes what is logged, by the parameters that istioctl sends: `level` and `reset`.

use http::StatusCode;

use super::page::{Answer, Ask};
use crate::log::{Filter, Log};

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
            Ok(changed) => {
                if let Some(scope) = stranger(log, &filter, &changed) {
                    let known = log.scopes().join("`, `");
                    return wrong(&format!(
                        "nothing is logged as `{scope}`: scopes begin with `{known}`"
                    ));
                }
                filter = changed;
            }
            Err(error) => return wrong(&error.to_string()),
        }
    }
    if filter != log.filter() {
        tracing::info!(%filter, "log level changed");
        log.set_filter(filter.clone());
    }
    Answer::text(StatusCode::OK, format!("current log level is {filter}\n"))
}

/// A new scope that nothing is logged by. Those that were there at first may be of a setting that other
/// programs have too.
fn stranger<'f>(log: &Log, before: &Filter, after: &'f Filter) -> Option<&'f str> {
    let is_strange = |scope: &str| {
        let first = scope.split("::").next().unwrap_or_default();
        !log.scopes().contains(&first) && before.scopes().all(|known| known != scope)
    };
    let mut scopes = after.scopes().filter(|_| !log.scopes().is_empty());
    scopes.find(|scope| is_strange(scope))
}

fn wrong(why: &str) -> Answer {
    let usage = "usage: POST /logging?level=LEVEL[,SCOPE=LEVEL…][&reset=true]";
    Answer::text(StatusCode::BAD_REQUEST, format!("{why}\n{usage}\n"))
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;

    use crate::admin::{Quit, Reply, administration};
    use crate::log::{Log, LogOptions};

    #[test]
    fn a_scope_that_nothing_is_logged_by_is_refused() {
        let options = LogOptions {
            filter: "warn,elsewhere=off".parse().unwrap(),
            scopes: &["access", "relay"],
            ..LogOptions::default()
        };
        let log = Log::start(std::io::sink(), options).unwrap();
        let site = administration(Some(log.clone()), Quit::default(), String::new);
        let told = [
            "nonsense=debug",
            "nonsense",
            "relay::pool=debug,relays=debug",
            "relay::pool=debug,elsewhere=info,ambient_relay=off,access:error",
        ];
        let told = told.map(|level| {
            let request = http::Request::post(format!("/logging?level={level}"));
            let (head, ()) = request.body(()).unwrap().into_parts();
            let Reply::Now(answer) = site.answer(&head) else {
                panic!("it is answered at once");
            };
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            format!(
                "{} {}",
                answer.status.as_u16(),
                body.lines().next().unwrap()
            )
        });
        let expected = [
            "400 nothing is logged as `nonsense`: scopes begin with `access`, `relay`",
            "400 `nonsense` is no level: use `off`, `error`, `warn`, `info`, `debug` or `trace`",
            "400 nothing is logged as `relays`: scopes begin with `access`, `relay`",
            "200 current log level is warn,access=error,elsewhere=info,relay=off,relay::pool=debug",
        ];
        assert_eq!(told, expected);
        assert_eq!(log.filter().level("access"), LevelFilter::ERROR);
    }
}
