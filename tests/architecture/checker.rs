//! The checker on made-up sources: each rule fails where it should, and only there.

use crate::circles;
use crate::rules::{self, Violation};
use crate::source::Source;
use crate::tables;
use crate::workspace::Package;

type Rows = &'static [(&'static str, &'static [&'static str])];

const ROWS: Rows = &[("model", &[]), ("plan", &["model"]), ("sink", &["plan"])];

fn sources(files: &[(&str, &str)]) -> Vec<Source> {
    let parsed = files.iter().map(|(file, text)| Source::parse(file, text));
    crate::code(parsed.collect())
}

fn lines(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().map(Violation::to_string).collect();
    lines.join("\n")
}

fn directions(files: &[(&str, &str)]) -> String {
    // Every module of the table exists, so that naming it is not naming something unknown.
    let mut all = vec![
        ("src/model.rs", ""),
        ("src/plan.rs", ""),
        ("src/sink.rs", ""),
    ];
    all.extend_from_slice(files);
    lines(&rules::module_directions(&sources(&all), ROWS))
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let upward = "
use crate::sink;
use crate::{model::World, plan::{self, Edit as E}};
use super::super::sink::{Written};
fn f(x: &crate::plan::Plan<crate::sink::Target>) -> bool {
    mod inner { use super::super::super::plan::*; }
    kubectl_ambient::sink::write::<u8>(x) != crate::plan::check!(x)
}
pub(in crate::sink) struct S;
";
    insta::assert_snapshot!(directions(&[("src/model/world.rs", upward)]), @r"
    src/model/world.rs:2: module `model` must not use `sink`
    src/model/world.rs:3: module `model` must not use `plan`
    src/model/world.rs:3: module `model` must not use `plan`
    src/model/world.rs:4: module `model` must not use `sink`
    src/model/world.rs:5: module `model` must not use `plan`
    src/model/world.rs:5: module `model` must not use `sink`
    src/model/world.rs:6: module `model` must not use `plan`
    src/model/world.rs:7: module `model` must not use `sink`
    src/model/world.rs:7: module `model` must not use `plan`
    src/model/world.rs:9: module `model` must not use `sink`
    ");
}

#[test]
fn what_is_allowed_own_foreign_or_test_code_is_not_reported() {
    let fine = r##"
//! use crate::sink;
/* use crate::sink; /* nested */ crate::sink::x */
use crate::model::World;
use self::step::Step;
use crate::plan::step;
use std::fmt;
const TEXT: &str = "crate::sink::x"; const RAW: &str = r#"use crate::sink;"#;
const C: char = '"'; // crate::sink::y
fn f<'a>(_: &'a impl Sized) -> impl Sized + use<'a> { sink::elsewhere() }
#[cfg(test)]
#[derive(Debug)]
mod tests { use crate::sink::write; }
#[cfg(test)]
use crate::sink::prepare;
#[cfg(all(test, unix))]
mod properties;
"##;
    let files = [
        ("src/plan/mod.rs", fine),
        ("src/plan/tests.rs", "use crate::sink;"),
        ("src/plan/properties.rs", "use crate::sink;"),
        ("src/plan/properties/deep.rs", "use crate::sink;"),
        ("src/lib.rs", "pub mod sink; use crate::sink::X;"),
        ("embedded-dataplane/facts/src/lib.rs", "use crate::sink;"),
    ];
    insta::assert_snapshot!(directions(&files), @"");
}

#[test]
fn code_behind_a_configuration_that_is_not_test_is_code() {
    let text = "#[cfg(not(test))]\nuse crate::sink;\n#[cfg(unix)]\nmod tests_of_unix;";
    insta::assert_snapshot!(directions(&[("src/model/world.rs", text)]), @"src/model/world.rs:2: module `model` must not use `sink`");
}

