//! What the parties of a comparison are called.

use std::collections::BTreeSet;

use super::Analysis;
use crate::netpol::Node;

/// The endpoints of a node, or the address range, as printed.
pub(crate) fn names(analysis: &Analysis<'_, '_>, node: Node) -> Vec<String> {
    names_of(analysis, node, None)
}

/// The same for some workloads of a node.
pub(crate) fn names_of(
    analysis: &Analysis<'_, '_>,
    node: Node,
    some: Option<&[usize]>,
) -> Vec<String> {
    let Some(class) = analysis.universe.classes().get(node) else {
        let place = node - analysis.universe.classes().len();
        return analysis
            .universe
            .address_ranges()
            .get(place)
            .map(ToString::to_string)
            .into_iter()
            .collect();
    };
    let workloads = some.unwrap_or(&class.workloads);
    let names: BTreeSet<String> = workloads
        .iter()
        .filter_map(|&w| name_of(analysis, w))
        .collect();
    names.into_iter().collect()
}

/// The endpoint of a workload, as printed.
pub(crate) fn name_of(analysis: &Analysis<'_, '_>, workload: usize) -> Option<String> {
    let setting = analysis.setting;
    if setting.is_imagined(workload) {
        let workload = setting.world.workloads.get(workload)?;
        return Some(format!(
            "{}/pods with {}",
            workload.meta.namespace, workload.meta.name
        ));
    }
    let endpoint = setting.endpoints.of_workload(workload)?;
    setting.endpoints.get(endpoint).map(ToString::to_string)
}
