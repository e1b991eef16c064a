//! From arguments to texts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ambient_facts::labels;

use super::gathered::{Gathered, LARGEST_FILE, io_message, linked, small_text};
use super::kustomize;
use super::{FileKind, POLICIES_FILE, Request, SourceFile};
use crate::model::shell_word;
use crate::yaml::Format;

/// A file to read.
struct Candidate {
    path: PathBuf,
    /// Named by the user, not found in a folder.
    explicit: bool,
}

/// Reads the files, folders and standard input of a request.
pub(super) fn gather(request: &Request, stdin: &mut dyn Read, gathered: &mut Gathered) {
    let mut candidates = Vec::new();
    let mut stdin_read = false;
    for path in &request.files {
        if path.as_os_str() == "-" {
            if !std::mem::replace(&mut stdin_read, true) {
                read_stream("-", stdin, gathered);
            }
        } else {
            find(path, request.recursive, &mut candidates, gathered);
        }
    }
    if request.companions {
        add_companions(&mut candidates, gathered);
        add_kustomizations(&candidates, gathered);
    }
    let skipped = kustomize::patches(candidates.iter().map(|c| c.path.as_path()));
    let charts: BTreeSet<PathBuf> = candidates
        .iter()
        .filter(|c| c.path.file_name() == Some(OsStr::new("Chart.yaml")))
        .filter_map(|c| c.path.parent().map(Path::to_owned))
        .collect();
    let mut seen: BTreeMap<PathBuf, String> = BTreeMap::new();
    for candidate in candidates {
        let path = &candidate.path;
        let name = path.display().to_string();
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if let Some(first) = seen.get(&identity) {
            if *first != name {
                gathered.note(&name, format!("the same file as `{first}`, read once"));
            }
            continue;
        }
        seen.insert(identity, name.clone());
        if let Some(why) = reason_to_skip(path, &skipped, &charts) {
            gathered.note(&name, why);
            if is_kustomization(path) {
                gathered.kustomizations.extend(kustomization(path, &name));
            }
        } else {
            read_file(&candidate, &name, gathered);
        }
    }
}

/// Finds what this program added beside files that the user named; without it, a second run on a
/// single file would add the same objects again.
fn add_companions(found: &mut Vec<Candidate>, gathered: &mut Gathered) {
    let beside = |c: &Candidate| c.path.with_file_name(POLICIES_FILE);
    let wanted: BTreeSet<PathBuf> = found.iter().filter(|c| c.explicit).map(beside).collect();
    for path in wanted {
        if found.iter().any(|c| c.path == path) || !is_ours(&path) {
            continue;
        }
        let name = path.display().to_string();
        gathered.note(&name, "read as well: `migrate --write` added it");
        found.push(Candidate {
            path,
            explicit: false,
        });
    }
}

/// Reads the kustomizations beside files that the user named: they decide whether what is added
/// there is built.
fn add_kustomizations(found: &[Candidate], gathered: &mut Gathered) {
    let beside = |c: &Candidate| kustomize::FILES.map(|name| c.path.with_file_name(name));
    let explicit = found.iter().filter(|c| c.explicit);
    let wanted: BTreeSet<PathBuf> = explicit.flat_map(beside).collect();
    for path in wanted {
        if !found.iter().any(|c| c.path == path) {
            let name = path.display().to_string();
            gathered.kustomizations.extend(kustomization(&path, &name));
        }
    }
}

/// Whether a file holds objects that this program wrote.
fn is_ours(path: &Path) -> bool {
    let label = format!("{}: {}", labels::MANAGED_BY, labels::MANAGED_BY_AMBIENT);
    small_text(path).is_some_and(|text| text.contains(&label))
}

fn is_kustomization(path: &Path) -> bool {
    let file = path.file_name().and_then(OsStr::to_str);
    file.is_some_and(|file| kustomize::FILES.contains(&file))
}

/// The text of a kustomization. Nothing depends on one that cannot be read.
fn kustomization(path: &Path, name: &str) -> Option<SourceFile> {
    Some(SourceFile {
        name: Arc::from(name),
        path: Some(path.to_owned()),
        link_to: linked(path),
        text: Arc::from(small_text(path)?),
        format: Format::Yaml,
        kind: FileKind::Kustomization,
    })
}

fn reason_to_skip(
    path: &Path,
    patches: &BTreeMap<PathBuf, &'static str>,
    charts: &BTreeSet<PathBuf>,
) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    if is_kustomization(path) {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).display();
        let directory = shell_word(&directory.to_string());
        return Some(format!(
            "a kustomization, not read; the files beside it are read as they are. To read what \
             kustomize makes of them: `-k {directory}`"
        ));
    }
    if let Some(field) = patches.get(&kustomize::normal(path)) {
        return Some(format!(
            "named in a kustomization under `{field}`, not read"
        ));
    }
    let in_chart = path.parent().is_some_and(|p| charts.contains(p));
    let of_chart = file == "Chart.yaml" || file == "Chart.lock" || file.starts_with("values");
    (in_chart && of_chart).then(|| {
        "part of a Helm chart, not read; render it first: `helm template … | kubectl ambient \
         migrate -f -`"
            .to_owned()
    })
}

