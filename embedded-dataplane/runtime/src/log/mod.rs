//! What a process says while it works: events with fields, as lines.
//!
//! Whoever logs is never held up. Lines wait in memory, bounded, for a thread that writes them; what
//! finds no room is counted and dropped, and the log says so once when it goes on. Levels change
//! while the process runs, for all scopes or for one.

mod filter;
mod format;
mod queue;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

pub use self::filter::{Filter, FilterError};
use self::format::{Around, Fields};
pub use self::format::{Format, FormatError};
use self::queue::Queue;

/// The most octets of lines that wait to be written, by default.
pub const CAPACITY: usize = 1024 * 1024;

/// The longest that a panic waits for what was logged before it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The shape of its lines.
    pub format: Format,
    /// What is logged at first, and after a reset.
    pub filter: Filter,
    /// The most octets of lines that wait to be written. What is being written takes as much again.
    pub capacity: usize,
    /// Tells the time of day.
    pub now: fn() -> SystemTime,
    /// What scopes of events begin with; empty where that is not known.
    pub scopes: &'static [&'static str],
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: Format::default(),
            filter: Filter::default(),
            capacity: CAPACITY,
            now: SystemTime::now,
            scopes: &[],
        }
    }
}

/// The log of a process, for whoever changes and ends it. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: LogOptions,
    filter: RwLock<Filter>,
    queue: Queue,
    /// Where panics were that were told.
    told: Mutex<BTreeSet<String>>,
}

/// A log for the whole process is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process has a log already")]
pub struct Installed;

impl Log {
    /// Starts a log that writes to a writer, in a thread of its own. Nothing goes into it before it is
    /// [installed](Self::install), or its [subscriber](Self::subscriber) is used.
    ///
    /// # Errors
    ///
    /// When the system has no room for the thread.
    pub fn start(writer: impl Write + Send + 'static, options: LogOptions) -> io::Result<Self> {
        let (format, now) = (options.format, options.now);
        let tell = move |dropped: u64, why: &str| of_ours(format, now(), dropped, why);
        let inner = Inner {
            queue: Queue::start(writer, options.capacity, tell)?,
            filter: RwLock::new(options.filter.clone()),
            told: Mutex::default(),
            options,
        };
        let inner = Arc::new(inner);
        Ok(Self { inner })
    }

    /// Makes it the log of the process.
    ///
    /// # Errors
    ///
    /// When there is one already.
    pub fn install(&self) -> Result<(), Installed> {
        tracing::subscriber::set_global_default(self.subscriber()).map_err(|_| Installed)
    }

    /// Has panics of the process logged, instead of written to standard error: the first at each
    /// place of the program, because whoever is outside may bring about many.
    pub fn take_panics(&self) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| log.panicked(panic)));
    }

    /// What events go to.
    pub fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(Lines(Arc::clone(&self.inner)))
    }

    /// What is logged.
    pub fn filter(&self) -> Filter {
        self.inner.filter().clone()
    }

    /// Changes what is logged, from now on.
    pub fn set_filter(&self, filter: Filter) {
        *self
            .inner
            .filter
            .write()
            .unwrap_or_else(PoisonError::into_inner) = filter;
        tracing::callsite::rebuild_interest_cache();
    }

    /// What was logged at first.
    pub fn first_filter(&self) -> &Filter {
        &self.inner.options.filter
    }

    /// What scopes of events begin with; empty where that is not known.
    pub fn scopes(&self) -> &'static [&'static str] {
        self.inner.options.scopes
    }

    /// How many lines were dropped, because they could not be written in time or at all.
    pub fn dropped(&self) -> u64 {
        self.inner.queue.dropped()
    }

    /// Waits until everything is written, or for this long. Says whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        self.inner.queue.flush(patience)
    }

    fn panicked(&self, panic: &PanicHookInfo<'_>) {
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !self.inner.is_news(&at) {
            return;
        }
        let thread = std::thread::current();
        tracing::error!(
            at,
            thread = thread.name().unwrap_or_default(),
            error = panic.payload_as_str().unwrap_or("it has no message"),
            "panic"
        );
        self.flush(LAST_WORDS);
    }
}

impl Inner {
    fn filter(&self) -> std::sync::RwLockReadGuard<'_, Filter> {
        self.filter.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no panic at this place was told before.
    fn is_news(&self, at: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(at.to_owned())
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.filter().level(metadata.target()) >= *metadata.level()
    }
}

/// Makes lines of events.
#[derive(Debug)]
struct Lines(Arc<Inner>);

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// A level is known for each place that logs, and does not change until it is asked for anew.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.filter().most())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new(self.0.options.format);
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Inner { options, queue, .. } = &*self.0;
        let mut fields = Fields::new(options.format);
        event.record(&mut fields);
        let spans: Vec<_> = context
            .event_scope(event)
            .map(|scope| scope.from_root().collect())
            .unwrap_or_default();
        let extensions: Vec<_> = spans.iter().map(|span| span.extensions()).collect();
        let around = spans
            .iter()
            .zip(&extensions)
            .filter_map(|(span, extensions)| {
                let fields = extensions.get::<Fields>()?;
                let name = span.name();
                Some(Around { name, fields })
            });
        let around: Vec<_> = around.collect();
        let metadata = event.metadata();
        let scope = filter::shown(metadata.target());
        let mut line = String::with_capacity(512);
        format::line(
            &mut line,
            (options.now)(),
            *metadata.level(),
            scope,
            &around,
            &fields,
        );
        queue.push(&line);
    }
}

/// The line that tells of dropped ones.
fn of_ours(format: Format, now: SystemTime, dropped: u64, why: &str) -> String {
    let fields = Fields::dropped(format, dropped, why);
    let mut line = String::new();
    format::line(&mut line, now, Level::WARN, "log", &[], &fields);
    line
}

#[cfg(test)]
mod tests;