#[test]
fn a_module_without_a_row_and_a_name_from_the_root_are_reported() {
    let files = [
        ("src/netpol/mod.rs", "use crate::model;"),
        ("src/plan/edit.rs", "use crate::World;"),
    ];
    insta::assert_snapshot!(directions(&files), @r"
    src/netpol/mod.rs:1: module `netpol` has no row in tests/architecture/tables.rs
    src/plan/edit.rs:1: `plan` names `World` of the crate root: name the module it is from
    ");
}

#[test]
fn circles_among_siblings_are_reported() {
    let files = [
        (
            "src/plan/mod.rs",
            "mod edit; mod body; pub use edit::Edit; use body::Body;",
        ),
        (
            "src/plan/edit.rs",
            "use super::step::Step; use super::Body;",
        ),
        ("src/plan/step/mod.rs", "mod one; use super::proof::Proof;"),
        (
            "src/plan/step/one.rs",
            "use crate::plan::Body; use super::Step;",
        ),
        ("src/plan/step/two.rs", "use super::one::One;"),
        ("src/plan/proof.rs", "fn f(_: &super::Edit) {}"),
        (
            "src/plan/body.rs",
            "use super::{Plan, World}; use crate::model;",
        ),
        ("src/sink/a.rs", "use super::b::B;"),
        (
            "src/sink/b.rs",
            "use super::a::A;\n#[cfg(test)] mod tests { use super::super::c; }",
        ),
        ("src/sink/c.rs", "use super::b::B;"),
        // The modules of other crates have no table.
        (
            "embedded-dataplane/relay/src/lib.rs",
            "mod near; mod far; pub use far::Far;",
        ),
        ("embedded-dataplane/relay/src/near.rs", "use crate::Far;"),
        (
            "embedded-dataplane/relay/src/far.rs",
            "use crate::near::Near;",
        ),
        ("embedded-dataplane/other/src/near.rs", "use crate::far;"),
        ("embedded-dataplane/other/src/far.rs", "use crate::relay;"),
        // Nor are they those of this one.
        ("src/near.rs", "use crate::far::Far;"),
        ("src/far.rs", "use crate::near::Near;"),
    ];
    let circles = lines(&circles::among_siblings(&sources(&files)));
    insta::assert_snapshot!(circles, @r"
    src/plan/edit.rs:1: `edit` must not use `step`: edit → step → proof → edit is a circle
    src/plan/proof.rs:1: `proof` must not use `edit`: proof → edit → step → proof is a circle
    src/plan/step/mod.rs:1: `step` must not use `proof`: step → proof → edit → step is a circle
    src/sink/a.rs:1: `a` must not use `b`: a → b → a is a circle
    src/sink/b.rs:1: `b` must not use `a`: b → a → b is a circle
    embedded-dataplane/relay/src/far.rs:1: `far` must not use `near`: far → near → far is a circle
    embedded-dataplane/relay/src/near.rs:1: `near` must not use `far`: near → far → near is a circle
    ");
}

#[test]
fn a_table_with_a_cycle_is_reported() {
    const CYCLE: Rows = &[("model", &["plan"]), ("plan", &["model"])];
    const TWICE: Rows = &[("model", &[]), ("model", &[])];
    let cycle = lines(&rules::module_directions(&[], CYCLE));
    insta::assert_snapshot!(cycle, @"tests/architecture/tables.rs:1: row `model` names `plan`, which no row above it has");
    let twice = lines(&rules::package_directions(&[], TWICE));
    insta::assert_snapshot!(twice, @"tests/architecture/tables.rs:1: row `model` is there twice");
}

#[test]
fn the_tables_have_no_cycle() {
    assert_eq!(rules::rows(tables::MODULES).err(), None);
    assert_eq!(rules::rows(tables::PACKAGES).err(), None);
}

#[test]
fn files_environment_and_formatting_are_found_where_they_must_not_be() {
    let everything = "
use std::{env, fs::{self, File}, process::{Command, ExitCode}};
use std::environment;
fn f() { ::std::env::var_os(\"X\"); similar::TextDiff::new() }
";
    let files = [
        ("src/plan/mod.rs", everything),
        ("src/settings.rs", "use std::env;"),
        ("src/lib.rs", "use std::fs;"),
        ("embedded-dataplane/xtask/src/main.rs", everything),
    ];
    insta::assert_snapshot!(lines(&rules::restricted_paths(&sources(&files))), @r"
    src/plan/mod.rs:2: module `plan` must not use `std::env`: settings are read once
    src/plan/mod.rs:2: module `plan` must not use `std::fs`: analysis is pure
    src/plan/mod.rs:2: module `plan` must not use `std::fs`: analysis is pure
    src/plan/mod.rs:2: module `plan` must not use `std::process::Command`: only `-k` needs one
    src/plan/mod.rs:4: module `plan` must not use `std::env`: settings are read once
    src/plan/mod.rs:4: module `plan` must not use `similar`: only `render` formats
    src/lib.rs:1: module `lib` must not use `std::fs`: analysis is pure
    ");
}

#[test]
fn printing_is_found_everywhere() {
    let text =
        "fn f(print: bool) {\n    println!(\"x\");\n    std::eprint!(\"y\");\n    print != true\n}";
    let files = [
        ("src/plan/mod.rs", text),
        ("embedded-dataplane/xtask/src/main.rs", text),
    ];
    insta::assert_snapshot!(lines(&rules::banned_macros(&sources(&files))), @r"
    src/plan/mod.rs:2: `println!` prints past `render`
    src/plan/mod.rs:3: `eprint!` prints past `render`
    embedded-dataplane/xtask/src/main.rs:2: `println!` prints past `render`
    embedded-dataplane/xtask/src/main.rs:3: `eprint!` prints past `render`
    ");
}

#[test]
fn facts_are_found_in_numbers_and_text_but_not_in_comments() {
    let text = r##"
/// Port 15008, label istio.io/x.
const A: u16 = 15_008u16;
const B: &str = "istio.io/dataplane-mode";
const C: &[u8] = br#"spiffe://"#;
const D: u32 = 150_080;
#[cfg(test)]
const E: u16 = 15008;
"##;
    let files = [
        ("src/plan/mod.rs", text),
        ("embedded-dataplane/facts/src/ports.rs", text),
        ("tests/cli/main.rs", text),
    ];
    insta::assert_snapshot!(lines(&rules::facts_written_once(&sources(&files))), @r"
    src/plan/mod.rs:3: literal `15008` belongs into `ambient-facts`
    src/plan/mod.rs:4: literal `istio.io/` belongs into `ambient-facts`
    src/plan/mod.rs:5: literal `spiffe://` belongs into `ambient-facts`
    ");
}

#[test]
fn long_files_are_reported() {
    let files = [
        ("src/plan/long.rs", "\n".repeat(tables::LONGEST_FILE + 1)),
        ("src/plan/full.rs", "\n".repeat(tables::LONGEST_FILE)),
    ];
    let sources: Vec<_> = files.iter().map(|(f, t)| Source::parse(f, t)).collect();
    insta::assert_snapshot!(lines(&rules::file_lengths(&sources)), @"src/plan/long.rs:451: 451 lines; 450 are the most, so split the file");
}

fn package(name: &str, dependencies: &[&str]) -> Package {
    let text = format!("name = \"{name}\"\n[lints]\nworkspace = true\n[dependencies]\n");
    Package {
        name: name.to_owned(),
        manifest: format!("{name}/Cargo.toml"),
        text: text + &dependencies.join("\n"),
        dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
        roots: vec![(
            format!("{name}/src/lib.rs"),
            "#![forbid(unsafe_code)]".to_owned(),
        )],
    }
}

#[test]
fn packages_that_depend_upward_or_have_no_row_are_reported() {
    const ROWS: Rows = &[("facts", &[]), ("ambient-control", &["facts"])];
    let packages = [
        package("facts", &["serde", "kube", "ambient-control"]),
        package("ambient-control", &["facts", "kube", "rustls"]),
        package("newcomer", &[]),
    ];
    insta::assert_snapshot!(lines(&rules::package_directions(&packages, ROWS)), @r"
    facts/Cargo.toml:6: only kubectl-ambient, ambient-control, ambient-agent may depend on `kube`
    facts/Cargo.toml:7: package `facts` must not depend on `ambient-control`
    ambient-control/Cargo.toml:7: only ambient-identity, ambient-testkit may depend on `rustls`
    newcomer/Cargo.toml:1: package `newcomer` has no row in tests/architecture/tables.rs
    ");
}

#[test]
fn packages_without_lints_or_with_unsafe_code_are_reported() {
    let bare = |name: &str| Package {
        text: "[package]\n".to_owned(),
        roots: vec![(format!("{name}/src/lib.rs"), "//! Text.".to_owned())],
        ..package(name, &[])
    };
    let packages = [package("facts", &[]), bare("control"), bare("ambient-node")];
    insta::assert_snapshot!(lines(&rules::package_hygiene(&packages)), @r"
    control/Cargo.toml:1: the workspace's lints are missing: `lints.workspace = true`
    control/src/lib.rs:1: `#![forbid(unsafe_code)]` is missing
    ambient-node/Cargo.toml:1: the workspace's lints are missing: `lints.workspace = true`
    ");
}