/// Finds the files under one argument.
fn find(path: &Path, recursive: bool, found: &mut Vec<Candidate>, gathered: &mut Gathered) {
    let name = path.display().to_string();
    if name.starts_with("http://") || name.starts_with("https://") {
        let message = "addresses on the web are not read".to_owned();
        let address = shell_word(&name);
        let hint = format!("pipe it in: `curl -L {address} | kubectl ambient migrate -f -`");
        gathered.unreadable(&name, message, Some(&hint));
        return;
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let before = (found.len(), gathered.problems.len());
            let has_folders = walk(path, recursive, found, gathered);
            if before == (found.len(), gathered.problems.len()) {
                let hint =
                    (has_folders && !recursive).then_some("`-R` also reads the folders below it");
                let message = "no file here ends in `.yaml`, `.yml` or `.json`".to_owned();
                gathered.unreadable(&name, message, hint);
            }
        }
        Ok(_) => found.push(Candidate {
            path: path.to_owned(),
            explicit: true,
        }),
        Err(error) => gathered.unreadable(&name, io_message(&error), io_hint(&error)),
    }
}

/// Collects the manifests of a folder, sorted by path, and says whether there are folders in it.
/// Links to folders are not followed, as with kubectl, so there are no loops.
fn walk(
    directory: &Path,
    recursive: bool,
    found: &mut Vec<Candidate>,
    gathered: &mut Gathered,
) -> bool {
    let mut has_folders = false;
    let mut waiting = vec![directory.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(&directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let name = directory.display().to_string();
                gathered.unreadable(&name, io_message(&error), io_hint(&error));
                continue;
            }
        };
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().ok();
            if kind.is_some_and(|k| k.is_dir()) {
                has_folders = true;
                if recursive {
                    waiting.push(path);
                }
                continue;
            }
            if kind.is_some_and(|k| k.is_symlink()) && path.is_dir() {
                if recursive {
                    let name = path.display().to_string();
                    gathered.note(&name, "a link to a folder, not followed");
                }
                continue;
            }
            if is_manifest(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    found.extend(files.into_iter().map(|path| Candidate {
        path,
        explicit: false,
    }));
    has_folders
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    let named = matches!(extension, Some("yaml" | "yml" | "json"));
    named || path.file_name() == Some(OsStr::new("Kustomization"))
}

fn read_file(candidate: &Candidate, name: &str, gathered: &mut Gathered) {
    let path = &candidate.path;
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return gathered.unreadable(name, io_message(&error), io_hint(&error)),
    };
    if !metadata.is_file() && !candidate.explicit {
        return gathered.note(name, "not a regular file, not read");
    }
    match File::open(path) {
        Ok(mut file) if metadata.is_file() => {
            if metadata.len() > LARGEST_FILE {
                return too_large(name, gathered);
            }
            let bytes = read_limited(&mut file);
            took(
                name,
                Some(path.clone()),
                bytes,
                FileKind::Manifest,
                gathered,
            );
        }
        // A pipe, as `<(…)` of a shell makes them.
        Ok(mut file) => read_stream(name, &mut file, gathered),
        Err(error) => gathered.unreadable(name, io_message(&error), io_hint(&error)),
    }
}

fn read_stream(name: &str, stream: &mut dyn Read, gathered: &mut Gathered) {
    let bytes = read_limited(stream);
    took(name, None, bytes, FileKind::Stdin, gathered);
}

fn took(
    name: &str,
    path: Option<PathBuf>,
    bytes: io::Result<Option<Vec<u8>>>,
    kind: FileKind,
    gathered: &mut Gathered,
) {
    match bytes {
        Ok(Some(bytes)) => gathered.take(name, path, bytes, kind),
        Ok(None) => too_large(name, gathered),
        Err(error) => gathered.unreadable(name, io_message(&error), io_hint(&error)),
    }
}

fn too_large(name: &str, gathered: &mut Gathered) {
    let message = "larger than 512 MiB, the most that is read".to_owned();
    gathered.unreadable(name, message, Some("split it"));
}

/// All bytes; `None` when there are more than [`LARGEST_FILE`].
fn read_limited(stream: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    stream.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|n| n <= LARGEST_FILE);
    Ok(fits.then_some(bytes))
}

/// What to do about a path that cannot be read.
fn io_hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Some("check the path; relative ones start in the current folder")
        }
        io::ErrorKind::PermissionDenied => Some("check who may read it"),
        _ => None,
    }
}
