//! Insertions, and putting them into text.

/// Text to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Insertion {
    /// Byte offset in the stream before any insertion.
    pub(super) offset: usize,
    /// Where several are at one offset, the deepest comes first.
    pub(super) depth: usize,
    /// The text.
    pub(super) text: String,
}

impl Insertion {
    /// An insertion whose depth is yet to be set.
    pub(super) fn new(offset: usize, text: String) -> Self {
        Self {
            offset,
            depth: 0,
            text,
        }
    }
}

/// The order in which insertions appear in the text.
pub(super) fn sort(insertions: &mut [Insertion]) {
    insertions.sort_by_key(|i| (i.offset, std::cmp::Reverse(i.depth)));
}

/// Puts sorted insertions into a text that starts at an offset of the stream.
pub(super) fn splice(text: &str, base: usize, insertions: &[Insertion]) -> String {
    let added: usize = insertions.iter().map(|i| i.text.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut done = 0;
    for insertion in insertions {
        let offset = insertion.offset.saturating_sub(base);
        out.push_str(text.get(done..offset).unwrap_or(""));
        out.push_str(&insertion.text);
        done = offset;
    }
    out.push_str(text.get(done..).unwrap_or(""));
    out
}

/// Whether taking the insertions out of `after` gives `before`. Does not rely on [`splice`].
pub(super) fn is_insertions_only(
    before: &str,
    after: &str,
    base: usize,
    insertions: &[Insertion],
) -> bool {
    let mut before = before.as_bytes();
    let mut after = after.as_bytes();
    let mut at = base;
    for insertion in insertions {
        let Some(kept) = insertion.offset.checked_sub(at) else {
            return false;
        };
        let (Some((old, old_rest)), Some((new, new_rest))) =
            (before.split_at_checked(kept), after.split_at_checked(kept))
        else {
            return false;
        };
        let Some(new_rest) = new_rest.strip_prefix(insertion.text.as_bytes()) else {
            return false;
        };
        if old != new {
            return false;
        }
        (before, after, at) = (old_rest, new_rest, insertion.offset);
    }
    before == after
}
