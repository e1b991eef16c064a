//! What a relay says of its workload to other relays.

use ambient_hbone::headers::Baggage;

use crate::snapshot::Workload;

/// The baggage of a workload. What is not known is left out.
pub(super) fn baggage(workload: &Workload) -> Baggage {
    let known = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
    Baggage {
        cluster: known(&workload.cluster),
        namespace: known(&workload.name.namespace),
        workload: known(&workload.controller).map(|name| (workload.controller_kind, name)),
        service: known(&workload.canonical_name),
        version: known(&workload.canonical_revision),
        region: known(&workload.locality.region),
        zone: known(&workload.locality.zone),
    }
}
