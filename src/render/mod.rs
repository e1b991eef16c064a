//! Results as text, for people and for machines.
//!
//! The only module that knows formats, layout and colour. Every function is pure: data and a
//! [`Style`] in, text out. It must not know how a result was made, nor where the text goes.

pub mod demo;
pub mod diagnosis;
mod diff;
mod document;
mod format;
mod github;
mod input;
mod inventory;
mod markdown;
mod message;
mod plan;
pub mod policy;
mod report;
mod sarif;
mod table;
mod text;

pub use diff::{diff, diff_summary, differs};
pub use document::API_VERSION;
pub use format::{Format, failed_report, report};
pub use input::{notes, problems};
pub use inventory::Inventory;
pub use markdown::markdown;
pub use message::{bug, code, codes, failure, hint, next, version, version_json, warning};
pub use report::{ChangeCounts, Entry, Failure, FindingCounts, Outcome, Report};
pub use text::Style;

#[cfg(test)]
mod tests;
