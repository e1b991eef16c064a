//! Whole outputs of the loader.

mod builds;
mod files;
mod formats;
mod istio;
mod objects;
mod policies;
mod reference;
mod robust;
mod workloads;

use std::fmt::Write as _;

use super::{Loaded, load_texts};
use crate::model::Labels;

/// Loads one text named `a.yaml`.
fn load(text: &str) -> Loaded {
    load_texts([("a.yaml", text)], "default")
}

/// Problems and notes as text.
fn report(loaded: &Loaded) -> String {
    let mut out = String::new();
    for p in &loaded.problems {
        let _ = writeln!(out, "{}:{}:{}: {}", p.file, p.line, p.column, p.message);
        if let Some(object) = &p.object {
            let _ = writeln!(out, "  in {object}");
        }
        if let Some(excerpt) = &p.excerpt {
            let _ = writeln!(out, "  | {excerpt}");
        }
        if let Some(hint) = &p.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    for n in &loaded.notes {
        let _ = writeln!(out, "{}:{}: note: {}", n.file, n.line, n.message);
    }
    out
}

/// What is reported about a text.
fn problems(text: &str) -> String {
    report(&load(text))
}

/// Labels from pairs.
fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}
