//! The plan: what is to be changed, in which order, and why it is safe.
//!
//! The plan that is shown is the plan that is applied: `render` and `sink` take this and nothing
//! else. Pure data; the module does not know how a plan is made.

mod body;
mod edit;
mod proof;

use crate::finding::Finding;
use crate::model::{ObjectRef, Origin};

pub use body::Body;
pub use edit::{DisplayPath, Edit, EditError, Path, Segment};
pub use proof::{Comparison, Proof, Relation, Verdict};

/// What is to be done to move the workloads of a world to ambient mesh.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What happens to each namespace, sorted by name.
    pub namespaces: Vec<NamespacePlan>,
    /// The changes, in the order in which they are to be applied.
    pub steps: Vec<Step>,
    /// What has to be known or decided, sorted.
    pub findings: Vec<Finding>,
    /// Before against after.
    pub proof: Proof,
}

impl Plan {
    /// All changes in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().flat_map(|s| &s.changes)
    }
}

/// What happens to one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePlan {
    /// Name.
    pub name: String,
    /// Whether the plan enrols it; if not, [`Self::reason`] says why.
    pub enrolled: bool,
    /// Whether it carries the enrolment label already.
    pub labelled: bool,
    /// Why it is left out; empty when it is not.
    pub reason: String,
    /// How many endpoints will speak through the tunnel.
    pub in_mesh: usize,
    /// Endpoints that stay out, as printed, with the reason.
    pub staying_out: Vec<(String, String)>,
    /// The waypoint that serves it, `namespace/name`.
    pub waypoint: Option<String>,
}

/// Changes that may be applied together.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What kind of step it is.
    pub kind: StepKind,
    /// The changes, sorted by object.
    pub changes: Vec<Change>,
    /// Commands that do the rest of the step on a cluster, when no file holds the object.
    pub commands: Vec<String>,
}

/// Kinds of steps, in their order: opening before closing before moving, and going through waypoints
/// when all that is behind them has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// Open the tunnel port in network policies.
    OpenTunnel,
    /// Put the port limits back as authorization policies.
    RestorePorts,
    /// Label namespaces and pods.
    Enrol,
    /// Send through waypoints.
    UseWaypoints,
}

/// One change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The object.
    pub object: ObjectRef,
    /// One sentence that says why.
    pub reason: String,
    /// What is changed.
    pub action: ChangeAction,
}

/// What is done to the object of a [`Change`].
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeAction {
    /// Insert into an object that the input holds.
    Edit {
        /// Where the object is.
        origin: Origin,
        /// The insertions, paths relative to the object.
        edits: Vec<Edit>,
        /// An object that has the same effect beside the unchanged one, where there is such.
        companion: Option<Body>,
    },
    /// Add an object.
    Create {
        /// The whole object.
        body: Body,
        /// The object that it accompanies, whose file it is put beside.
        beside: Origin,
    },
    /// Replace an object that this program wrote before.
    Replace {
        /// Where the object is.
        origin: Origin,
        /// The whole new object.
        body: Body,
    },
}
