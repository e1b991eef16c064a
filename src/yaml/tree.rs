//! The tree of one document.

use std::collections::BTreeSet;
use std::ops::Range;

use super::scalar::Scalar;

/// Index of a node in its document.
pub(super) type NodeId = u32;

/// Merges of merges are legal; a chain longer than this is an attack, and is cut.
const LONGEST_MERGE_CHAIN: usize = 16;

/// How a node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Indentation, or a plain or block scalar.
    Block,
    /// Brackets and braces.
    Flow,
    /// Quoted, single or double.
    Quoted,
}

/// What a node is, aliases resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A scalar.
    Scalar,
    /// A sequence.
    Sequence,
    /// A mapping.
    Mapping,
}

/// What an explicit tag makes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// There is none.
    Absent,
    /// The text is read as if it were plain, in quotes or not: `!!int` and its like.
    Plain,
    /// The text is a string: `!!str`, and tags that kubectl does not know.
    Other,
}

#[derive(Debug)]
pub(super) enum Data {
    /// A range of [`Document::texts`].
    Scalar(Range<usize>),
    Sequence(Vec<NodeId>),
    Mapping(Vec<(NodeId, NodeId)>),
    Alias(NodeId),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) data: Data,
    pub(super) style: Style,
    pub(super) anchored: bool,
    pub(super) tag: Tag,
    pub(super) block_scalar: bool,
    pub(super) span: Range<usize>,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// One parsed document.
#[derive(Debug)]
pub struct Document {
    pub(super) nodes: Vec<Node>,
    /// The texts of all scalars, one after the other: one allocation instead of one each.
    pub(super) texts: String,
    pub(super) root: Option<NodeId>,
}

impl Document {
    /// The text of a node that is a scalar, not an alias of one.
    pub(super) fn scalar(&self, id: NodeId) -> Option<&str> {
        match &self.nodes[id as usize].data {
            Data::Scalar(range) => self.texts.get(range.clone()),
            _ => None,
        }
    }

    /// Every scalar as written, keys among them, in the order of the text. No alias is followed.
    pub fn scalars(&self) -> impl Iterator<Item = View<'_>> {
        let ids = (0..).zip(&self.nodes);
        let scalars = ids.filter(|(_, node)| matches!(node.data, Data::Scalar(_)));
        scalars.map(|(id, _)| View {
            document: self,
            id,
            shared: false,
        })
    }

    /// How many nodes the document has once every alias is replaced by a copy of what it refers
    /// to: what a parser that expands aliases has to hold. Saturates.
    pub fn expanded_size(&self) -> usize {
        let mut sizes = vec![0; self.nodes.len()];
        self.root.map_or(0, |root| self.size_of(root, &mut sizes))
    }

    /// Recursion is bounded by the nesting limit of the parser, and ends at an alias whose target,
    /// complete before it, is measured already.
    fn size_of(&self, id: NodeId, sizes: &mut [usize]) -> usize {
        let Some(&known) = sizes.get(id as usize) else {
            return 0;
        };
        if known != 0 {
            return known;
        }
        let inner = match &self.nodes[id as usize].data {
            Data::Scalar(_) => 0,
            Data::Alias(target) => self.size_of(*target, sizes),
            Data::Sequence(items) => items.iter().fold(0usize, |sum, &item| {
                sum.saturating_add(self.size_of(item, sizes))
            }),
            Data::Mapping(entries) => entries.iter().fold(0usize, |sum, &(_, value)| {
                sum.saturating_add(1)
                    .saturating_add(self.size_of(value, sizes))
            }),
        };
        let size = inner.saturating_add(1);
        sizes[id as usize] = size;
        size
    }

    /// The root node; `None` in a document without content.
    pub fn root(&self) -> Option<View<'_>> {
        self.root.map(|id| View {
            document: self,
            id,
            shared: false,
        })
    }
}

/// One node of a [`Document`]. Aliases are followed, `<<` merges are seen through.
#[derive(Debug, Clone, Copy)]
pub struct View<'d> {
    document: &'d Document,
    id: NodeId,
    shared: bool,
}

impl<'d> View<'d> {
    fn at(self, id: NodeId) -> Self {
        let shared = self.is_shared();
        View {
            document: self.document,
            id,
            shared,
        }
    }

