//! Placeholder: the interface of the part that emits YAML.

use serde_json::Value;

/// Placeholder for kubectl-style YAML.
pub fn emit(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}
