//! Why something is closed: the Result Code AVP of CDN and StopCCN with its error code and text
//! (RFC 2661 4.4.2), and what a Q.931 cause adds. It never decides what to close.

use crate::avp::{Avp, AvpError};
use crate::message::{ResultCode, text};

macro_rules! codes {
    ($(#[$doc:meta])* $code:ident { $($name:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $code(pub u16);

        impl $code {
            $(#[doc = $text] pub const $name: Self = Self($value);)*

            /// What RFC 2661 says of it; `None` for a number that it does not define.
            pub const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $code {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.text() {
                    Some(text) => write!(f, "{text} ({})", self.0),
                    None => write!(f, "code {}", self.0),
                }
            }
        }
    };
}

codes! {
    /// The result code of a CDN. 0 is none that could be read.
    CallResult {
        LOST_CARRIER = 1, "carrier lost";
        GENERAL = 2, "general error";
        ADMINISTRATIVE = 3, "closed for administrative reasons";
        NO_FACILITIES_NOW = 4, "no facilities at the moment";
        NO_FACILITIES = 5, "no such facilities";
        INVALID_DESTINATION = 6, "invalid destination";
        NO_CARRIER = 7, "no carrier";
        BUSY = 8, "busy";
        NO_DIAL_TONE = 9, "no dial tone";
        NOT_IN_TIME = 10, "not established in time";
        NO_FRAMING = 11, "no appropriate framing";
    }
}

codes! {
    /// The result code of a StopCCN. 0 is none that could be read.
    StopResult {
        CLEAR = 1, "control connection closed";
        GENERAL = 2, "general error";
        ALREADY_EXISTS = 3, "control channel already exists";
        NOT_AUTHORIZED = 4, "not authorized";
        PROTOCOL_VERSION = 5, "protocol version not supported";
        SHUTTING_DOWN = 6, "shutting down";
        STATE_MACHINE = 7, "message out of turn";
    }
}

codes! {
    /// The general error code of both.
    GeneralError {
        NONE = 0, "no general error";
        NO_CONTROL_CONNECTION = 1, "no control connection yet";
        WRONG_LENGTH = 2, "wrong length";
        OUT_OF_RANGE = 3, "field out of range";
        NO_RESOURCES = 4, "out of resources";
        INVALID_SESSION = 5, "session ID invalid here";
        VENDOR = 6, "vendor-specific error";
        TRY_ANOTHER = 7, "try another";
        UNKNOWN_MANDATORY = 8, "unknown mandatory AVP";
    }
}

/// A Q.931 Cause Code AVP: why a call over ISDN was closed (RFC 2661 4.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Q931Cause {
    /// The cause code (ITU-T Q.850).
    pub code: u16,
    /// The message type of Q.931 that carried it.
    pub message: u8,
    /// A text, made fit to be shown; may be empty.
    pub advisory: String,
}

impl Q931Cause {
    pub(crate) fn read(avp: &Avp<'_>) -> Result<Self, AvpError> {
        let [high, low, message, advisory @ ..] = avp.value else {
            return Err(avp.not_of_length(3));
        };
        Ok(Self {
            code: u16::from_be_bytes([*high, *low]),
            message: *message,
            advisory: text(advisory),
        })
    }
}

impl std::fmt::Display for Q931Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Q.931 cause {}", self.code)?;
        if !self.advisory.is_empty() {
            write!(f, " {}", self.advisory)?;
        }
        Ok(())
    }
}

/// Why a session is closed: what a CDN says, the peer's or ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallDisconnect {
    /// The result code.
    pub result: CallResult,
    /// The general error code.
    pub error: GeneralError,
    /// A text for the other end's log; may be empty, 200 bytes of it are sent.
    pub message: String,
    /// What an ISDN line said.
    pub q931: Option<Q931Cause>,
}

impl CallDisconnect {
    /// This result, with its meaning for a text.
    pub fn new(result: CallResult) -> Self {
        Self {
            result,
            message: result.text().unwrap_or_default().to_owned(),
            ..Self::default()
        }
    }

    /// For administrative reasons.
    pub fn administrative() -> Self {
        Self::new(CallResult::ADMINISTRATIVE)
    }

    /// No room at the moment, for the reason in `message`: the peer may try another server.
    pub fn no_room(message: impl Into<String>) -> Self {
        Self {
            result: CallResult::NO_FACILITIES_NOW,
            error: GeneralError::TRY_ANOTHER,
            message: message.into(),
            q931: None,
        }
    }

