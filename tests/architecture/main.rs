//! Keeps the repository in the shape that `ARCHITECTURE.md` describes.
//!
//! [`tables`] says what is allowed, [`rules`] and [`circles`] compare it with what [`workspace`] and
//! [`source`] read. `checker` shows on small made-up sources that each rule can fail.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a check that cannot read its input must fail"
)]

mod checker;
mod circles;
mod lexer;
mod rules;
mod source;
mod tables;
mod workspace;

use std::collections::BTreeSet;

use rules::Violation;
use source::Source;

/// Folders, and names of folders and files, that hold only test code.
fn is_test_code(file: &str, test_modules: &BTreeSet<&str>) -> bool {
    let stem = file.trim_end_matches(".rs");
    let within = |module: &str| {
        let rest = stem.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let folders: Vec<_> = stem.split('/').collect();
    folders
        .iter()
        .any(|f| matches!(*f, "tests" | "benches" | "fuzz" | "testkit"))
        || test_modules.iter().any(|m| within(m))
}

/// The files that end up in a program.
fn code(sources: Vec<Source>) -> Vec<Source> {
    let test_modules = sources.iter().flat_map(|s| s.test_modules.clone());
    let test_modules: Vec<_> = test_modules.collect();
    let test_modules: BTreeSet<_> = test_modules.iter().map(String::as_str).collect();
    let in_program = |s: &Source| !is_test_code(&s.file, &test_modules);
    sources.into_iter().filter(in_program).collect()
}

#[track_caller]
fn assert_none(mut violations: Vec<Violation>) {
    violations.sort();
    let lines: Vec<_> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn modules_only_use_modules_below_them() {
    assert_none(rules::module_directions(
        &code(workspace::sources()),
        tables::MODULES,
    ));
}

#[test]
fn modules_of_one_module_have_no_circle() {
    assert_none(circles::among_siblings(&code(workspace::sources())));
}

#[test]
fn every_module_is_on_the_map() {
    let map = workspace::text_of("ARCHITECTURE.md");
    let missing = tables::MODULES
        .iter()
        .map(|(module, _)| format!("`{module}`"));
    let missing: Vec<_> = missing.filter(|m| !map.contains(m)).collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md lacks {}",
        missing.join(", ")
    );
}

#[test]
fn files_environment_and_formatting_stay_in_their_modules() {
    assert_none(rules::restricted_paths(&code(workspace::sources())));
}

#[test]
fn nothing_prints_past_render() {
    assert_none(rules::banned_macros(&code(workspace::sources())));
}

#[test]
fn facts_about_the_outside_are_written_once() {
    assert_none(rules::facts_written_once(&code(workspace::sources())));
}

#[test]
fn files_are_short_enough_to_read() {
    assert_none(rules::file_lengths(&workspace::sources()));
}

#[test]
fn packages_only_depend_on_packages_below_them() {
    assert_none(rules::package_directions(
        &workspace::packages(),
        tables::PACKAGES,
    ));
}

#[test]
fn packages_take_the_lints_and_forbid_unsafe_code() {
    assert_none(rules::package_hygiene(&workspace::packages()));
}
