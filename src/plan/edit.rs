//! Edits of an object: insertions only.

use std::fmt;

use serde_json::Value;

/// A place in an object.
pub type Path = Vec<Segment>;

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Key of a mapping.
    Key(String),
    /// Zero-based index of a list.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// One insertion.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Append an item to a list that has at least one.
    Append {
        /// The list.
        path: Path,
        /// The new last item.
        item: Value,
    },
    /// Add a key to a mapping that does not have it. Where the mapping itself is absent it is
    /// added too, as long as its parent is there.
    Add {
        /// The mapping.
        path: Path,
        /// The new key.
        key: String,
        /// Its value.
        value: Value,
    },
}

/// Why an [`Edit`] does not fit an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is nothing at the path, or something else.
    #[error("there is no {expected} at `{path}`")]
    Shape {
        /// The path, written as in `spec.ingress[0].ports`.
        path: String,
        /// What was expected there.
        expected: &'static str,
    },
    /// The key is taken.
    #[error("`{path}` is there already")]
    Exists {
        /// The path with the key.
        path: String,
    },
}

impl Edit {
    /// Applies the edit to a value: the meaning of an edit, against which edits of text are
    /// checked.
    ///
    /// # Errors
    ///
    /// When the object does not have the shape that the edit expects; it is unchanged then.
    pub fn apply(&self, object: &mut Value) -> Result<(), EditError> {
        match self {
            Self::Append { path, item } => {
                let list = walk(object, path)
                    .and_then(Value::as_array_mut)
                    .filter(|l| !l.is_empty());
                let list = list.ok_or_else(|| shape(path, "list with an item"))?;
                list.push(item.clone());
            }
            Self::Add { path, key, value } => {
                if let (None, Some((Segment::Key(last), parent))) =
                    (walk(object, path), path.split_last())
                {
                    let parent = walk(object, parent).and_then(Value::as_object_mut);
                    let parent = parent.ok_or_else(|| shape(path, "mapping"))?;
                    parent.insert(last.clone(), Value::Object(serde_json::Map::new()));
                }
                let mapping = walk(object, path).and_then(Value::as_object_mut);
                let mapping = mapping.ok_or_else(|| shape(path, "mapping"))?;
                if mapping.contains_key(key) {
                    let path = format!("{}.{key}", DisplayPath(path));
                    return Err(EditError::Exists { path });
                }
                mapping.insert(key.clone(), value.clone());
            }
        }
        Ok(())
    }

    /// The list or mapping that is inserted into.
    pub fn path(&self) -> &[Segment] {
        match self {
            Self::Append { path, .. } | Self::Add { path, .. } => path,
        }
    }
}

fn shape(path: &Path, expected: &'static str) -> EditError {
    EditError::Shape {
        path: DisplayPath(path).to_string(),
        expected,
    }
}

fn walk<'v>(value: &'v mut Value, path: &[Segment]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(index),
    })
}

/// A path as people write it.
#[derive(Debug)]
pub struct DisplayPath<'p>(pub &'p [Segment]);

impl fmt::Display for DisplayPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if i == 0 => write!(f, "{key}")?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
