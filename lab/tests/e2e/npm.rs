//! Audits and types that npm has: fetched by their lock files, into a folder of the build's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

/// A copy of the folder `sources`, its `files` and the packages of its lock file.
pub async fn installed(sources: &Path, files: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(sources.file_name().unwrap());
    fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json"].iter().chain(files) {
        fs::copy(sources.join(file), folder.join(file)).unwrap();
    }
    run(
        Command::new("npm").args(["ci", "--no-fund", "--no-audit"]),
        &folder,
    )
    .await;
    folder
}

/// What a program says that succeeds.
pub async fn run(command: &mut Command, folder: &Path) -> String {
    let program = command.as_std().get_program();
    let program = program.to_string_lossy().into_owned();
    let output = command
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| {
            panic!("cannot run {program} ({error}): `./dev install` installs it")
        });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} fails: {said}{complaints}"
    );
    said
}
