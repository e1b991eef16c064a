//! One that comes, and how it is told.

use std::sync::Arc;

use super::admission::Place;
use crate::migrate::proof::strangers::{Change, Gain};
use crate::migrate::setting::fewest::shown;
use crate::model::Labels;
use crate::netpol::{Node, PortSet};
use crate::plan::Relation;

/// A pod that the input does not hold, with no labels but those that a rule asks for.
pub(super) struct Newcomer<'a> {
    pub(super) place: &'a Place,
    pub(super) labels: Arc<Labels>,
}

impl Newcomer<'_> {
    /// What it gains of some workloads.
    pub(super) fn gain(
        &self,
        class: Node,
        workloads: &[usize],
        relation: Relation,
        before: PortSet,
        after: &PortSet,
    ) -> Gain {
        Gain {
            class,
            workloads: workloads.to_vec(),
            relation,
            gained: after.difference(&before),
            before,
            source: self.to_string(),
            change: if self.place.is_known {
                Change::GainedByNewcomer
            } else {
                Change::GainedFromElsewhere
            },
        }
    }
}

impl std::fmt::Display for Newcomer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place {
            namespace,
            is_known,
        } = self.place;
        let other = if *is_known { "other " } else { "" };
        write!(f, "{namespace}/(any {other}pod")?;
        if !self.labels.is_empty() {
            write!(f, " with {}", shown(&self.labels))?;
        }
        write!(f, ")")
    }
}
