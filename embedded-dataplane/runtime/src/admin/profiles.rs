//! Profiles of the processor's time, by the parameters of ztunnel's page (its `src/admin.rs`):
//! `seconds` and `frequency`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::sync::Semaphore;

use super::page::{Answer, Ask, Reply, Site};

/// How long samples may be taken. Whoever has gone away is not noticed before that is over.
const SECONDS: RangeInclusive<u16> = 1..=60;

/// How often samples may be taken.
const FREQUENCY: RangeInclusive<u16> = 1..=1000;

/// Content type of a profile, as that of Go's `net/http/pprof`.
const PROFILE: &str = "application/octet-stream";

/// What is asked of a profiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// How long samples are taken.
    pub duration: Duration,
    /// How many are taken in a second of the processor's time.
    pub frequency: u16,
}

impl Sampling {
    /// What is asked for; what is wrong with it.
    fn asked(ask: &Ask<'_>) -> Result<Self, String> {
        let seconds = number(ask, "seconds", 10, &SECONDS)?;
        let frequency = number(ask, "frequency", 100, &FREQUENCY)?;
        Ok(Self {
            duration: Duration::from_secs(seconds.into()),
            frequency,
        })
    }
}

fn number(
    ask: &Ask<'_>,
    name: &str,
    default: u16,
    range: &RangeInclusive<u16>,
) -> Result<u16, String> {
    let Some(text) = ask.parameter(name) else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (least, most) = range.clone().into_inner();
    number.ok_or_else(|| format!("`{name}={text}`: take {least} to {most}"))
}

/// Gives profiles in the form of pprof, which `sample` takes, one at a time. Its work ends by itself
/// soon after the time that was asked for, or when it is dropped.
pub fn profiles<W>(sample: impl Fn(Sampling) -> W + Send + Sync + 'static) -> Site
where
    W: Future<Output = Result<Vec<u8>, String>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(1));
    let profile = move |ask: &Ask<'_>| {
        let sampling = match Sampling::asked(ask) {
            Ok(sampling) => sampling,
            Err(why) => {
                let usage = "usage: GET /debug/pprof/profile[?seconds=NUMBER][&frequency=NUMBER]";
                let text = format!("{why}\n{usage}\n");
                return Reply::Now(Answer::text(StatusCode::BAD_REQUEST, text));
            }
        };
        if ask.is_head() {
            return Reply::Now(Answer::of(StatusCode::OK, PROFILE, Vec::new()));
        }
        let Ok(alone) = Arc::clone(&free).try_acquire_owned() else {
            let text = "a profile is being taken: ask again when that is over\n";
            return Reply::Now(Answer::text(StatusCode::CONFLICT, text));
        };
        let sampled = sample(sampling);
        Reply::Later(Box::pin(async move {
            let sampled = sampled.await;
            drop(alone);
            match sampled {
                Ok(profile) => Answer::of(StatusCode::OK, PROFILE, profile),
                Err(why) => {
                    let text = format!("no profile: {why}\n");
                    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, text)
                }
            }
        }))
    };
    Site::new("profiles").page("/debug/pprof/profile", &[Method::GET], profile)
}
