//! The client's address from a trusted front: the PROXY protocol, versions 1 and 2, before TLS
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! Never takes a byte that is not of the header, keeps a bounded number of them, and guesses nothing: a
//! header that is missing, malformed, too long or about anything but TCP over IP is a fault. Who may
//! send one is not decided here.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::TcpStream,
};

/// The longest header of version 1, line end included.
const LONGEST_LINE: usize = 107;
/// The most that may follow the fixed part of version 2: the longest addresses there are, and 4 KiB
/// for what else a front has to say.
const LONGEST_BLOCK: usize = 216 + 4096;
/// The fixed part of version 2.
const FIXED: usize = 16;
/// The longest header that is taken.
pub const LONGEST_HEADER: usize = FIXED + LONGEST_BLOCK;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const PREFIX: &[u8; 6] = b"PROXY ";

/// `PP2_TYPE_CRC32C`: a checksum over the whole header.
const TYPE_CHECKSUM: u8 = 0x03;
const CHECKSUM_BYTES: usize = 4;

/// How far the bytes so far have led.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// A whole header stands at the beginning.
    Header {
        /// How many bytes it has.
        length: usize,
        /// Who the connection is from; `None` if it is the front's own, or it does not know.
        source: Option<SocketAddr>,
    },
    /// All of it belongs to a header that is not whole yet.
    Incomplete,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeaderFault {
    /// Something else came.
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    /// The checksum it brings is another's.
    #[error("the checksum of the PROXY header does not fit it")]
    Checksum,
    /// Neither LOCAL nor PROXY.
    #[error("the PROXY header has an unknown command")]
    Command,
    /// Neither TCP over IPv4 nor TCP over IPv6.
    #[error("the PROXY header is not about TCP over IP")]
    Family,
    /// Shorter than its addresses, or longer than is taken.
    #[error("the PROXY header has a length that cannot be right")]
    Length,
    /// A line of version 1 that is not written as it must be.
    #[error("the line of the PROXY header is malformed")]
    Line,
    /// What follows the addresses is not a list of values.
    #[error("the values behind the addresses of the PROXY header are malformed")]
    Values,
    /// A version that is not known.
    #[error("the PROXY header has an unknown version")]
    Version,
}

/// A header could not be received.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// It is not one.
    #[error("failed to read a PROXY header")]
    Header(#[from] HeaderFault),
    /// The connection ended or broke before it was whole.
    #[error("failed to receive a PROXY header")]
    Io(#[from] io::Error),
}

/// Parses the header that `bytes` begin with; what follows it is not looked at.
///
/// # Errors
/// Returns the [`HeaderFault`] as soon as no further byte could put it right.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderFault> {
    match bytes.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'P') => parse_line(bytes),
        Some(_) => parse_binary(bytes),
    }
}

/// Whether a header stands at the beginning, as far as its first bytes tell.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFIX) || bytes.starts_with(SIGNATURE)
}

/// A connection that may begin with a header.
pub(super) trait Heralded {
    /// Receives the header, see [`receive`].
    fn header(&mut self) -> impl Future<Output = Result<Option<SocketAddr>, ReceiveError>> + Send;
}

impl Heralded for TcpStream {
    async fn header(&mut self) -> Result<Option<SocketAddr>, ReceiveError> {
        receive(self).await
    }
}

