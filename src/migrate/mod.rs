//! Placeholder: the interface of the planner.
#![allow(missing_docs, reason = "placeholder")]

use crate::model::World;
use crate::plan::Plan;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub namespaces: Vec<String>,
    pub exclude: Vec<String>,
    pub waypoints: Vec<WaypointRequest>,
    pub cni: Cni,
    pub authz: AuthzMode,
    pub strategy: Strategy,
    pub enroll: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaypointRequest {
    pub name: String,
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cni {
    #[default]
    Auto,
    Named(String),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthzMode {
    #[default]
    Deny,
    Allow,
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    #[default]
    Edit,
    Companion,
}

pub fn plan(_world: &World, _options: &Options) -> Plan {
    Plan::default()
}
