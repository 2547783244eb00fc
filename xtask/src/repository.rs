//! The files of the repository: what git tracks or would track, never what it ignores.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the root of the repository").to_owned()
}

/// Every file, relative to the root, with `/` between folders.
///
/// # Errors
///
/// When git cannot be run or does not know the folder.
pub fn files() -> io::Result<Vec<String>> {
    let root = root();
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let mut files: Vec<String> = names
        .split('\0')
        // A file that was removed but not yet committed is still listed.
        .filter(|name| !name.is_empty() && root.join(name).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// The files whose names end so, with their texts.
///
/// # Errors
///
/// When a file cannot be read or is not UTF-8.
pub fn texts(suffix: &str) -> io::Result<Vec<(String, String)>> {
    let root = root();
    files()?
        .into_iter()
        .filter(|name| name.ends_with(suffix))
        .map(|name| {
            let text = std::fs::read_to_string(root.join(&name))
                .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
            Ok((name, text))
        })
        .collect()
}

/// The largest file that may be tracked, in bytes: 512 KiB. A repository is cloned whole, for ever.
pub const FILE_BYTES_MAX: usize = 512 << 10;

/// Where files that are not text may lie: old versions of the log's format, and pictures.
const BINARY_FOLDERS: [&str; 3] = ["/golden/", "/images/", "/fonts/"];

/// What is wrong with a file's name and bytes, whatever it holds.
#[must_use]
pub fn check_bytes(name: &str, bytes: &[u8]) -> Option<String> {
    if bytes.len() > FILE_BYTES_MAX {
        return Some(format!("{} bytes; at most {FILE_BYTES_MAX} are tracked", bytes.len()));
    }
    let allowed = BINARY_FOLDERS.iter().any(|folder| name.contains(folder));
    if bytes.contains(&0) && !allowed {
        let folders = BINARY_FOLDERS.join(", ");
        return Some(format!("it is not text; only folders named {folders} may hold such files"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_binary_files_are_found() {
        assert!(check_bytes("a", &vec![b'a'; FILE_BYTES_MAX + 1]).is_some());
        assert!(check_bytes("a", b"\0").is_some());
        assert_eq!(check_bytes("crates/log/tests/golden/v1.segment", b"\0"), None);
        assert_eq!(check_bytes("a", b"text"), None);
    }

    #[test]
    fn this_file_is_listed_and_the_build_folder_is_not() {
        let files = files().unwrap();
        assert!(files.iter().any(|name| name == "xtask/src/repository.rs"));
        assert!(!files.iter().any(|name| name.starts_with("target/")));
    }
}
