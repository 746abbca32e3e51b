//! HTTP/2 frames by hand: requests that no library would send, and a look at what comes back
//! (RFC 9113, RFC 7541).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{PATIENCE, client::raw_tls::RawTls};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// One frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection that speaks frames.
pub(crate) struct H2 {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

/// How a flood ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether the other side closed the connection.
    pub(crate) closed: bool,
    /// The error code of the last GOAWAY, if one was heard.
    pub(crate) goaway: Option<u8>,
    /// The streams that were reset, with the code.
    pub(crate) resets: Vec<(u32, u8)>,
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A list of fields as it is given, pseudo-header fields among them.
pub(crate) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let fields = fields.iter();
    fields
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

/// A field as a literal that is never indexed, without Huffman coding.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10];
    for text in [name, value] {
        match text.len() {
            short @ 0..127 => bytes.push(u8::try_from(short).expect("under 127")),
            long => {
                bytes.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).expect("under 128") | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).expect("under 128"));
            }
        }
        bytes.extend_from_slice(text);
    }
    bytes
}

impl H2 {
    /// A connection after preface and settings.
    pub(crate) async fn over(raw: &RawTls) -> Self {
        let mut h2 = Self {
            stream: raw.connect().await.unwrap(),
            read: Vec::new(),
        };
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        h2.stream.write_all(preface).await.unwrap();
        h2.send(SETTINGS, 0, 0, &[]).await;
        h2
    }

    /// A connection on which nothing has been said yet.
    pub(crate) async fn silent(raw: &RawTls) -> Self {
        Self {
            stream: raw.connect().await.unwrap(),
            read: Vec::new(),
        }
    }

    /// Sends bytes as they are; a closed connection is noticed when reading.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next frame whatever it is, unanswered, however long it takes; `None` at the end.
    pub(crate) async fn whatever_comes(&mut self) -> Option<Frame> {
        self.next_of_all().await
    }

    /// Sends a frame; a closed connection is noticed when reading.
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send_bytes(&frame(kind, flags, stream, payload)).await;
    }

    /// Sends a list of fields as it is given, pseudo-header fields among them.
    pub(crate) async fn fields(&mut self, stream: u32, fields: &[(&[u8], &[u8])], flags: u8) {
        self.send(HEADERS, flags | END_HEADERS, stream, &block(fields))
            .await;
    }

    /// Sends bytes as they are, frames or not.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Sends all these pieces, reading meanwhile, until the other side closes, or `quiet` after the
    /// last piece.
    pub(crate) async fn flood(
        &mut self,
        pieces: impl Iterator<Item = Vec<u8>>,
        quiet: Duration,
    ) -> Ended {
        let (mut reading, mut writing) = tokio::io::split(&mut self.stream);
        let writes = async {
            for piece in pieces {
                if writing.write_all(&piece).await.is_err() {
                    break;
                }
            }
            let _ = writing.flush().await;
            tokio::time::sleep(quiet).await;
        };
        let reads = async { while reading.read_buf(&mut self.read).await.is_ok_and(|n| n > 0) {} };
        let closed = timeout(PATIENCE, async {
            tokio::select! {
                biased;
                () = reads => true,
                () = writes => false,
            }
        });
        let closed = closed.await.expect("the flood comes to an end");
        let mut ended = Ended {
            closed,
            goaway: None,
            resets: Vec::new(),
        };
        while let Some(frame) = self.buffered() {
            match (frame.kind, frame.payload[..].last()) {
                (GOAWAY, _) => ended.goaway = frame.payload.get(7).copied(),
                (RST_STREAM, Some(code)) => ended.resets.push((frame.stream, *code)),
                _ => {}
            }
        }
        ended
    }

    /// The next frame whatever it is; `None` at the end.
    pub(crate) async fn any(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.next_of_all())
            .await
            .expect("a frame or the end")
    }

    /// The next frame that is no acknowledgement and no window; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.next_of_interest())
            .await
            .expect("a frame or the end")
    }

    async fn next_of_interest(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next_of_all().await?;
            match (frame.kind, frame.flags) {
                (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, &[]).await,
                (PING, 0) => self.send(PING, ACK, 0, &frame.payload).await,
                (SETTINGS | PING | WINDOW_UPDATE, _) => {}
                _ => return Some(frame),
            }
        }
    }

    async fn next_of_all(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.buffered() {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame of what was read so far.
    fn buffered(&mut self) -> Option<Frame> {
        let head = self.read.first_chunk::<9>()?;
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = self.read.get(9..9 + length)?.to_vec();
        self.read.drain(..9 + length);
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            payload,
        })
    }
}
