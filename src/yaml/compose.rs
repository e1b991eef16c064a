//! From parser events to a tree, strictly.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, StructureStyle};

use super::scalar::Scalar;
use super::split::Chunk;
use super::tree::{Data, Document, Node, NodeId, Style, Tag};

/// Collections may nest this deep: ten times what a Kubernetes object needs.
pub(super) const DEPTH_LIMIT: usize = 128;

/// Text that is not one well-formed YAML document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// What is wrong, in lower case.
    pub message: String,
    /// One-based line in the stream.
    pub line: u32,
    /// One-based column, in characters.
    pub column: u32,
}

impl Document {
    /// Parses one document of a stream.
    ///
    /// Stricter than most parsers: tabs as indentation, duplicate keys, unknown aliases, a second
    /// document and nesting deeper than 128 collections are errors.
    ///
    /// # Errors
    ///
    /// The first of these, with its place.
    pub fn parse(chunk: Chunk<'_>) -> Result<Self, SyntaxError> {
        let options = granit_parser::options! {
            flow_nesting_limit: DEPTH_LIMIT,
            block_nesting_limit: DEPTH_LIMIT,
        };
        let mut parser = Parser::new_from_str_with_options(chunk.text, options);
        let mut composer = Composer::new(chunk);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|e| composer.error(e.info(), *e.marker()))?;
            composer.event(event, span.start, span.end)?;
        }
        Ok(composer.document)
    }
}

/// A collection that is being read.
struct Open {
    id: NodeId,
    anchor: usize,
    is_mapping: bool,
    /// Keys seen so far, once there are more than [`FEW_KEYS`].
    keys: BTreeSet<String>,
    /// The key whose value comes next.
    key: Option<NodeId>,
}

/// Up to here comparing a key with all others costs less than keeping a set of them.
const FEW_KEYS: usize = 16;

/// The tag of a node that is not read by it.
fn of_tag(is_tagged: bool) -> Tag {
    if is_tagged { Tag::Other } else { Tag::Absent }
}

struct Composer<'t> {
    chunk: Chunk<'t>,
    document: Document,
    open: Vec<Open>,
    anchors: BTreeMap<usize, NodeId>,
    finished: bool,
}

impl<'t> Composer<'t> {
    fn new(chunk: Chunk<'t>) -> Self {
        Self {
            chunk,
            document: Document {
                nodes: Vec::new(),
                texts: String::new(),
                root: None,
            },
            open: Vec::new(),
            anchors: BTreeMap::new(),
            finished: false,
        }
    }

    fn line(&self, at: Marker) -> u32 {
        self.chunk
            .line
            .saturating_add(u32::try_from(at.line()).unwrap_or(u32::MAX))
            - 1
    }

    fn error(&self, message: impl Into<String>, at: Marker) -> SyntaxError {
        let column = u32::try_from(at.col())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        SyntaxError {
            message: message.into(),
            line: self.line(at),
            column,
        }
    }

    fn offset(&self, at: Marker) -> usize {
        self.chunk.offset + at.byte_offset().unwrap_or(self.chunk.text.len())
    }

