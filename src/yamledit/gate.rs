//! The check of every edit: what another parser reads afterwards must be what it read before, with
//! the edits applied to it as values.

use serde_json::Value;

use crate::plan::DisplayPath;
use crate::yaml::Format;

use super::ObjectEdits;

/// Checks one document.
pub(super) fn check(
    before: &str,
    after: &str,
    format: Format,
    edits: &[&ObjectEdits<'_>],
) -> Result<(), String> {
    let same = match format {
        Format::Json => {
            let mut intended: Value = json(before)?;
            let actual: Value = json(after)?;
            for object in edits {
                let items = object
                    .items
                    .iter()
                    .try_fold(&mut intended, |value, &index| {
                        value.get_mut("items")?.get_mut(index)
                    });
                apply(items, object)?;
            }
            intended == actual
        }
        Format::Yaml => check_yaml(before, after, edits)?,
    };
    if same {
        Ok(())
    } else {
        Err("the edited text would not read back as intended".to_owned())
    }
}

fn check_yaml(before: &str, after: &str, edits: &[&ObjectEdits<'_>]) -> Result<bool, String> {
    let (before, after) = rayon::join(|| yaml(before), || yaml(after));
    let (mut before, mut after) = (before?, after?);
    for object in edits {
        // Objects are compared as JSON, on which edits are defined, and taken out; what is left
        // (other objects of a list, keys that JSON cannot have) is compared as YAML.
        let mut intended = take(&mut before, object.items)?;
        apply(Some(&mut intended), object)?;
        if intended != take(&mut after, object.items)? {
            return Ok(false);
        }
    }
    Ok(before == after)
}

fn take(document: &mut serde_yaml::Value, items: &[usize]) -> Result<Value, String> {
    let object = items.iter().try_fold(document, |value, &index| {
        value.get_mut("items")?.get_mut(index)
    });
    let object = object.map(std::mem::take).ok_or_else(absent)?;
    serde_json::to_value(object).map_err(|e| format!("the object cannot be read as JSON: {e}"))
}

fn apply(object: Option<&mut Value>, edits: &ObjectEdits<'_>) -> Result<(), String> {
    let object = object.ok_or_else(absent)?;
    for edit in edits.edits {
        edit.apply(object)
            .map_err(|e| format!("{e} (at `{}`)", DisplayPath(edit.path())))?;
    }
    Ok(())
}

fn absent() -> String {
    "the object is not there".to_owned()
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))
}

fn yaml(text: &str) -> Result<serde_yaml::Value, String> {
    serde_yaml::from_str(text).map_err(|e| format!("a second parser refuses it: {e}"))
}