    pub(crate) fn of_peer(result: ResultCode, q931: Option<Q931Cause>) -> Self {
        Self {
            result: CallResult(result.result),
            error: GeneralError(result.error),
            message: result.message,
            q931,
        }
    }
}

impl std::fmt::Display for CallDisconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = new_text(&self.message, self.result.text());
        say(f, &self.result, self.error, message)?;
        match &self.q931 {
            Some(cause) => write!(f, ", {cause}"),
            None => Ok(()),
        }
    }
}

/// Why a tunnel is closed: what a StopCCN says, the peer's or ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// The result code.
    pub result: StopResult,
    /// The general error code; of [`StopResult::PROTOCOL_VERSION`], the highest version that is
    /// spoken.
    pub error: GeneralError,
    /// A text for the other end's log; may be empty, 200 bytes of it are sent.
    pub message: String,
}

impl Stop {
    /// This result, with its meaning for a text.
    pub fn new(result: StopResult) -> Self {
        Self {
            result,
            error: GeneralError::NONE,
            message: result.text().unwrap_or_default().to_owned(),
        }
    }

    /// The general request to clear the control connection.
    pub fn clear() -> Self {
        Self::new(StopResult::CLEAR)
    }

    /// The sender is being shut down.
    pub fn shutting_down() -> Self {
        Self::new(StopResult::SHUTTING_DOWN)
    }

    /// A request to clear, since RFC 2661 has no code for a control connection that took too long.
    pub(crate) fn not_in_time() -> Self {
        Self {
            message: "the control connection was not established in time".into(),
            ..Self::clear()
        }
    }

    pub(crate) fn of_peer(result: ResultCode) -> Self {
        Self {
            result: StopResult(result.result),
            error: GeneralError(result.error),
            message: result.message,
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = new_text(&self.message, self.result.text());
        if self.result != StopResult::PROTOCOL_VERSION {
            return say(f, &self.result, self.error, message);
        }
        let [version, revision] = self.error.0.to_be_bytes();
        say(f, &self.result, GeneralError::NONE, message)?;
        write!(f, ", its highest is {version}.{revision}")
    }
}

/// A peer's text, unless it only repeats what its result means.
fn new_text<'a>(message: &'a str, meaning: Option<&str>) -> &'a str {
    if Some(message) == meaning {
        ""
    } else {
        message
    }
}

/// The result, then what the rest adds to it.
fn say(
    f: &mut std::fmt::Formatter<'_>,
    result: &dyn std::fmt::Display,
    error: GeneralError,
    message: &str,
) -> std::fmt::Result {
    write!(f, "{result}")?;
    if error != GeneralError::NONE {
        write!(f, ", {error}")?;
    }
    if !message.is_empty() {
        write!(f, ": {message}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_read_what_was_meant() {
        let full = CallDisconnect::no_room("all sessions are in use");
        assert_eq!(
            full.to_string(),
            "no facilities at the moment (4), try another (7): all sessions are in use"
        );
        let silent = CallDisconnect {
            result: CallResult(77),
            ..CallDisconnect::default()
        };
        assert_eq!(silent.to_string(), "code 77");
        let isdn = CallDisconnect {
            result: CallResult::BUSY,
            q931: Some(Q931Cause {
                code: 17,
                message: 69,
                advisory: "user busy".into(),
            }),
            ..CallDisconnect::default()
        };
        assert_eq!(isdn.to_string(), "busy (8), Q.931 cause 17 user busy");
        let version = Stop {
            result: StopResult::PROTOCOL_VERSION,
            error: GeneralError(0x0100),
            message: String::new(),
        };
        assert_eq!(
            version.to_string(),
            "protocol version not supported (5), its highest is 1.0"
        );
        assert_eq!(Stop::shutting_down().to_string(), "shutting down (6)");
    }

    #[test]
    fn a_cause_code_has_three_bytes_at_least() {
        let avp = |value| Avp::plain(true, crate::avp::Attribute::CauseCode, value);
        for value in [&[][..], &[0], &[0, 16]] {
            assert_eq!(
                Q931Cause::read(&avp(value)),
                Err(AvpError::ValueLength {
                    attribute: 12,
                    expected: 3,
                    actual: value.len()
                })
            );
        }
        let cause = Q931Cause::read(&avp(b"\0\x10\x45clear\x07")).unwrap();
        assert_eq!((cause.code, cause.message), (16, 0x45));
        assert_eq!(cause.advisory, "clear\u{fffd}");
        assert_eq!(Q931Cause::read(&avp(&[0, 1, 2])).unwrap().advisory, "");
    }
}
