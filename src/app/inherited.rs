//! Sockets that were opened for this process by whoever started it, and the word back that it serves:
//! `sd_listen_fds(3)` and `sd_notify(3)`, as systemd and others speak them.
//!
//! Whoever holds the socket keeps it open from one process to the next, so that a connection that
//! comes in between waits in the kernel's queue and is not refused. Never takes a socket whose use
//! is not clear.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::SockRef;
use thiserror::Error;

use crate::{
    config::{
        Config,
        finding::{Finding, Place},
        plain_address::PlainAddress,
    },
    listener::PlainSocket,
    telemetry::chain,
};

/// More than there are names for.
const MAX_SOCKETS: usize = 16;

/// Why the sockets that were handed over cannot be used.
#[derive(Debug, Error)]
pub enum InheritError {
    /// `LISTEN_FDS` is no number, or a large one.
    #[error("LISTEN_FDS is no number of sockets up to {MAX_SOCKETS}")]
    Count,
    /// Two of them are for the same.
    #[error(
        "two sockets are called `{0}`: write one ListenStream= for it (`[::]:443` takes IPv4 as well \
         unless BindIPv6Only= says otherwise)"
    )]
    Doubled(&'static str),
    /// One of them is for nobody knows what.
    #[error("a socket is called `{0}`: write FileDescriptorName=https, http, plain or ops")]
    Name(String),
    /// There are more or fewer names than sockets.
    #[error("LISTEN_FDNAMES does not name every socket of LISTEN_FDS")]
    Names,
    /// It is no listening socket of a kind that is known for its use.
    #[error("the socket `{name}` is no listening socket of TCP (`plain`: or unix)")]
    Socket {
        /// What it is for.
        name: &'static str,
        /// What the system says of it.
        #[source]
        source: io::Error,
    },
}

/// The sockets that were handed over, by what they are for.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For HTTPS.
    pub https: Option<TcpListener>,
    /// For the redirect to HTTPS.
    pub http: Option<TcpListener>,
    /// For fronts that end TLS.
    pub plain: Option<PlainSocket>,
    /// For operators.
    pub ops: Option<TcpListener>,
}

impl Inherited {
    /// Takes what the environment says was handed over; nothing if it is meant for another process.
    /// To be called once, before there is a second thread: it removes the variables that say so.
    ///
    /// # Errors
    /// Returns [`InheritError`] if it is not clear what each of the sockets is for, or one is of
    /// another kind.
    pub fn take() -> Result<Self, InheritError> {
        let variable = |name| std::env::var(name).ok();
        let is_ours = variable("LISTEN_PID")
            .and_then(|id| id.parse().ok())
            .is_some_and(|id: u32| id == std::process::id());
        let Some(count) = variable("LISTEN_FDS").filter(|_| is_ours) else {
            return Ok(Self::default());
        };
        let count = count.parse().map_err(|_| InheritError::Count)?;
        let names = variable("LISTEN_FDNAMES");
        let uses = uses(count, names.as_deref())?;
        let mut handed_over = ListenFd::from_env();
        let mut inherited = Self::default();
        for (index, name) in uses.into_iter().enumerate() {
            let fail = |source| InheritError::Socket { name, source };
            if name == "plain" {
                inherited.plain = Some(plain(&mut handed_over, index).map_err(fail)?);
                continue;
            }
            let socket = handed_over.take_tcp_listener(index).map_err(fail)?;
            let socket = socket.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
            if !SockRef::from(&socket).is_listener().map_err(fail)? {
                return Err(fail(io::ErrorKind::InvalidInput.into()));
            }
            let place = match name {
                "http" => &mut inherited.http,
                "ops" => &mut inherited.ops,
                _ => &mut inherited.https,
            };
            *place = Some(socket);
        }
        Ok(inherited)
    }

    /// Where an address that the operator wrote is not that of the socket for it.
    #[must_use]
    pub fn findings(&self, config: &Config, config_dir: &Path) -> Vec<Finding> {
        let written = [
            ("listen.https", config.listen.https, &self.https),
            ("listen.http", config.listen.http, &self.http),
            ("ops.listen", config.ops, &self.ops),
        ];
        let mut findings = Vec::new();
        for (key, written, socket) in written {
            let socket = socket.as_ref().and_then(|it| it.local_addr().ok());
            let Some((written, socket)) = written.zip(socket) else {
                continue;
            };
            if !agree(written, socket) {
                findings.push(disagreement(key, &written, &socket, config_dir));
            }
        }
        let socket = self.plain.as_ref().and_then(|it| it.address().ok());
        if let Some((written, socket)) = config.listen.plain.as_ref().zip(socket)
            && !is_same_place(written, &socket)
        {
            findings.push(disagreement("listen.plain", written, &socket, config_dir));
        }
        findings
    }
}

