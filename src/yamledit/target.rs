//! From edits to places: which list or mapping of a document each insertion goes into.

use serde_json::Value;

use crate::plan::{DisplayPath, Edit, EditError, Segment};
use crate::yaml::{NodeKind, View};

use super::Refusal;

/// What is inserted into one list or mapping.
#[derive(Debug)]
pub(super) struct Target<'d> {
    /// The nodes from the root to the list or mapping, both included; never empty.
    pub(super) chain: Vec<View<'d>>,
    /// Path from the object.
    path: Vec<Segment>,
    /// What is inserted, in order.
    pub(super) added: Added,
}

/// Items of a list, or entries of a mapping.
#[derive(Debug)]
pub(super) enum Added {
    /// New last items.
    Items(Vec<Value>),
    /// New keys with their values.
    Entries(Vec<(String, Value)>),
}

/// Finds the places of an object's edits. Edits that reach into what an earlier one adds are
/// applied to that.
pub(super) fn targets<'d>(object: &[View<'d>], edits: &[Edit]) -> Result<Vec<Target<'d>>, Refusal> {
    let mut targets: Vec<Target<'d>> = Vec::new();
    for edit in edits {
        if !apply_to_added(&mut targets, edit)? {
            place(&mut targets, object, edit)?;
        }
    }
    Ok(targets)
}

fn apply_to_added(targets: &mut [Target<'_>], edit: &Edit) -> Result<bool, Refusal> {
    for target in targets {
        let Some([segment, rest @ ..]) = edit.path().strip_prefix(target.path.as_slice()) else {
            continue;
        };
        let length = target.list_length();
        let line = target.node().map_or(0, View::line);
        let value = match (&mut target.added, segment) {
            (Added::Items(items), Segment::Index(index)) => index
                .checked_sub(length)
                .and_then(|index| items.get_mut(index)),
            (Added::Entries(entries), Segment::Key(key)) => {
                entries.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
            }
            _ => None,
        };
        if let Some(value) = value {
            at_path(edit, rest)
                .apply(value)
                .map_err(|e| Refusal::new(line, reason(edit, &e)))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The reason with the whole path of the edit.
fn reason(edit: &Edit, error: &EditError) -> String {
    match (error, edit) {
        (EditError::Exists { .. }, Edit::Add { path, key, .. }) => taken(path, key),
        (EditError::Shape { expected, .. }, _) => {
            format!("there is no {expected} at `{}`", DisplayPath(edit.path()))
        }
        (EditError::Exists { .. }, Edit::Append { .. }) => error.to_string(),
    }
}

fn taken(path: &[Segment], key: &str) -> String {
    let mut path = path.to_vec();
    path.push(Segment::from(key));
    format!("`{}` is there already", DisplayPath(&path))
}

fn at_path(edit: &Edit, path: &[Segment]) -> Edit {
    let path = path.to_vec();
    match edit.clone() {
        Edit::Append { item, .. } => Edit::Append { path, item },
        Edit::Add { key, value, .. } => Edit::Add { path, key, value },
    }
}

fn place<'d>(
    targets: &mut Vec<Target<'d>>,
    object: &[View<'d>],
    edit: &Edit,
) -> Result<(), Refusal> {
    match edit {
        Edit::Append { path, item } => {
            let chain = walk(object, path)?;
            let target = target_at(targets, chain, path, Added::Items(Vec::new()));
            let Some(list) = target.node().filter(|n| n.items().len() > 0) else {
                return Err(target.refusal("list with an item"));
            };
            match &mut target.added {
                Added::Items(items) => items.push(item.clone()),
                Added::Entries(_) => return Err(shape(list, path, "list with an item")),
            }
        }
        Edit::Add { path, key, value } => {
            let parent = match path.split_last() {
                Some((Segment::Key(last), parent)) => Some((last, parent)),
                _ => None,
            };
            let absent = parent.filter(|(last, parent)| {
                walk(object, parent).is_ok_and(|chain| {
                    chain.last().is_some_and(|node| {
                        node.kind() == NodeKind::Mapping && node.get(last).is_none()
                    })
                })
            });
            if let Some((last, parent)) = absent {
                let mapping = serde_json::Map::from_iter([(key.clone(), value.clone())]);
                return add_entry(targets, object, parent, last, Value::Object(mapping));
            }
            add_entry(targets, object, path, key, value.clone())?;
        }
    }
    Ok(())
}

fn add_entry<'d>(
    targets: &mut Vec<Target<'d>>,
    object: &[View<'d>],
    path: &[Segment],
    key: &str,
    value: Value,
) -> Result<(), Refusal> {
    let chain = walk(object, path)?;
    let target = target_at(targets, chain, path, Added::Entries(Vec::new()));
    let Some(mapping) = target.node().filter(|n| n.kind() == NodeKind::Mapping) else {
        return Err(target.refusal("mapping"));
    };
    let Added::Entries(entries) = &mut target.added else {
        return Err(shape(mapping, path, "mapping"));
    };
    if mapping.get(key).is_some() || entries.iter().any(|(k, _)| k == key) {
        let line = mapping.get(key).unwrap_or(mapping).line();
        return Err(Refusal::new(line, taken(path, key)));
    }
    entries.push((key.to_owned(), value));
    Ok(())
}

fn target_at<'t, 'd>(
    targets: &'t mut Vec<Target<'d>>,
    chain: Vec<View<'d>>,
    path: &[Segment],
    added: Added,
) -> &'t mut Target<'d> {
    let index = targets
        .iter()
        .position(|t| t.path == path)
        .unwrap_or(targets.len());
    if index == targets.len() {
        let path = path.to_vec();
        targets.push(Target { chain, path, added });
    }
    &mut targets[index]
}

/// Follows a path from an object, the nodes before and at the object being given.
pub(super) fn walk<'d>(object: &[View<'d>], path: &[Segment]) -> Result<Vec<View<'d>>, Refusal> {
    let mut chain = object.to_vec();
    for (i, segment) in path.iter().enumerate() {
        let Some(&node) = chain.last() else { break };
        let next = match segment {
            Segment::Key(key) => node.get(key),
            Segment::Index(index) => node.items().nth(*index),
        };
        let display = DisplayPath(path.get(..=i).unwrap_or(path));
        let Some(next) = next else {
            return Err(Refusal::new(
                node.line(),
                format!("there is no `{display}`"),
            ));
        };
        if next.is_shared() {
            let reason =
                format!("`{display}` is shared through an anchor, an alias or a merge key");
            return Err(Refusal::new(next.line(), reason));
        }
        if next.is_tagged() {
            return Err(Refusal::new(next.line(), format!("`{display}` has a tag")));
        }
        chain.push(next);
    }
    Ok(chain)
}

fn shape(node: View<'_>, path: &[Segment], expected: &str) -> Refusal {
    let reason = match path {
        [] => format!("the object is no {expected}"),
        _ => format!("there is no {expected} at `{}`", DisplayPath(path)),
    };
    Refusal::new(node.line(), reason)
}

impl<'d> Target<'d> {
    /// The list or mapping.
    pub(super) fn node(&self) -> Option<View<'d>> {
        self.chain.last().copied()
    }

    fn list_length(&self) -> usize {
        self.node().map_or(0, |n| n.items().len())
    }

    fn refusal(&self, expected: &str) -> Refusal {
        match self.node() {
            Some(node) => shape(node, &self.path, expected),
            None => Refusal::new(0, format!("there is no {expected}")),
        }
    }
}
