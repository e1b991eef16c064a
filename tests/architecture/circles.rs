//! Circles among the modules of one module.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::rules::Violation;
use crate::source::Source;

/// A module, as its names below the crate.
type Module = Vec<String>;

/// The modules of one crate.
type Modules<'s> = BTreeMap<Module, &'s Source>;

/// Which children of a module name which others, with the places where they do.
type Uses<'s> = BTreeMap<&'s str, BTreeMap<&'s str, Vec<(&'s str, usize)>>>;

/// Modules of one module do not use each other in a circle, in no crate. What their parent takes from
/// one of them counts as that one's.
pub(crate) fn among_siblings(sources: &[Source]) -> Vec<Violation> {
    let mut crates: BTreeMap<&str, Modules<'_>> = BTreeMap::new();
    for source in sources {
        if let Some((folder, _)) = source.file.rsplit_once("src/") {
            let modules = crates.entry(folder).or_default();
            modules.insert(source.module_path(), source);
        }
    }
    let of_crate = |(folder, modules): (&&str, &Modules<'_>)| of_one(folder, modules);
    crates.iter().flat_map(of_crate).collect()
}

/// The same of one crate, in a folder that the path ends with.
fn of_one(folder: &str, modules: &Modules<'_>) -> Vec<Violation> {
    let mut by_parent: BTreeMap<&[String], Uses<'_>> = BTreeMap::new();
    for (own, source) in modules {
        for path in &source.paths {
            let ["crate", used @ ..] = &*names(&path.segments) else {
                continue;
            };
            let Some((parent, from, to)) = siblings(modules, own, used) else {
                continue;
            };
            // The modules of this crate itself have a table.
            if folder.is_empty() && parent.is_empty() {
                continue;
            }
            let here = by_parent.entry(parent).or_default();
            let places = here.entry(from).or_default().entry(to).or_default();
            places.push((&source.file, path.line));
        }
    }
    by_parent.values().flat_map(circular).collect()
}

fn names(segments: &[String]) -> Vec<&str> {
    segments.iter().map(String::as_str).collect()
}

/// The two modules below a common one that a use is between, and that one.
fn siblings<'m>(
    modules: &'m Modules<'_>,
    own: &'m [String],
    used: &[&str],
) -> Option<(&'m [String], &'m str, &'m str)> {
    let common = own.iter().zip(used).take_while(|(a, b)| a == *b).count();
    let (parent, below) = own.split_at_checked(common)?;
    let (from, name) = (below.first()?, used.get(common)?);
    let to = child(modules, parent, name).or_else(|| taken_from(modules, parent, name))?;
    (to != from).then_some((parent, from, to))
}

/// The child of a module with this name.
fn child<'m>(modules: &'m Modules<'_>, parent: &[String], name: &str) -> Option<&'m str> {
    let path: Module = parent.iter().cloned().chain([name.to_owned()]).collect();
    let (path, _) = modules.get_key_value(&path)?;
    path.last().map(String::as_str)
}

/// The child that a module takes this name from.
fn taken_from<'m>(modules: &'m Modules<'_>, parent: &[String], name: &str) -> Option<&'m str> {
    let source = modules.get(parent)?;
    source.paths.iter().find_map(|path| match &*path.segments {
        [first, .., last] if last == name => child(modules, parent, first),
        _ => None,
    })
}

/// Every use that is a part of a circle.
fn circular(uses: &Uses<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (&from, used) in uses {
        for (&to, places) in used {
            let Some(back) = way(uses, to, from) else {
                continue;
            };
            let rule = format!(
                "`{from}` must not use `{to}`: {} is a circle",
                back.join(" → ")
            );
            let at = |(file, line): &(&str, usize)| Violation::new(file, *line, rule.clone());
            violations.extend(places.iter().map(at));
        }
    }
    violations
}

/// The shortest way along uses, with the use that would close it.
fn way<'s>(uses: &Uses<'s>, from: &'s str, to: &'s str) -> Option<Vec<&'s str>> {
    let mut seen = BTreeSet::from([from]);
    let mut waiting = VecDeque::from([vec![to, from]]);
    while let Some(way) = waiting.pop_front() {
        let last = way.last()?;
        if *last == to {
            return Some(way);
        }
        for &next in uses.get(last).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next) {
                waiting.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}
