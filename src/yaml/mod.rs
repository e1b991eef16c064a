//! YAML and JSON text as a tree whose every node knows its place in the text.
//!
//! [`split`] cuts a stream into documents, [`split_json`] into JSON values, so that one bad document does not hide the others and
//! documents can be read in parallel; [`Document::parse`] reads one. Scalars keep their text and
//! style: what they mean is decided by whoever reads them ([`View::scalar`] gives kubectl's
//! reading). The module knows nothing of Kubernetes kinds.

mod compose;
mod json;
mod scalar;
mod split;
mod tree;

pub use compose::SyntaxError;
pub use json::split_json;
pub use scalar::Scalar;
pub use split::{Chunk, split};
pub use tree::{Document, NodeKind, Style, View};

/// The syntax of a text. JSON is read as YAML but must stay JSON when it is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// YAML, any number of documents.
    Yaml,
    /// JSON, one or more values.
    Json,
}
