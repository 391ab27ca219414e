//! Names of content: SHA-256 digests, and the commits that releases are made of.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:<64 hexadecimal digits>` (OCI image specification, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^sha256:[0-9a-f]{64}$"))]
pub struct Digest([u8; 32]);

/// Why a text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest; write sha256: and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

impl Digest {
    /// Length of its text, in bytes.
    pub(crate) const LENGTH: usize = "sha256:".len() + 64;

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of some texts, each with a line feed after it.
    pub(crate) fn of_lines<'l>(lines: impl IntoIterator<Item = &'l str>) -> Self {
        let mut hash = Sha256::new();
        for line in lines {
            hash.update(line);
            hash.update("\n");
        }
        Self(hash.finalize().into())
    }

    /// Returns the digest of a file, which is not read into memory. Reads on a thread that may block.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn of_file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 64 << 10]);
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(Self(hash.finalize().into())),
                    read => hash.update(&buffer[..read]),
                }
            }
        });
        reading.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Its 32 bytes.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The 64 hexadecimal digits alone.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// The digest of bytes that come piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all bytes so far.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").ok_or(InvalidDigest)?;
        if hex.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidDigest);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex, &mut bytes).map_err(|_| InvalidDigest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of the content that a release is made of: a Git commit (40 or 64 hexadecimal digits), or, for a folder that
/// is not one, the SHA-256 of its tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
pub struct CommitSha(String);

/// Why a text is not a [`CommitSha`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a commit; write its full hash, 40 or 64 lower-case hexadecimal digits")]
pub struct InvalidCommit;

impl CommitSha {
    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl From<Digest> for CommitSha {
    fn from(tree: Digest) -> Self {
        Self(tree.hex())
    }
}

impl FromStr for CommitSha {
    type Err = InvalidCommit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits && matches!(text.len(), 40 | 64) { Ok(Self(text.to_owned())) } else { Err(InvalidCommit) }
    }
}

impl TryFrom<String> for CommitSha {
    type Error = InvalidCommit;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CommitSha> for String {
    fn from(commit: CommitSha) -> Self {
        commit.0
    }
}

impl fmt::Display for CommitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// The file is a pipe that gets its content, and its end, after another task of the same thread ran.
    #[tokio::test]
    async fn digest_of_a_slow_file_leaves_the_thread_to_other_tasks() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let (other_ran, ran) = mpsc::channel();
        let feeding = std::thread::spawn(move || {
            let other_ran = ran.recv_timeout(Duration::from_secs(10)).is_ok();
            writer.write_all(b"{}").unwrap();
            other_ran
        });
        let (digest, sent) = tokio::join!(Digest::of_file(path), async move { other_ran.send(()) });
        sent.unwrap();
        assert_eq!(digest.unwrap(), Digest::of(b"{}"));
        assert!(feeding.join().unwrap(), "the digest kept the thread until the file ended");
    }

    #[test]
    fn digests_have_one_spelling() {
        let digest = Digest::of(b"{}");
        let text = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        for bad in
            ["", "sha256:", "sha256:abc", &text.to_uppercase(), &format!("{text}0"), &text.replace("sha256", "sha512")]
        {
            assert_eq!(bad.parse::<Digest>(), Err(InvalidDigest), "{bad:?}");
        }
    }

    #[test]
    fn commit_that_is_no_full_hash_is_refused() {
        assert!("0123456789abcdef0123456789abcdef01234567".parse::<CommitSha>().is_ok());
        for bad in [
            "",
            "0123456",
            "main",
            "0123456789ABCDEF0123456789ABCDEF01234567",
            "../../../../../../../../../../../../../etc",
        ] {
            assert_eq!(bad.parse::<CommitSha>(), Err(InvalidCommit), "{bad:?}");
        }
    }
}
