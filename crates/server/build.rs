//! Puts the web pages into the server: what `make web` left in `web/dist`, as a table of bytes.
//!
//! A build without Node finds nothing there and makes an empty table; the server then answers with
//! a page that says how to build the rest ([`web.rs`](src/web.rs)).

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The forms in which a file may lie beside itself, and how HTTP calls them.
const CODINGS: [(&str, &str); 2] = [("brotli", "br"), ("gzip", "gz")];

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = manifest.join("../../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    // Tracked with one hidden file in it, so that it is always there to be watched.
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.join("demo/index.html").is_file() {
        collect(&dist, &mut files)?;
        files.sort();
    }
    let mut table = String::from("&[\n");
    for file in &files {
        entry(&dist, file, &mut table)?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("web_files.rs"), table)
}

/// Every file of the folder that is no packed form of another, and is not hidden.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let packed = CODINGS.iter().any(|(_, ending)| name.ends_with(&format!(".{ending}")));
        if path.is_dir() {
            collect(&path, files)?;
        } else if !packed && !name.starts_with('.') {
            files.push(path);
        }
    }
    Ok(())
}

fn entry(dist: &Path, file: &Path, table: &mut String) -> io::Result<()> {
    let absolute = file.canonicalize()?;
    let name = file.strip_prefix(dist).unwrap_or(file).to_string_lossy().replace('\\', "/");
    let mut hasher = DefaultHasher::new();
    fs::read(&absolute)?.hash(&mut hasher);
    let mut line = format!(
        "    File {{ name: {name:?}, tag: \"\\\"{:016x}\\\"\", plain: include_bytes!({absolute:?})",
        hasher.finish()
    );
    for (coding, ending) in CODINGS {
        let packed = PathBuf::from(format!("{}.{ending}", absolute.display()));
        let value = if packed.is_file() {
            format!("Some(include_bytes!({packed:?}))")
        } else {
            "None".to_owned()
        };
        let _ = write!(line, ", {coding}: {value}");
    }
    table.push_str(&line);
    table.push_str(" },\n");
    Ok(())
}
