//! What a probe reports.

use std::time::Duration;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It works, but something about it should be known.
    Warn,
    /// It does not work.
    Fail,
}

impl Outcome {
    /// "ok", "warn" or "fail".
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One step of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name; the same step has the same name in every probe.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// What was seen, one fact each.
    pub seen: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// What to do about it, if it did not go well.
    pub advice: Option<String>,
}

impl Step {
    /// A step that went as it should.
    pub fn ok(name: impl Into<String>, took: Duration, seen: Vec<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            seen,
            took,
            advice: None,
        }
    }

    /// The same step with something to know about it.
    #[must_use]
    pub fn warn(self, advice: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Warn,
            advice: Some(advice.into()),
            ..self
        }
    }

    /// The same step as a failure.
    #[must_use]
    pub fn fail(self, advice: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Fail,
            advice: Some(advice.into()),
            ..self
        }
    }
}

/// The door of the server that a datagram goes to or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// UDP 500.
    Ike,
    /// UDP 4500, with the framing of RFC 3948.
    NatT,
    /// UDP 1701.
    L2tp,
}

impl Door {
    /// The server's port.
    pub fn port(self) -> u16 {
        match self {
            Self::Ike => 500,
            Self::NatT => 4500,
            Self::L2tp => 1701,
        }
    }
}
