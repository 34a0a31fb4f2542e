//! What fuzzing found, and where it started: every law for every committed input.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[path = "../../../fuzz/laws.rs"]
#[expect(
    clippy::disallowed_methods,
    reason = "the laws need some instant to start from"
)]
#[expect(unreachable_pub, reason = "public for the fuzz targets")]
mod laws;

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} belongs to the repository: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds nothing", folder.display());
    paths
}

#[test]
fn no_find_and_no_seed_breaks_a_law() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let finds = inputs(&fuzz.join("regressions"));
    for (name, law) in laws::LAWS {
        let seeds = inputs(&fuzz.join("seeds").join(name));
        for path in finds.iter().chain(&seeds) {
            eprintln!("{name}: {}", path.display());
            law(&fs::read(path).unwrap());
        }
    }
}