    fn event(&mut self, event: Event<'_>, start: Marker, end: Marker) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)
                    || matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_block_scalar = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let style = if quoted { Style::Quoted } else { Style::Block };
                let texts = &mut self.document.texts;
                let begin = texts.len();
                texts.push_str(&text);
                let data = Data::Scalar(begin..texts.len());
                let tag = match tag.as_deref().and_then(|t| t.core_suffix()) {
                    Some(kind @ ("null" | "bool" | "int" | "float")) => {
                        self.check_kind(&text, kind, start)?;
                        Tag::Plain
                    }
                    _ => of_tag(tag.is_some()),
                };
                let id = self.push(data, style, anchor != 0, tag, start, end);
                self.document.nodes[id as usize].block_scalar = is_block_scalar;
                self.attach(id, start)?;
                self.anchor(anchor, id);
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                let Some(target) = target else {
                    return Err(self.error("an alias inside the node that it refers to", start));
                };
                let id = self.push(
                    Data::Alias(target),
                    Style::Block,
                    false,
                    Tag::Absent,
                    start,
                    end,
                );
                self.attach(id, start)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                let data = Data::Sequence(Vec::new());
                let id = self.push(
                    data,
                    structure(style),
                    anchor != 0,
                    of_tag(tag.is_some()),
                    start,
                    end,
                );
                self.attach(id, start)?;
                self.open.push(Open {
                    id,
                    anchor,
                    is_mapping: false,
                    keys: BTreeSet::new(),
                    key: None,
                });
            }
            Event::MappingStart(style, anchor, tag) => {
                let data = Data::Mapping(Vec::new());
                let id = self.push(
                    data,
                    structure(style),
                    anchor != 0,
                    of_tag(tag.is_some()),
                    start,
                    end,
                );
                self.attach(id, start)?;
                self.open.push(Open {
                    id,
                    anchor,
                    is_mapping: true,
                    keys: BTreeSet::new(),
                    key: None,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let end = self.offset(end);
                    let span = &mut self.document.nodes[open.id as usize].span;
                    span.end = end.max(span.start);
                    self.anchor(open.anchor, open.id);
                }
            }
            Event::DocumentStart(..) if self.finished => {
                return Err(self.error("content after the end of the document", start));
            }
            Event::DocumentEnd => self.finished = true,
            _ => {}
        }
        Ok(())
    }

    /// Refuses a text that is not what its tag says, as the parser of kubectl does.
    fn check_kind(&self, text: &str, kind: &str, at: Marker) -> Result<(), SyntaxError> {
        let scalar = Scalar::plain(text);
        let fits = match kind {
            "null" => matches!(scalar, Scalar::Null),
            "bool" => matches!(scalar, Scalar::Bool(_)),
            "int" => matches!(scalar, Scalar::Int(_)),
            _ => matches!(scalar, Scalar::Int(_) | Scalar::Float(_)),
        };
        if fits {
            return Ok(());
        }
        let found = scalar.type_name();
        Err(self.error(
            format!("the tag is `!!{kind}`, and `{text}` is {found}"),
            at,
        ))
    }

    fn push(
        &mut self,
        data: Data,
        style: Style,
        anchored: bool,
        tag: Tag,
        start: Marker,
        end: Marker,
    ) -> NodeId {
        let line = self.line(start);
        let column = u32::try_from(start.col())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let span = self.offset(start)..self.offset(end);
        // A document has fewer nodes than bytes, and a file of 4 GiB is refused by its reader.
        let id = NodeId::try_from(self.document.nodes.len()).unwrap_or(NodeId::MAX);
        self.document.nodes.push(Node {
            data,
            style,
            anchored,
            tag,
            block_scalar: false,
            span,
            line,
            column,
        });
        id
    }

    /// Puts a node into the collection that is open.
    fn attach(&mut self, id: NodeId, start: Marker) -> Result<(), SyntaxError> {
        let Some(open) = self.open.last_mut() else {
            self.document.root = Some(id);
            return Ok(());
        };
        let parent = open.id as usize;
        if !open.is_mapping {
            if let Data::Sequence(items) = &mut self.document.nodes[parent].data {
                items.push(id);
            }
            return Ok(());
        }
        if let Some(key) = open.key.take() {
            if let Data::Mapping(entries) = &mut self.document.nodes[parent].data {
                entries.push((key, id));
            }
            return Ok(());
        }
        open.key = Some(id);
        let Some(text) = self.document.scalar(id) else {
            return Err(self.error("a mapping key that is not a scalar", start));
        };
        let Data::Mapping(entries) = &self.document.nodes[parent].data else {
            return Ok(());
        };
        let keys = entries.iter().filter_map(|&(k, _)| self.document.scalar(k));
        let duplicate = if entries.len() < FEW_KEYS {
            keys.into_iter().any(|k| k == text)
        } else {
            if open.keys.is_empty() {
                open.keys.extend(keys.map(str::to_owned));
            }
            !open.keys.insert(text.to_owned())
        };
        if duplicate {
            let message = format!("duplicate key `{text}`");
            return Err(self.error(message, start));
        }
        Ok(())
    }

    fn anchor(&mut self, anchor: usize, id: NodeId) {
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
    }
}

fn structure(style: StructureStyle) -> Style {
    match style {
        StructureStyle::Block => Style::Block,
        StructureStyle::Flow => Style::Flow,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::yaml::{Document, NodeKind, split};

    fn parse(text: &str) -> Document {
        Document::parse(split(text)[0]).unwrap()
    }

    fn error(text: &str) -> String {
        let chunk = *split(text).last().unwrap();
        let e = Document::parse(chunk).unwrap_err();
        format!("{}:{}: {e}", e.line, e.column)
    }

    #[test]
    fn nodes_know_their_place() {
        let text = "# é\na: 1\nb:\n- x: [p, q]\n- 'y'\n";
        let document = parse(text);
        let root = document.root().unwrap();
        let b = root.get("b").unwrap();
        assert_eq!(b.kind(), NodeKind::Sequence);
        let flow = b.items().next().unwrap().get("x").unwrap();
        assert_eq!(
            (&text[flow.span()], flow.line(), flow.column()),
            ("[p, q]", 4, 6)
        );
        assert_eq!(&text[b.items().nth(1).unwrap().span()], "'y'");
    }

    #[test]
    fn aliases_and_merges_are_followed_and_marked_as_shared() {
        let document = parse("base: &b {p: 1, q: 2}\nuse: *b\nmerged:\n  <<: *b\n  q: 3\n");
        let root = document.root().unwrap();
        let text = |path: [&str; 2]| root.get(path[0]).unwrap().get(path[1]).unwrap();
        assert_eq!(text(["use", "p"]).text(), Some("1"));
        assert_eq!(text(["merged", "p"]).text(), Some("1"));
        assert_eq!(text(["merged", "q"]).text(), Some("3"));
        assert!(text(["use", "p"]).is_shared() && text(["merged", "p"]).is_shared());
        assert!(text(["base", "p"]).is_shared() && !text(["merged", "q"]).is_shared());
    }

    #[test]
    fn nested_merges_do_not_multiply() {
        let mut text = "a0: &a0 {k: 1}\n".to_owned();
        for i in 1..64 {
            let before = format!("*a{}", i - 1);
            let merges = [before.as_str(); 9].join(", ");
            let _ = writeln!(text, "a{i}: &a{i} {{<<: [{merges}], k{i}: 1}}");
        }
        let document = parse(&text);
        let last = document.root().unwrap().get("a63").unwrap();
        assert_eq!(last.entries().len(), 17);
    }

    #[test]
    fn what_kubectl_or_the_api_would_trip_over_is_an_error() {
        assert_eq!(
            error("x: 1\n---\na: 1\nb: 2\na: 3\n"),
            "5:1: duplicate key `a`"
        );
        assert_eq!(
            error("a: &a [*a]\n"),
            "1:8: an alias inside the node that it refers to"
        );
        assert_eq!(
            error("{[a]: 1}\n"),
            "1:2: a mapping key that is not a scalar"
        );
        assert!(error("a:\n\tb: 1\n").starts_with("2:"));
        assert!(error(&"[".repeat(100_000)).starts_with("1:129"));
    }
}
