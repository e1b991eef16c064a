//! Whether connections are the same as before: the comparison, and what it finds.

pub(super) mod authorizer;
pub(super) mod change;
pub(super) mod compare;
pub(super) mod differences;
pub(super) mod entering;
pub(super) mod newcomers;
pub(super) mod outcome;
pub(super) mod pairs;
pub(super) mod relations;
pub(super) mod sidecars;
pub(super) mod strangers;
pub(super) mod unplaced;
