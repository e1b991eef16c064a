//! Writing whole objects.

use serde_json::Value;

use super::block::{Block, Nesting};

/// Writes a value as a YAML document, as kubectl prints objects: two columns of indentation,
/// dashes below their key, keys in their order. Every string is written so that readers of YAML
/// 1.1 and of 1.2 get the same string back. Ends with a line break.
pub fn emit(value: &Value) -> String {
    let block = Block {
        example: None,
        nesting: Nesting::KUBECTL,
        line_ending: "\n",
    };
    let mut out = String::new();
    block.value(&mut out, value, None, 0);
    out.push('\n');
    out
}

/// Writes values as documents of one stream.
pub fn emit_documents(values: &[Value]) -> String {
    let documents: Vec<String> = values.iter().map(emit).collect();
    documents.join("---\n")
}