fn disagreement(
    key: &str,
    written: &dyn fmt::Display,
    socket: &dyn fmt::Display,
    config_dir: &Path,
) -> Finding {
    let place = Place {
        key: Some(key.to_owned()),
        ..Place::file(config_dir.join("vestibule.toml"))
    };
    let message = format!("{written} is written, and the socket is {socket}");
    let remedy = "leave the key out, or write what the socket unit has";
    Finding::error(place, message, remedy)
}

/// Takes a socket of either kind.
fn plain(handed_over: &mut ListenFd, index: usize) -> io::Result<PlainSocket> {
    // One that is of the other kind is left at its place.
    let (socket, is_listener) = if let Ok(Some(socket)) = handed_over.take_tcp_listener(index) {
        let is_listener = SockRef::from(&socket).is_listener()?;
        (PlainSocket::Tcp(socket), is_listener)
    } else {
        let socket = handed_over.take_unix_listener(index)?;
        let socket = socket.ok_or(io::ErrorKind::NotFound)?;
        let is_listener = SockRef::from(&socket).is_listener()?;
        (PlainSocket::Unix { file: None, socket }, is_listener)
    };
    if is_listener {
        Ok(socket)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

fn is_same_place(written: &PlainAddress, socket: &PlainAddress) -> bool {
    match (written, socket) {
        (PlainAddress::Tcp(written), PlainAddress::Tcp(socket)) => agree(*written, *socket),
        _ => written == socket,
    }
}

/// What each socket is for. A single one is for HTTPS unless it is called otherwise: systemd calls
/// one that was given no name after its unit.
fn uses(count: usize, names: Option<&str>) -> Result<Vec<&'static str>, InheritError> {
    if count > MAX_SOCKETS {
        return Err(InheritError::Count);
    }
    let names: Vec<_> = names.map_or_else(Vec::new, |names| names.split(':').collect());
    if count > 0 && !names.is_empty() && names.len() != count {
        return Err(InheritError::Names);
    }
    let mut uses = Vec::new();
    for index in 0..count {
        let name = names.get(index).copied().unwrap_or_default();
        let known = ["https", "http", "plain", "ops"]
            .into_iter()
            .find(|it| *it == name);
        let of_one = (count == 1).then_some("https");
        let is_for = known
            .or(of_one)
            .ok_or_else(|| InheritError::Name(name.to_owned()))?;
        if uses.contains(&is_for) {
            return Err(InheritError::Doubled(is_for));
        }
        uses.push(is_for);
    }
    Ok(uses)
}

/// systemd opens `443` as `[::]:443`, which takes both families as `0.0.0.0` does one.
fn agree(written: SocketAddr, socket: SocketAddr) -> bool {
    let same = written.ip().to_canonical() == socket.ip().to_canonical()
        || (written.ip().is_unspecified() && socket.ip().is_unspecified());
    same && written.port() == socket.port()
}

/// A word to whoever started this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    /// It serves.
    Ready,
    /// It stops.
    Stopping,
}

/// Says a word to whoever started this process, if there is somebody who listens.
pub fn tell(word: Word) {
    let state = match word {
        Word::Ready => NotifyState::Ready,
        Word::Stopping => NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(
            error = chain(&error),
            ?word,
            "failed to tell the service manager; it may take this process for one that hangs"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_is_for_what_it_is_called() {
        for (count, names, expected) in [
            (0, None, &[][..]),
            (0, Some(""), &[]),
            (1, None, &["https"]),
            (1, Some("vestibule.socket"), &["https"]),
            (1, Some("unknown"), &["https"]),
            (1, Some("http"), &["http"]),
            (2, Some("plain:https"), &["plain", "https"]),
            (3, Some("ops:https:http"), &["ops", "https", "http"]),
        ] {
            assert_eq!(uses(count, names).unwrap(), expected, "{count} {names:?}");
        }
    }

    #[test]
    fn sockets_whose_use_is_not_clear_are_refused() {
        assert!(matches!(uses(17, None), Err(InheritError::Count)));
        for (count, names, expected) in [
            (2, None, "a socket is called ``"),
            (2, Some("https:vestibule.socket"), "a socket is called `v"),
            (2, Some("https:https"), "two sockets are called `https`"),
            (2, Some("https"), "LISTEN_FDNAMES does not name"),
            (1, Some("https:http"), "LISTEN_FDNAMES does not name"),
            (2, Some("HTTPS:http"), "a socket is called `HTTPS`"),
        ] {
            let error = uses(count, names).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn an_address_agrees_with_a_socket_that_takes_the_same_and_with_no_other() {
        for (written, socket, agrees) in [
            ("0.0.0.0:443", "0.0.0.0:443", true),
            ("0.0.0.0:443", "[::]:443", true),
            ("10.0.0.1:443", "[::ffff:10.0.0.1]:443", true),
            ("0.0.0.0:443", "0.0.0.0:444", false),
            ("127.0.0.1:443", "0.0.0.0:443", false),
            ("0.0.0.0:443", "127.0.0.1:443", false),
        ] {
            let (one, other) = (written.parse().unwrap(), socket.parse().unwrap());
            assert_eq!(agree(one, other), agrees, "{written} {socket}");
        }
    }
}
