//! Placeholder: the interface of the connectivity analysis.
#![allow(missing_docs, reason = "placeholder")]

use crate::model::World;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Plaintext,
    Tunnel,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connectivity {
    pub lines: Vec<(String, String, String)>,
}

pub fn connectivity(_world: &World, _mode: Mode) -> Connectivity {
    Connectivity::default()
}
