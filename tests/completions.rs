//! `completions/` holds what the program generates. `UPDATE=1 cargo test --test completions`
//! writes it anew.

use std::path::{Path, PathBuf};

use kubectl_ambient::cli::{self, Shell};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions")
}

/// File names as the shells look for them.
fn generated() -> [(&'static str, Vec<u8>); 4] {
    [
        ("kubectl-ambient.bash", Shell::Bash),
        ("_kubectl-ambient", Shell::Zsh),
        ("kubectl-ambient.fish", Shell::Fish),
        ("_kubectl-ambient.ps1", Shell::Powershell),
    ]
    .map(|(name, shell)| (name, cli::completion_script(shell)))
}

#[test]
fn the_scripts_are_those_that_the_program_prints() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    for (name, script) in generated() {
        let path = folder().join(name);
        if update {
            std::fs::write(&path, &script).unwrap();
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(
            kept == script,
            "completions/{name} is out of date: run `UPDATE=1 cargo test --test completions`"
        );
    }
}

#[test]
fn nothing_else_is_in_the_folder() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    insta::assert_snapshot!(names.join("\n"), @"
    _kubectl-ambient
    _kubectl-ambient.ps1
    kubectl-ambient.bash
    kubectl-ambient.fish
    kubectl_complete-ambient
    ");
}

/// kubectl runs the shim, and the shim runs the binary under the shim's own name.
#[test]
#[cfg(unix)]
fn the_shim_completes_through_the_plugin_on_the_path() {
    use std::os::unix::fs::PermissionsExt as _;

    let shim = folder().join("kubectl_complete-ambient");
    let mode = std::fs::metadata(&shim).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "the shim has to be executable");

    let binary = Path::new(env!("CARGO_BIN_EXE_kubectl-ambient"));
    let path = std::env::join_paths([
        binary.parent().unwrap(),
        Path::new("/usr/bin"),
        Path::new("/bin"),
    ]);
    let output = std::process::Command::new(&shim)
        .args(["policy", "l"])
        .env("PATH", path.unwrap())
        .output()
        .unwrap();
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @"
    list	List who may connect to whom
    :4
    ");
}
