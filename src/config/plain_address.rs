//! Where the listener without TLS of its own is, as it is written: an address of this machine, or the
//! path of a unix socket. Opens nothing.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::values::{Fault, Format, shown};

/// What begins the address of a unix socket.
const UNIX: &str = "unix:";

/// The longest path that a unix socket can have (`sun_path` of `unix(7)`, with its final NUL).
const LONGEST_PATH: usize = 107;

/// Where a listener without TLS of its own is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlainAddress {
    /// An IP address and a port. Port 0 asks the system for a free one.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl PlainAddress {
    /// The same, a relative path taken from `base`.
    #[must_use]
    pub(super) fn resolved(&self, base: &Path) -> Self {
        match self {
            Self::Tcp(address) => Self::Tcp(*address),
            Self::Unix(path) => Self::Unix(base.join(path)),
        }
    }

    /// Whether a path is longer than the system lets one be.
    pub(super) fn is_too_long(&self) -> bool {
        matches!(self, Self::Unix(path) if path.as_os_str().len() > LONGEST_PATH)
    }

    /// The address of TCP, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// As it is written.
impl fmt::Display for PlainAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl Format for PlainAddress {
    const NAME: &'static str = "plain-address";
    const ALLOWED: &'static str = "write an IP address and a port, \"127.0.0.1:8080\", or a path, \
                                   \"unix:/run/vestibule/front.sock\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return <SocketAddr as Format>::parse(text)
                .map(Self::Tcp)
                .map_err(|fault| Fault::new(fault.message, Self::ALLOWED));
        };
        // What begins with `//` is somebody's idea of a URL, and a folder is no socket.
        let is_path = !path.is_empty()
            && !path.contains('\0')
            && !path.starts_with("//")
            && !path.ends_with('/');
        if !is_path {
            let message = format!("{} is not the path of a socket", shown(text));
            return Err(Fault::new(message, Self::ALLOWED));
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_address_of_tcp_or_the_path_of_a_socket() {
        let parse = |text| <PlainAddress as Format>::parse(text);
        for text in [
            "127.0.0.1:8080",
            "[::1]:0",
            "unix:/run/v.sock",
            "unix:run/v",
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "8080",
            "localhost:8080",
            "http://127.0.0.1:8080",
            "unix:",
            "unix:///run/v.sock",
            "unix:/run/",
            "unix:/run/\0",
            "/run/v.sock",
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.remedy, PlainAddress::ALLOWED, "{text:?}");
        }
    }

    #[test]
    fn a_path_is_taken_from_the_base_and_is_no_longer_than_a_socket_can_have() {
        let address = PlainAddress::Unix(PathBuf::from("run/v.sock"));
        let address = address.resolved(Path::new("/etc/vestibule"));
        assert_eq!(address.to_string(), "unix:/etc/vestibule/run/v.sock");
        for (length, is_too_long) in [(LONGEST_PATH, false), (LONGEST_PATH + 1, true)] {
            let path = PathBuf::from("x".repeat(length));
            assert_eq!(PlainAddress::Unix(path).is_too_long(), is_too_long);
        }
    }
}
