//! Placeholder: the interface of the connectivity analysis.
#![allow(missing_docs, clippy::missing_errors_doc, reason = "placeholder")]

use crate::model::{ObjectRef, Origin, World};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Plaintext,
    Tunnel,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connectivity {
    pub connections: Vec<Connection>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub source: String,
    pub destination: String,
    pub connections: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub source: String,
    pub destination: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub source: String,
    pub destination: String,
    pub allowed: String,
    pub egress: Side,
    pub ingress: Side,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub allowed: String,
    pub tier: String,
    pub because: String,
    pub rules: Vec<RuleUse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    pub policy: ObjectRef,
    pub rule: usize,
    pub origin: Origin,
    pub allows: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownParty {
    pub name: String,
    pub similar: Vec<String>,
}

pub fn connectivity(_world: &World, _mode: Mode) -> Connectivity {
    Connectivity::default()
}

pub fn difference(_before: &World, _after: &World, _mode: Mode) -> Vec<Difference> {
    Vec::new()
}

pub fn explain(
    _world: &World,
    _mode: Mode,
    source: &str,
    _destination: &str,
    _port: Option<(u16, &str)>,
) -> Result<Explanation, UnknownParty> {
    Err(UnknownParty {
        name: source.to_owned(),
        similar: Vec::new(),
    })
}
