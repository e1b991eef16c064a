//! Neighbours as examples of style.

use serde_json::Value;

use crate::yaml::{NodeKind, Style, View};

use super::layout::Page;
use super::scalar::{self, Context, Quotes};

/// Whether a node is written with brackets or braces.
pub(super) fn is_flow(node: View<'_>) -> bool {
    node.kind() != NodeKind::Scalar && node.style() == Style::Flow && !node.is_alias()
}

/// The last item that is written out, or the last entry's value.
pub(super) fn last_child(node: View<'_>) -> Option<View<'_>> {
    let written = node.items().rev().find(|item| !item.is_alias());
    let item = written.or_else(|| node.items().next_back());
    item.or_else(|| node.written_entries().next_back().map(|(_, value)| value))
}

/// The value under a key as written, where the node is a mapping.
pub(super) fn child<'d>(node: Option<View<'d>>, key: &str) -> Option<View<'d>> {
    let mut entries = node.filter(|n| !n.is_alias())?.written_entries();
    entries
        .find(|(k, _)| k.text() == Some(key))
        .map(|(_, value)| value)
}

/// Entries in the order of the keys of an example; keys that it does not have follow.
pub(super) fn ordered<'v>(
    entries: &'v serde_json::Map<String, Value>,
    like: Option<View<'_>>,
) -> Vec<(&'v str, &'v Value)> {
    let known: Vec<&str> = like
        .filter(|l| !l.is_alias())
        .into_iter()
        .flat_map(View::written_entries)
        .filter_map(|(key, _)| key.text())
        .collect();
    let rank = |key: &str| known.iter().position(|k| *k == key).unwrap_or(known.len());
    let mut entries: Vec<_> = entries.iter().map(|(k, v)| (k.as_str(), v)).collect();
    entries.sort_by_key(|(key, _)| rank(key));
    entries
}

/// A key, written as a mapping that it is modelled on writes it or its last key.
pub(super) fn key_like(
    page: &Page<'_>,
    key: &str,
    like: Option<View<'_>>,
    context: Context,
) -> String {
    let like = like.filter(|l| !l.is_alias());
    let keys = || {
        like.into_iter()
            .flat_map(View::written_entries)
            .map(|(key, _)| key)
    };
    let same = keys().find(|k| k.text() == Some(key));
    let quotes = same
        .or_else(|| keys().next_back())
        .map_or(Quotes::AsNeeded, |k| quotes(page, k));
    scalar::string(key, quotes, context)
}

/// The quotes of a scalar.
pub(super) fn quotes(page: &Page<'_>, node: View<'_>) -> Quotes {
    match node.kind() {
        NodeKind::Scalar if !node.is_alias() && !node.is_block_scalar() => {
            Quotes::of(page.text(node))
        }
        _ => Quotes::AsNeeded,
    }
}
