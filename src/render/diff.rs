//! Unified diffs that `git apply` and `patch -p1` take.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use similar::{Algorithm, DiffOp, DiffTag};

use crate::sink::FileChange;

use super::text::{Count, Role, Style, escape_line, is_deceptive};

/// Lines of context around a change, as git shows them.
const CONTEXT: usize = 3;

/// The unified diff of all files; empty when nothing differs. Its paths start from the folder that
/// the user is in, so that it can be applied there, or from the root where a file is elsewhere.
pub fn diff(files: &[FileChange], folder: Option<&Path>, style: Style) -> String {
    let start = Start::of(files, folder);
    let mut text = String::new();
    for file in files.iter().filter(|f| differs(f)) {
        append_file(&mut text, file, &start.path(&place(file)), style);
    }
    text
}

/// How much a diff holds, in one line, and how to apply it where that is not plain; empty when
/// nothing differs.
pub fn diff_summary(files: &[FileChange], folder: Option<&Path>) -> String {
    let differing: Vec<&FileChange> = files.iter().filter(|f| differs(f)).collect();
    let added = differing.iter().filter(|f| f.before.is_none()).count();
    let mut text = match (differing.len() - added, added) {
        (0, 0) => return String::new(),
        (0, added) => format!("{} added\n", Count(added, "file")),
        (changed, 0) => format!("{} changed\n", Count(changed, "file")),
        (changed, added) => format!("{} changed, {added} added\n", Count(changed, "file")),
    };
    if let Start::Root(_) = Start::of(files, folder) {
        text.push_str(
            "not all of them are below the current folder, so `patch -p1 -d /` applies the diff\n",
        );
    }
    text
}

/// The file that a change is made to: where a link leads, for `patch` refuses to follow it.
fn place(file: &FileChange) -> Cow<'_, str> {
    match &file.link_to {
        Some(path) => path.to_string_lossy(),
        None => Cow::Borrowed(&*file.name),
    }
}

/// Whether a file is new or its text changes.
pub fn differs(file: &FileChange) -> bool {
    file.before.as_deref() != Some(&*file.after)
}

fn append_file(text: &mut String, file: &FileChange, path: &str, style: Style) {
    let old = quoted("a/", path);
    let new = quoted("b/", path);
    let mut heading = |line: String| {
        _ = writeln!(text, "{}", style.paint(Role::Heading, &line));
    };
    heading(format!("diff --git {old} {new}"));
    if file.before.is_none() {
        heading("new file mode 100644".to_owned());
    }
    let before = lines(file.before.as_deref().unwrap_or_default());
    let after = lines(&file.after);
    if before == after {
        // A new empty file has no hunks, and then no file lines either.
        return;
    }
    // A tab ends a name with blanks in it.
    let end = if path.contains(' ') { "\t" } else { "" };
    match &file.before {
        Some(_) => heading(format!("--- {old}{end}")),
        None => heading("--- /dev/null".to_owned()),
    }
    heading(format!("+++ {new}{end}"));
    let operations = similar::capture_diff_slices(Algorithm::Myers, &before, &after);
    for hunk in similar::group_diff_ops(operations, CONTEXT) {
        append_hunk(text, &hunk, &before, &after, style);
    }
}

/// A text cut after every line feed. A lone carriage return does not end a line for `patch`.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn append_hunk(text: &mut String, hunk: &[DiffOp], before: &[&str], after: &[&str], style: Style) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return;
    };
    let old = position(first.old_range().start, last.old_range().end);
    let new = position(first.new_range().start, last.new_range().end);
    let header = style.paint(Role::Hunk, &format!("@@ -{old} +{new} @@"));
    _ = writeln!(text, "{header}");
    for operation in hunk {
        let removed = before.get(operation.old_range()).unwrap_or_default();
        let added = after.get(operation.new_range()).unwrap_or_default();
        if operation.tag() == DiffTag::Equal {
            append_lines(text, ' ', removed, None, style);
        } else {
            append_lines(text, '-', removed, Some(Role::Removed), style);
            append_lines(text, '+', added, Some(Role::Added), style);
        }
    }
}

fn append_lines(text: &mut String, sign: char, lines: &[&str], role: Option<Role>, style: Style) {
    for line in lines {
        let ended = line.strip_suffix('\n');
        let content = ended.unwrap_or(line);
        let content = if style.terminal {
            escape_line(content.strip_suffix('\r').unwrap_or(content))
        } else {
            Cow::Borrowed(content)
        };
        let content = format!("{sign}{content}");
        match role {
            Some(role) => text.push_str(&style.paint(role, &content)),
            None => text.push_str(&content),
        }
        text.push('\n');
        if ended.is_none() {
            text.push_str("\\ No newline at end of file\n");
        }
    }
}

/// Start and length of a side of a hunk. An empty side names the line before it, and a length of
/// one is left out (POSIX `diff -u`).
fn position(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// Where the paths of a diff start. `patch` and `git apply` refuse absolute paths and `..`.
#[derive(Debug, PartialEq, Eq)]
enum Start<'f> {
    /// The folder that the user is in.
    Folder(Option<&'f Path>),
    /// The root: a file is not below that folder.
    Root(&'f Path),
}

impl<'f> Start<'f> {
    fn of(files: &[FileChange], folder: Option<&'f Path>) -> Self {
        let differing = || files.iter().filter(|f| differs(f) && &*f.name != "-");
        match folder {
            Some(root) if differing().any(|f| below(&place(f), folder).is_none()) => {
                Self::Root(root)
            }
            folder => Self::Folder(folder),
        }
    }

    /// The path of a file from there.
    fn path(&self, name: &str) -> String {
        if name == "-" {
            return "stdin.yaml".to_owned();
        }
        let path = match self {
            Self::Folder(folder) => below(name, *folder).unwrap_or_else(|| normal(name.as_ref()).1),
            Self::Root(folder) => normal(&folder.join(name)).1,
        };
        let names = path.iter().map(|name| name.to_string_lossy());
        names.collect::<Vec<_>>().join("/")
    }
}

/// The path of a file from a folder, when it is below it.
fn below(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    let name = Path::new(name);
    let (up, path) = normal(name);
    if up == 0 && !name.has_root() {
        return Some(path);
    }
    let folder = folder?;
    let (_, path) = normal(&folder.join(name));
    let below = path.strip_prefix(normal(folder).1).ok()?;
    Some(below.to_owned())
}

/// The path without a root, `.` and `..`, and how many folders it leads up from where it starts.
fn normal(path: &Path) -> (usize, PathBuf) {
    let mut up = 0;
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir if !normal.pop() => up += 1,
            Component::ParentDir
            | Component::CurDir
            | Component::RootDir
            | Component::Prefix(_) => {}
        }
    }
    (up, normal)
}

/// The path as git writes it: in quotes, with C escapes, where it has characters that need them.
fn quoted(prefix: &str, path: &str) -> String {
    let plain = |c: char| !(is_deceptive(c) || c == '"' || c == '\\');
    if path.chars().all(plain) {
        return format!("{prefix}{path}");
    }
    let mut text = format!("\"{prefix}");
    for c in path.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c if is_deceptive(c) => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    _ = write!(text, "\\{byte:03o}");
                }
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests;
