//! Passwords in memory.

use zeroize::Zeroizing;

/// A password: wiped on drop, compared in constant time, never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a copy of a password, which is UTF-8 where it comes from a configuration.
    pub fn new(password: &[u8]) -> Self {
        Self(Zeroizing::new(password.to_vec()))
    }

    /// The password itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The password as text: UTF-8, or ISO 8859-1 (Apple's clients) where it is not that.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(match std::str::from_utf8(&self.0) {
            Ok(text) => text.to_owned(),
            Err(_) => self.0.iter().copied().map(char::from).collect(),
        })
    }

    /// The password in ISO 8859-1, where that differs from what is stored and exists.
    pub(crate) fn latin1(&self) -> Option<Self> {
        if self.0.is_ascii() {
            return None;
        }
        let text = std::str::from_utf8(&self.0).ok()?;
        let bytes = text
            .chars()
            .map(u8::try_from)
            .collect::<Result<Vec<u8>, _>>();
        bytes.ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

impl From<&str> for Secret {
    fn from(password: &str) -> Self {
        Self::new(password.as_bytes())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        adit_crypto::constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