/// The same as [`receive`] where nobody can look ahead: byte after byte, so that none is taken that is
/// not of the header.
pub(super) async fn receive_slowly(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, ReceiveError> {
    let mut taken = Vec::with_capacity(LONGEST_LINE);
    loop {
        if let Parsed::Header { source, .. } = parse(&taken)? {
            return Ok(source);
        }
        taken.push(stream.read_u8().await?);
    }
}

/// Receives a header from a front and takes exactly that from the stream.
///
/// Returns whom the connection is from; `None` if the front speaks for itself or does not know. Waits
/// as long as it takes: whoever calls sets the limit.
///
/// # Errors
/// Returns [`ReceiveError`] if there is no header, or the connection ends before it is whole.
pub async fn receive(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ReceiveError> {
    let mut buffer = vec![0; LONGEST_HEADER];
    let mut taken = 0;
    loop {
        let ahead = buffer.get_mut(taken..).unwrap_or_default();
        let seen = taken + stream.peek(ahead).await?;
        if seen == taken {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let parsed = parse(buffer.get(..seen).unwrap_or_default())?;
        let (length, source) = match parsed {
            Parsed::Header { length, source } => (length, Some(source)),
            Parsed::Incomplete => (seen, None),
        };
        // What was peeked at is there already: this waits for nothing.
        let of_header = buffer.get_mut(taken..length).unwrap_or_default();
        stream.read_exact(of_header).await?;
        taken = length;
        if let Some(source) = source {
            return Ok(source);
        }
    }
}

/// Version 1: one line of ASCII.
fn parse_line(bytes: &[u8]) -> Result<Parsed, HeaderFault> {
    if !starts_alike(bytes, PREFIX) {
        return Err(HeaderFault::Absent);
    }
    let longest = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = longest.iter().position(|byte| !is_plain(*byte)) else {
        let is_too_long = longest.len() == LONGEST_LINE;
        return if is_too_long {
            Err(HeaderFault::Line)
        } else {
            Ok(Parsed::Incomplete)
        };
    };
    let (line, behind) = longest.split_at_checked(end).ok_or(HeaderFault::Line)?;
    match behind {
        [b'\r', b'\n', ..] => Ok(Parsed::Header {
            length: end + 2,
            source: source_of_line(line)?,
        }),
        [b'\r'] if end + 2 <= LONGEST_LINE => Ok(Parsed::Incomplete),
        _ => Err(HeaderFault::Line),
    }
}

fn source_of_line(line: &[u8]) -> Result<Option<SocketAddr>, HeaderFault> {
    let line = std::str::from_utf8(line).map_err(|_| HeaderFault::Line)?;
    let mut words = line.split(' ').skip(1);
    let protocol = words.next().ok_or(HeaderFault::Line)?;
    if protocol == "UNKNOWN" {
        // Whatever it says beside that is to be ignored.
        return Ok(None);
    }
    let mut word = || words.next().ok_or(HeaderFault::Line);
    let (source, target) = (word()?, word()?);
    let (source_port, target_port) = (word()?, word()?);
    if words.next().is_some() {
        return Err(HeaderFault::Line);
    }
    let source: IpAddr = match protocol {
        "TCP4" => both::<Ipv4Addr>(source, target)?.into(),
        "TCP6" => both::<Ipv6Addr>(source, target)?.into(),
        _ => return Err(HeaderFault::Family),
    };
    port(target_port)?;
    Ok(Some(SocketAddr::new(
        source.to_canonical(),
        port(source_port)?,
    )))
}

/// The first of two addresses of one family.
fn both<T: FromStr>(source: &str, target: &str) -> Result<T, HeaderFault> {
    let address = |text: &str| text.parse::<T>().map_err(|_| HeaderFault::Line);
    address(target)?;
    address(source)
}

/// Digits alone, without leading zeros: `+80` and `080` are nobody's port.
fn port(text: &str) -> Result<u16, HeaderFault> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if !is_plain || has_leading_zero {
        return Err(HeaderFault::Line);
    }
    text.parse().map_err(|_| HeaderFault::Line)
}

fn is_plain(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// Version 2: a fixed part, addresses, and values of a type each.
fn parse_binary(bytes: &[u8]) -> Result<Parsed, HeaderFault> {
    if !starts_alike(bytes, SIGNATURE) {
        return Err(HeaderFault::Absent);
    }
    let Some((fixed, behind)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Parsed::Incomplete);
    };
    let [.., version_and_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_and_command >> 4 != 2 {
        return Err(HeaderFault::Version);
    }
    if length > LONGEST_BLOCK {
        return Err(HeaderFault::Length);
    }
    let length_of_addresses = match (version_and_command & 0x0f, family) {
        // The front's own, or it does not know: what follows is to be ignored.
        (0, _) | (1, 0x00) => None,
        (1, 0x11) => Some(2 * (4 + 2)),
        (1, 0x21) => Some(2 * (16 + 2)),
        (1, _) => return Err(HeaderFault::Family),
        _ => return Err(HeaderFault::Command),
    };
    if length_of_addresses.is_some_and(|least| length < least) {
        return Err(HeaderFault::Length);
    }
    let Some(block) = behind.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    let source = match length_of_addresses {
        Some(length) => {
            let (addresses, values) = block.split_at_checked(length).ok_or(HeaderFault::Length)?;
            check_values(fixed, block, values)?;
            Some(source_of(addresses).ok_or(HeaderFault::Length)?)
        }
        None => None,
    };
    let length = FIXED + length;
    Ok(Parsed::Header { length, source })
}

/// The first of two addresses, which are followed by the first of two ports.
fn source_of(addresses: &[u8]) -> Option<SocketAddr> {
    let (of_addresses, of_ports) = addresses.split_at_checked(addresses.len().checked_sub(4)?)?;
    let (source, _) = of_addresses.split_at_checked(of_addresses.len() / 2)?;
    let source = <[u8; 4]>::try_from(source)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(source).map(IpAddr::from))
        .ok()?;
    let port = u16::from_be_bytes(*of_ports.first_chunk::<2>()?);
    Some(SocketAddr::new(source.to_canonical(), port))
}

/// Whether the values end where the header does, and the checksum fits if there is one.
fn check_values(fixed: &[u8], block: &[u8], mut values: &[u8]) -> Result<(), HeaderFault> {
    while let Some((&[kind, high, low], behind)) = values.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(HeaderFault::Values)?;
        if kind == TYPE_CHECKSUM {
            let stated =
                <[u8; CHECKSUM_BYTES]>::try_from(value).map_err(|_| HeaderFault::Values)?;
            let before = block.len().saturating_sub(CHECKSUM_BYTES + behind.len());
            let before = block.get(..before).unwrap_or_default();
            if checksum(&[fixed, before, &[0; CHECKSUM_BYTES], behind])
                != u32::from_be_bytes(stated)
            {
                return Err(HeaderFault::Checksum);
            }
        }
        values = behind;
    }
    if values.is_empty() {
        Ok(())
    } else {
        Err(HeaderFault::Values)
    }
}

/// CRC-32C (RFC 9260 appendix A), bit by bit: a front's header is short, and comes once a connection.
fn checksum(pieces: &[&[u8]]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bytes = pieces.iter().copied().flatten();
    !bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

/// Whether the shorter one is how the longer one begins.
fn starts_alike(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.iter().zip(wanted).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests;
