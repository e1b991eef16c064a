//! Any query is answered, any filter that is read is shown as it is read again, and the log is left
//! with one of these.

use std::sync::LazyLock;

use ambient_runtime::admin::{Quit, Reply, Site, administration};
use ambient_runtime::log::{Filter, Log, LogOptions};
use http::{Method, Request, StatusCode};

/// One for all inputs: it has a thread.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::start(std::io::sink(), LogOptions::default());
    log.unwrap_or_else(|error| panic!("no log: {error}"))
});

static SITE: LazyLock<Site> =
    LazyLock::new(|| administration(Some(LOG.clone()), Quit::default(), String::new));

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(filter) = text.parse::<Filter>() {
        assert_eq!(filter.to_string().parse(), Ok(filter));
    }
    let request = Request::builder().method(Method::POST);
    let Ok(request) = request.uri(format!("/logging?{text}")).body(()) else {
        return;
    };
    let (head, ()) = request.into_parts();
    let Reply::Now(answer) = SITE.answer(&head) else {
        panic!("it is answered at once");
    };
    let filter = LOG.filter();
    match answer.status {
        StatusCode::OK => assert_eq!(answer.body, format!("current log level is {filter}\n")),
        status => assert_eq!(status, StatusCode::BAD_REQUEST),
    }
    assert_eq!(filter.to_string().parse(), Ok(filter));
}
