//! Secrets at rest: comm keys and tokens are sealed with a key that lives beside the database, never in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// The key of a data directory.
#[derive(Clone)]
pub struct SecretKey(ChaCha20Poly1305);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// From `ZK_BRIDGE_SECRET_KEY`, else the file `ZK_BRIDGE_SECRET_KEY_FILE` names, else `secret.key` in the data
    /// directory, which is made (mode 0600) when it is missing.
    pub fn load(data_dir: &Path) -> anyhow::Result<Self> {
        if let Ok(text) = std::env::var("ZK_BRIDGE_SECRET_KEY") {
            return Self::parse(&text, "ZK_BRIDGE_SECRET_KEY");
        }
        let path = key_file(data_dir);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(&path),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    fn parse(text: &str, source: &str) -> anyhow::Result<Self> {
        let bytes = unhex(text.trim()).filter(|bytes| bytes.len() == 32).ok_or_else(|| {
            Failure::new(
                "secret_key",
                format!("{source} does not hold a key of 64 hexadecimal digits."),
                "Restore the key from your backup; without it the stored comm keys must be entered again.",
            )
        })?;
        let key = Key::try_from(bytes.as_slice()).context("a key of 32 bytes")?;
        Ok(Self(ChaCha20Poly1305::new(&key)))
    }

    fn create(path: &Path) -> anyhow::Result<Self> {
        let text = hex(&random::<32>());
        match write_new(path, &text) {
            Ok(()) => Self::parse(&text, "the new key"),
            // Another process was first; its key counts.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
                Self::parse(&text, &path.display().to_string())
            }
            Err(error) => Err(unusable(path, &error)),
        }
    }

    /// Encrypts for the database: hex of nonce and ciphertext.
    pub fn seal(&self, plain: &str) -> anyhow::Result<String> {
        let nonce = random::<12>();
        let sealed = self
            .0
            .encrypt(&Nonce::from(nonce), plain.as_bytes())
            .map_err(|_| anyhow::anyhow!("a secret could not be sealed"))?;
        Ok(hex(&nonce) + &hex(&sealed))
    }

    /// Decrypts what [`seal`](Self::seal) made.
    pub fn open(&self, sealed: &str) -> anyhow::Result<String> {
        let wrong = || {
            Failure::new(
                "secret_key",
                "A stored secret cannot be opened with this data directory's key.",
                "Put the original secret.key back, or enter the comm key again with `zk-bridge device edit`.",
            )
        };
        let bytes = unhex(sealed).ok_or_else(wrong)?;
        let (nonce, body) = bytes.split_at_checked(12).ok_or_else(wrong)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| wrong())?;
        let plain = self.0.decrypt(&nonce, body).map_err(|_| wrong())?;
        Ok(String::from_utf8(plain).map_err(|_| wrong())?)
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Failure::new(
        "data_dir",
        format!("The key file {} cannot be used: {error}.", path.display()),
        "Check that the data directory exists and belongs to you, or choose another with --data-dir.",
    )
    .into()
}

/// The key in use, as text; for a backup that shall hold it.
pub fn export(data_dir: &Path) -> anyhow::Result<String> {
    // Makes it if there is none, and knows whether it is one.
    SecretKey::load(data_dir)?;
    if let Ok(text) = std::env::var("ZK_BRIDGE_SECRET_KEY") {
        return Ok(text.trim().to_owned());
    }
    let path = key_file(data_dir);
    let text = fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
    Ok(text.trim().to_owned())
}

/// The key of a backup, written beside the one in use; gone again unless it is [put in its place](Self::put_in_place).
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// Where it lies; none if nothing is to be done.
    ready: Option<PathBuf>,
}

