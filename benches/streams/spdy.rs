//! The part of SPDY/3.1 that `kubectl exec` and `port-forward` need: streams, and the data in them.
//!
//! Headers have to be compressed with a dictionary. Stored blocks are valid too, and use no dictionary.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::link::Raw;

/// Size of a data frame, as kubectl writes it.
pub const CHUNK: usize = 32 * 1024;

const SYN_STREAM: u32 = 0x8003_0001;
const RST_STREAM: u32 = 0x8003_0003;
const GO_AWAY: u32 = 0x8003_0007;
const LAST: u32 = 1 << 24;
/// zlib header with the checksum of the dictionary of SPDY/3.
const ZLIB: [u8; 6] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];
/// Empty block, at which the other side processes its input.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Two halves of a connection.
pub type Pair = (Writer, Reader);

/// Half that opens streams and writes.
pub struct Writer {
    to: WriteHalf<Raw>,
    streams: u32,
}

/// Half that reads.
pub struct Reader {
    from: ReadHalf<Raw>,
    buffer: BytesMut,
}

/// Splits a connection after its upgrade.
pub fn pair(raw: Raw) -> Pair {
    let (from, to) = tokio::io::split(raw);
    (Writer { to, streams: 0 }, Reader { from, buffer: BytesMut::with_capacity(8 * CHUNK) })
}

impl Writer {
    /// Opens a stream with these headers. Returns its number.
    pub async fn open(&mut self, headers: &[(&str, &str)]) -> Result<u32> {
        let block = stored(headers, self.streams == 0);
        let stream = 2 * self.streams + 1;
        self.streams += 1;
        let mut frame = BytesMut::new();
        frame.put_u32(SYN_STREAM);
        frame.put_u32(u32::try_from(block.len() + 10)?);
        frame.put_u32(stream);
        // No associated stream, no priority, no slot.
        frame.put_bytes(0, 6);
        frame.put_slice(&block);
        self.to.write_all(&frame).await?;
        self.to.flush().await?;
        Ok(stream)
    }

    /// Writes into a stream; `last` ends it.
    pub async fn write(&mut self, stream: u32, bytes: &[u8], last: bool) -> Result<()> {
        let mut frame = BytesMut::with_capacity(8 + bytes.len());
        frame.put_u32(stream);
        frame.put_u32(u32::try_from(bytes.len())? | if last { LAST } else { 0 });
        frame.put_slice(bytes);
        self.to.write_all(&frame).await?;
        Ok(self.to.flush().await?)
    }

    /// Writes this many bytes into a stream, and ends it.
    pub async fn fill(&mut self, stream: u32, count: u64) -> Result<()> {
        let chunk = vec![b'x'; CHUNK];
        let mut left = count;
        while left > 0 {
            let next = left.min(CHUNK as u64);
            left -= next;
            self.write(stream, &chunk[..usize::try_from(next)?], left == 0).await?;
        }
        Ok(())
    }
}

impl Reader {
    /// Returns the next data of a stream.
    pub async fn read(&mut self, stream: u32) -> Result<BytesMut> {
        loop {
            let (kind, length) = self.head().await?;
            while self.buffer.len() < length {
                self.more().await?;
            }
            let payload = self.buffer.split_to(length);
            match kind {
                RST_STREAM => bail!("a stream was reset: {payload:?}"),
                GO_AWAY => bail!("the connection was ended"),
                kind if kind == stream && length > 0 => return Ok(payload),
                _ => {}
            }
        }
    }

    /// Reads this many bytes of a stream.
    pub async fn drain(&mut self, stream: u32, count: u64) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let data = self.read(stream).await.with_context(|| format!("with {left} bytes to go"))?;
            left = left.checked_sub(data.len() as u64).context("more came than was sent")?;
        }
        Ok(())
    }

    async fn head(&mut self) -> Result<(u32, usize)> {
        while self.buffer.len() < 8 {
            self.more().await?;
        }
        let kind = self.buffer.get_u32();
        Ok((kind, (self.buffer.get_u32() & (LAST - 1)) as usize))
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(CHUNK);
        if self.from.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection has ended");
        }
        Ok(())
    }
}

/// Encodes headers as a stored block.
fn stored(headers: &[(&str, &str)], first: bool) -> BytesMut {
    let mut plain = BytesMut::new();
    let put = |plain: &mut BytesMut, text: &str| {
        plain.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        plain.put_slice(text.as_bytes());
    };
    plain.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    for (name, value) in headers {
        put(&mut plain, name);
        put(&mut plain, value);
    }
    let length = u16::try_from(plain.len()).unwrap_or(u16::MAX);
    let mut block = BytesMut::new();
    block.put_slice(if first { &ZLIB } else { &[] });
    block.put_u8(0);
    block.put_u16_le(length);
    block.put_u16_le(!length);
    block.put_slice(&plain);
    block.put_slice(&FLUSH);
    block
}
