//! What the workers of tokio do, under ztunnel's names (its `src/metrics/tokio.rs`).

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::gauge;

/// The runtime that the metrics were made in, wherever a scrape is answered.
#[derive(Debug)]
pub(super) struct Workers(Option<Handle>);

impl Workers {
    pub(super) fn here() -> Self {
        Self(Handle::try_current().ok())
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(handle) = &self.0 else {
            return Ok(());
        };
        let metrics = handle.metrics();
        let help = "Number of worker threads of the runtime.";
        gauge(
            &mut encoder,
            "tokio_num_workers",
            help,
            metrics.num_workers(),
        )?;
        let help = "Number of tasks that wait in the queue that all workers share.";
        let depth = metrics.global_queue_depth();
        gauge(&mut encoder, "tokio_global_queue_depth", help, depth)?;
        let help = "Number of tasks that have not ended.";
        gauge(
            &mut encoder,
            "tokio_num_alive_tasks",
            help,
            metrics.num_alive_tasks(),
        )?;
        let help = "Time that a worker was busy.";
        let name = "tokio_worker_total_busy_duration_seconds";
        each(&mut encoder, (name, help), &metrics, |worker| {
            metrics.worker_total_busy_duration(worker).as_secs_f64()
        })?;
        let help = "How often a worker went to sleep.";
        each(
            &mut encoder,
            ("tokio_worker_park_count", help),
            &metrics,
            |worker| metrics.worker_park_count(worker),
        )?;
        let help = "How often a worker went to sleep or woke up.";
        each(
            &mut encoder,
            ("tokio_worker_park_unpark_count", help),
            &metrics,
            |worker| metrics.worker_park_unpark_count(worker),
        )
    }
}

/// A counter of each worker.
fn each<N>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    metrics: &RuntimeMetrics,
    value: impl Fn(usize) -> N,
) -> fmt::Result
where
    ConstCounter<N>: EncodeMetric,
{
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for worker in 0..metrics.num_workers() {
        let labels = [("worker", worker.to_string())];
        ConstCounter::new(value(worker)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