    fn written(self) -> &'d Node {
        &self.document.nodes[self.id as usize]
    }

    fn target(self) -> NodeId {
        // An alias refers to a node that was complete before it, so this ends.
        let mut id = self.id;
        while let Data::Alias(target) = self.document.nodes[id as usize].data {
            id = target;
        }
        id
    }

    fn node(self) -> &'d Node {
        &self.document.nodes[self.target() as usize]
    }

    /// What the node is.
    pub fn kind(self) -> NodeKind {
        match self.node().data {
            Data::Sequence(_) => NodeKind::Sequence,
            Data::Mapping(_) => NodeKind::Mapping,
            Data::Scalar(_) | Data::Alias(_) => NodeKind::Scalar,
        }
    }

    /// How the node is written.
    pub fn style(self) -> Style {
        self.node().style
    }

    /// One-based line of the node as written: an alias is where its `*` stands.
    pub fn line(self) -> u32 {
        self.written().line
    }

    /// One-based column.
    pub fn column(self) -> u32 {
        self.written().column
    }

    /// Byte range in the stream. A block collection's range may end in white space and comments.
    pub fn span(self) -> Range<usize> {
        self.written().span.clone()
    }

    /// Whether an edit here could show elsewhere: the node, or one that it was reached through,
    /// has an anchor, is an alias, or comes from a merge.
    pub fn is_shared(self) -> bool {
        self.shared || self.written().anchored || matches!(self.written().data, Data::Alias(_))
    }

    /// Whether an alias (`*name`) is written here.
    pub fn is_alias(self) -> bool {
        matches!(self.written().data, Data::Alias(_))
    }

    /// Whether a literal (`|`) or folded (`>`) block scalar is written here. Its span begins after
    /// the header, at the first line of text, and may end in white space.
    pub fn is_block_scalar(self) -> bool {
        self.written().block_scalar
    }

    /// Whether an explicit tag stands before the node.
    pub fn is_tagged(self) -> bool {
        self.node().tag != Tag::Absent
    }

    /// The text of a scalar.
    pub fn text(self) -> Option<&'d str> {
        self.document.scalar(self.target())
    }

    /// A scalar as kubectl reads it; `None` for collections.
    pub fn scalar(self) -> Option<Scalar<'d>> {
        let plain = match self.node().tag {
            Tag::Absent => self.style() != Style::Quoted,
            Tag::Plain => true,
            Tag::Other => false,
        };
        self.text().map(|text| {
            if plain {
                Scalar::plain(text)
            } else {
                Scalar::String(text)
            }
        })
    }

    /// Whether this is an explicit or implicit null.
    pub fn is_null(self) -> bool {
        matches!(self.scalar(), Some(Scalar::Null))
    }

    /// The items of a sequence; nothing for other nodes.
    pub fn items(self) -> impl ExactSizeIterator<Item = View<'d>> + DoubleEndedIterator {
        let items = match &self.node().data {
            Data::Sequence(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |&id| self.at(id))
    }

    /// The entries of a mapping as written, `<<` among them; nothing for other nodes.
    pub fn written_entries(
        self,
    ) -> impl ExactSizeIterator<Item = (View<'d>, View<'d>)> + DoubleEndedIterator {
        let entries = match &self.node().data {
            Data::Mapping(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |&(k, v)| (self.at(k), self.at(v)))
    }

    /// The entries of a mapping with string keys, merges applied: own entries first, then those of
    /// each merged mapping that are not there yet.
    pub fn entries(self) -> Vec<(&'d str, View<'d>)> {
        let is_merge = |key: View<'d>| key.text() == Some("<<") && key.style() != Style::Quoted;
        if !self.written_entries().any(|(key, _)| is_merge(key)) {
            let own = self.written_entries();
            return own.filter_map(|(k, v)| Some((k.text()?, v))).collect();
        }
        let mut merged = Merged::default();
        merged.collect(self, 0);
        merged.entries
    }

    /// The value under a key, merges applied.
    pub fn get(self, key: &str) -> Option<View<'d>> {
        let own = self.written_entries().find(|(k, _)| k.text() == Some(key));
        if let Some((_, value)) = own {
            return Some(value);
        }
        let merges = self.written_entries().any(|(k, _)| k.text() == Some("<<"));
        merges
            .then(|| {
                self.entries()
                    .into_iter()
                    .find(|(k, _)| *k == key)
                    .map(|(_, v)| v)
            })
            .flatten()
    }
}

/// The entries of a mapping with merges, as they are found.
#[derive(Default)]
struct Merged<'d> {
    entries: Vec<(&'d str, View<'d>)>,
    keys: BTreeSet<&'d str>,
    /// Mappings seen already. A second visit adds nothing, and without this a few lines of nested
    /// merges would take for ever.
    seen: BTreeSet<NodeId>,
}

impl<'d> Merged<'d> {
    fn collect(&mut self, mapping: View<'d>, depth: usize) {
        if depth > LONGEST_MERGE_CHAIN || !self.seen.insert(mapping.target()) {
            return;
        }
        let mut merges = Vec::new();
        for (key, value) in mapping.written_entries() {
            match key.text() {
                Some("<<") if key.style() != Style::Quoted => merges.push(value),
                Some(key) if self.keys.insert(key) => self.entries.push((key, value)),
                _ => {}
            }
        }
        for merge in merges {
            match merge.kind() {
                NodeKind::Sequence => merge.items().for_each(|m| self.merge(m, depth)),
                NodeKind::Mapping => self.merge(merge, depth),
                NodeKind::Scalar => {}
            }
        }
    }

    fn merge(&mut self, mapping: View<'d>, depth: usize) {
        let shared = View {
            shared: true,
            ..mapping
        };
        self.collect(shared, depth + 1);
    }
}