impl Staged {
    /// Writes it, so that little can fail later.
    pub fn write(data_dir: &Path, key: &str) -> anyhow::Result<Self> {
        let path = key_file(data_dir);
        if std::env::var_os("ZK_BRIDGE_SECRET_KEY").is_some() {
            // The environment wins anyway; what is in the file would only mislead.
            return Ok(Self { path, ready: None });
        }
        SecretKey::parse(key, "The backup")?;
        match fs::read_to_string(&path) {
            Ok(text) if text.trim() == key => return Ok(Self { path, ready: None }),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unusable(&path, &error));
            }
            _ => {}
        }
        sweep(&path);
        let ready = beside(&path, UNFINISHED);
        write_new(&ready, key).map_err(|error| unusable(&ready, &error))?;
        Ok(Self {
            path,
            ready: Some(ready),
        })
    }

    /// The one that was written under this name by a process that died; none if it was in another data directory.
    pub fn find(data_dir: &Path, name: &str) -> anyhow::Result<Option<Self>> {
        let path = key_file(data_dir);
        let ready = path.with_file_name(name);
        let is_one = ready
            .file_name()
            .is_some_and(|found| found == name && name.ends_with(UNFINISHED));
        if !is_one || !ready.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&ready).map_err(|error| unusable(&ready, &error))?;
        SecretKey::parse(&text, name)?;
        Ok(Some(Self {
            path,
            ready: Some(ready),
        }))
    }

    /// The name of its file; none if nothing is to be done.
    pub fn name(&self) -> Option<&str> {
        self.ready.as_ref()?.file_name()?.to_str()
    }

    /// Leaves it where it is, to be [found](Self::find).
    pub fn leave(mut self) {
        self.ready = None;
    }

    /// Makes it the key in use. Another one that lies there is kept beside it.
    pub fn put_in_place(mut self) -> anyhow::Result<()> {
        let Some(ready) = self.ready.take() else {
            return Ok(());
        };
        let moved = match fs::hard_link(&self.path, beside(&self.path, ".replaced")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(&ready, &self.path),
        };
        moved.map_err(|error| unusable(&self.path, &error))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(ready) = &self.ready {
            // Whoever cannot remove it finds it named as what it is.
            let _ = fs::remove_file(ready);
        }
    }
}

const UNFINISHED: &str = ".unfinished";

/// Removes keys that were written beside this one and never put in their place. Who restores does so alone.
fn sweep(path: &Path) {
    let Some((dir, name)) = path.parent().zip(path.file_name()) else {
        return;
    };
    let begin = format!("{}.", name.to_string_lossy());
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&begin) && found.ends_with(UNFINISHED) {
            // What cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    name.push(format!(".{}{end}", hex(&random::<4>())));
    name.into()
}

fn key_file(data_dir: &Path) -> PathBuf {
    std::env::var_os("ZK_BRIDGE_SECRET_KEY_FILE")
        .map_or_else(|| data_dir.join("secret.key"), PathBuf::from)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Random bytes from the operating system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Bytes from hexadecimal, or `None`.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// The hash under which a random token is stored: it has enough entropy to need no salt.
pub fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_with_its_key() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = SecretKey::load(one.path()).unwrap();
        let sealed = key.seal("123456").unwrap();
        assert!(!sealed.contains("123456"));
        assert_eq!(
            SecretKey::load(one.path()).unwrap().open(&sealed).unwrap(),
            "123456"
        );
        assert!(
            SecretKey::load(other.path())
                .unwrap()
                .open(&sealed)
                .is_err()
        );
    }

    #[test]
    fn a_key_that_was_not_put_in_its_place_leaves_the_old_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let old = export(dir.path()).unwrap();
        let new = "0".repeat(64);
        let names = || fs::read_dir(dir.path()).unwrap().count();
        drop(Staged::write(dir.path(), &new).unwrap());
        assert_eq!((export(dir.path()).unwrap(), names()), (old, 1));
        let staged = Staged::write(dir.path(), &new).unwrap();
        staged.put_in_place().unwrap();
        assert_eq!((export(dir.path()).unwrap(), names()), (new, 2));
    }

    #[test]
    fn each_sealing_differs() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::load(dir.path()).unwrap();
        assert_ne!(key.seal("7").unwrap(), key.seal("7").unwrap());
    }
}
