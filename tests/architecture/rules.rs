//! The rules, as functions from what was read to what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::source::{Literal, Source};
use crate::tables;
use crate::workspace::Package;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    file: String,
    line: usize,
    rule: String,
}

impl Violation {
    pub(crate) fn new(file: &str, line: usize, rule: String) -> Self {
        Self {
            file: file.to_owned(),
            line,
            rule,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

type Rows = &'static [(&'static str, &'static [&'static str])];

/// A table's rows by name.
///
/// A row that names itself, a later row or none is reported: the order of the rows is what rules
/// out cycles.
pub(crate) fn rows(table: Rows) -> Result<BTreeMap<&'static str, &'static [&'static str]>, String> {
    let mut seen = BTreeMap::new();
    for (name, allowed) in table {
        if let Some(wrong) = allowed.iter().find(|a| !seen.contains_key(*a)) {
            return Err(format!(
                "row `{name}` names `{wrong}`, which no row above it has"
            ));
        }
        if seen.insert(*name, *allowed).is_some() {
            return Err(format!("row `{name}` is there twice"));
        }
    }
    Ok(seen)
}

/// The top-level module of `src/` that a file belongs to; `None` for other crates and for `lib.rs`.
fn module(file: &str) -> Option<&str> {
    let first = file.strip_prefix("src/")?.split('/').next()?;
    Some(first.trim_end_matches(".rs")).filter(|&m| m != "lib")
}

/// Every module of `src/` has a row, and names only what its row allows.
pub(crate) fn module_directions(sources: &[Source], table: Rows) -> Vec<Violation> {
    let rows = match rows(table) {
        Ok(rows) => rows,
        Err(wrong) => return vec![Violation::new("tests/architecture/tables.rs", 1, wrong)],
    };
    let modules: BTreeSet<_> = sources.iter().filter_map(|s| module(&s.file)).collect();
    let mut violations = Vec::new();
    for source in sources {
        let Some(own) = module(&source.file) else {
            continue;
        };
        let Some(allowed) = rows.get(own) else {
            let rule = format!("module `{own}` has no row in tests/architecture/tables.rs");
            violations.push(Violation::new(&source.file, 1, rule));
            continue;
        };
        for path in &source.paths {
            let [root, used, ..] = path.segments.as_slice() else {
                continue;
            };
            if !matches!(root.as_str(), "crate" | "kubectl_ambient") || used == own {
                continue;
            }
            let rule = if !modules.contains(used.as_str()) {
                format!("`{own}` names `{used}` of the crate root: name the module it is from")
            } else if !allowed.contains(&used.as_str()) {
                format!("module `{own}` must not use `{used}`")
            } else {
                continue;
            };
            violations.push(Violation::new(&source.file, path.line, rule));
        }
    }
    violations
}

/// Paths that only some modules may name.
pub(crate) fn restricted_paths(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|s| s.file.starts_with("src/")) {
        let own = module(&source.file).unwrap_or("lib");
        for path in &source.paths {
            let written = path.segments.join("::");
            for (restricted, allowed, why) in tables::MODULES_WITH {
                let named = written
                    .strip_prefix(restricted)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
                if named && !allowed.contains(&own) {
                    let rule = format!("module `{own}` must not use `{restricted}`: {why}");
                    violations.push(Violation::new(&source.file, path.line, rule));
                }
            }
        }
    }
    violations
}

/// Macros that nothing may call.
pub(crate) fn banned_macros(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        for (line, name) in &source.macros {
            if tables::BANNED_MACROS.contains(&name.as_str()) {
                let rule = format!("`{name}!` prints past `render`");
                violations.push(Violation::new(&source.file, *line, rule));
            }
        }
    }
    violations
}

/// Facts about the outside are written once.
pub(crate) fn facts_written_once(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let written_here =
        |s: &&Source| !(tables::FACTS_WRITTEN_IN.iter()).any(|place| s.file.starts_with(place));
    for source in sources.iter().filter(written_here) {
        for (line, literal) in &source.literals {
            let fact = tables::FACTS.iter().find(|fact| match literal {
                Literal::Number(number) => number == *fact,
                Literal::Text(text) => text.contains(*fact),
            });
            if let Some(fact) = fact {
                let rule = format!("literal `{fact}` belongs into `ambient-facts`");
                violations.push(Violation::new(&source.file, *line, rule));
            }
        }
    }
    violations
}

/// No file is longer than it can be read in one go.
pub(crate) fn file_lengths(sources: &[Source]) -> Vec<Violation> {
    let excepted = |s: &&Source| !tables::LONGER_FILES.iter().any(|(file, _)| *file == s.file);
    let too_long = |s: &&Source| s.length > tables::LONGEST_FILE;
    let long = sources.iter().filter(excepted).filter(too_long);
    long.map(|s| {
        let most = tables::LONGEST_FILE;
        let rule = format!("{} lines; {most} are the most, so split the file", s.length);
        Violation::new(&s.file, s.length, rule)
    })
    .collect()
}

/// Every package has a row, and depends only on what its row allows.
pub(crate) fn package_directions(packages: &[Package], table: Rows) -> Vec<Violation> {
    let rows = match rows(table) {
        Ok(rows) => rows,
        Err(wrong) => return vec![Violation::new("tests/architecture/tables.rs", 1, wrong)],
    };
    let mut violations = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let mut report = |dependency: &str, rule| {
            let line = package.line_of(dependency);
            violations.push(Violation::new(&package.manifest, line, rule));
        };
        let Some(allowed) = rows.get(name) else {
            let rule = format!("package `{name}` has no row in tests/architecture/tables.rs");
            report("name", rule);
            continue;
        };
        for dependency in &package.dependencies {
            let ours = packages.iter().any(|p| p.name == *dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                report(
                    dependency,
                    format!("package `{name}` must not depend on `{dependency}`"),
                );
            }
            let restricted = tables::PACKAGES_WITH.iter().find(|(d, _)| d == dependency);
            if let Some((_, holders)) = restricted
                && !holders.contains(&name)
            {
                report(
                    dependency,
                    format!("only {} may depend on `{dependency}`", holders.join(", ")),
                );
            }
        }
    }
    violations
}

/// Every package takes the workspace's lints, and every library forbids `unsafe` code.
pub(crate) fn package_hygiene(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        if !package.text.contains("[lints]\nworkspace = true") {
            let rule = "the workspace's lints are missing: `lints.workspace = true`".to_owned();
            violations.push(Violation::new(&package.manifest, 1, rule));
        }
        let may = tables::PACKAGES_WITH_UNSAFE.contains(&package.name.as_str());
        for (file, text) in &package.roots {
            if !may && !text.contains("#![forbid(unsafe_code)]") {
                let rule = "`#![forbid(unsafe_code)]` is missing".to_owned();
                violations.push(Violation::new(file, 1, rule));
            }
        }
    }
    violations
}
