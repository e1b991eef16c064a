//! What a process counts, for whoever scrapes it.

mod process;
mod workers;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use crate::accept::Failures;
use crate::log::Log;
use crate::tasks::Panics;

/// Content type of [`Exposition::OpenMetrics`] (OpenMetrics 1.0, section 4.1).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Content type of [`Exposition::Text`] (Prometheus, exposition formats).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a process. Everything is registered before it is shared, so that a part that runs
/// without its metrics does not compile.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
}

/// A form of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics, which Prometheus asks for first.
    OpenMetrics,
    /// What came before it.
    Text,
}

impl Metrics {
    /// The metrics that every process has: of itself and its workers, which are those of the runtime
    /// that this is called in, and of others.
    pub fn new(
        component: &'static str,
        version: &'static str,
        others: impl IntoIterator<Item = Handle>,
    ) -> Self {
        let mut metrics = Self::default();
        let registry = metrics.registry();
        registry.register_collector(Box::new(process::Process));
        registry.register_collector(Box::new(workers::Workers::of(others)));
        registry.register_collector(Box::new(Build { component, version }));
        metrics
    }

    /// Where a part registers its own.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Adds lines of the log that were dropped, and panics of tasks.
    pub fn watch(&mut self, log: Option<&Log>, panics: &Panics) {
        if let Some(log) = log {
            self.registry
                .register_collector(Box::new(OfLog(log.clone())));
        }
        self.registry
            .register_collector(Box::new(OfTasks(panics.clone())));
    }

    /// Adds how often listeners failed to accept, each under its name.
    pub fn watch_listeners(
        &mut self,
        listeners: impl IntoIterator<Item = (&'static str, Failures)>,
    ) {
        let listeners = listeners.into_iter().collect();
        self.registry
            .register_collector(Box::new(OfListeners(listeners)));
    }

    /// All of them, as text.
    pub fn expose(&self, exposition: Exposition) -> String {
        let mut text = String::new();
        let done = match exposition {
            Exposition::OpenMetrics => {
                prometheus_client::encoding::text::encode(&mut text, &self.registry)
            }
            Exposition::Text => {
                prometheus_client::encoding::prometheus_text::encode(&mut text, &self.registry)
            }
        };
        if done.is_err() {
            // A `String` takes everything, so a collector gave up.
            tracing::error!("metrics are incomplete");
        }
        text
    }
}

impl Exposition {
    /// What a client gets that accepts these types: the older form unless it names the newer one.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Its type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => OPEN_METRICS,
            Self::Text => TEXT,
        }
    }
}

/// Encodes a gauge without labels.
///
/// # Errors
///
/// When the encoder takes no more.
pub fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl EncodeGaugeValue + Copy,
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    encoder.encode_gauge(&value)
}

/// Encodes a counter without labels; `_total` is added to its name.
///
/// # Errors
///
/// When the encoder takes no more.
pub fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

/// Which program this is (Istio `pkg/version`, `istio_build`).
#[derive(Debug)]
struct Build {
    component: &'static str,
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    component: &'static str,
    tag: &'static str,
}

impl Collector for Build {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = BuildLabels {
            component: self.component,
            tag: self.version,
        };
        let help = "Istio component build info.";
        let mut metric = encoder.encode_descriptor("istio_build", help, None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(metric.encode_family(&labels)?)
    }
}

#[derive(Debug)]
struct OfLog(Log);

impl Collector for OfLog {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Lines of the log that were dropped because they could not be written.";
        counter(
            &mut encoder,
            "ambient_log_lines_dropped",
            help,
            self.0.dropped(),
        )
    }
}

#[derive(Debug)]
struct OfTasks(Panics);

impl Collector for OfTasks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Tasks that ended in a panic.";
        counter(&mut encoder, "ambient_task_panics", help, self.0.count())
    }
}

#[derive(Debug)]
struct OfListeners(Vec<(&'static str, Failures)>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfListener {
    listener: &'static str,
}

impl Collector for OfListeners {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How often a connection could not be accepted for want of something.";
        let name = "ambient_accept_failures";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (listener, failures) in &self.0 {
            let labels = OfListener { listener };
            ConstCounter::new(failures.count()).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
