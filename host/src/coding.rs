//! Bodies in a content coding (RFC 9110 section 8.4.1): gzip, br, zstd. What is to be coded is decided in `compression`.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::block_in_place;

use crate::streaming::AnswerBody;

/// How much is coded at once where others wait for the thread: a fifth of a millisecond with zstd, half of one with br.
const PIECE: usize = 64 << 10;

/// Chosen for speed: measured on JSON of rows, zstd and gzip take about 300 MB a second at these, br 120, and the next ones up
/// half of that for a tenth less.
const GZIP_LEVEL: u32 = 1;
const BROTLI_QUALITY: u32 = 1;
/// As a power of two: what an encoder of br takes in memory goes by it.
const BROTLI_WINDOW: u32 = 18;
const ZSTD_LEVEL: i32 = 1;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 8878
    Zstd,
    /// RFC 7932
    Brotli,
    /// RFC 1952
    Gzip,
}

impl Coding {
    /// All of them, that which costs the least first.
    pub const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// Its name in fields.
    pub fn token(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// A whole body, coded.
    ///
    /// # Errors
    /// None that a body can cause; those of the encoder, such as no memory.
    pub fn encode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        off_the_others(body.len(), || {
            let mut encoder = Encoder::new(self)?;
            encoder.write(body)?;
            encoder.finish()
        })
    }
}

/// Has others served by another thread meanwhile, if it is much.
fn off_the_others<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > PIECE { block_in_place(work) } else { work() }
}

/// What codes one body.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let encoder =
                    brotli::CompressorWriter::new(Vec::new(), 4 << 10, BROTLI_QUALITY, BROTLI_WINDOW);
                Encoder::Brotli(Box::new(encoder))
            }
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Brotli(encoder) => encoder.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// Has all that was written come out: a client can decode it before there is more.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Brotli(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }

    /// What has come out.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        })
    }

    /// The end of it.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Brotli(encoder) => Ok(encoder.into_inner()),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// Codes a body while it is sent.
pub struct Coder {
    /// `None` after the end.
    encoder: Option<Encoder>,
    /// What of the body has come and is not coded yet.
    rest: Bytes,
}

impl Coder {
    /// For one body.
    ///
    /// # Errors
    /// The encoder's, such as no memory.
    pub fn new(coding: Coding) -> io::Result<Coder> {
        Ok(Coder { encoder: Some(Encoder::new(coding)?), rest: Bytes::new() })
    }

    /// The next piece of what has come, coded; with the last of it all comes out.
    fn piece(&mut self) -> io::Result<Vec<u8>> {
        let Some(encoder) = &mut self.encoder else { return Ok(Vec::new()) };
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        encoder.write(&piece)?;
        if self.rest.is_empty() {
            encoder.flush()?;
        }
        Ok(encoder.take())
    }
}

/// The body of an answer, in its coding.
pub struct SentBody {
    body: AnswerBody,
    coder: Option<Box<Coder>>,
}

impl SentBody {
    /// A body that is to be coded, or not.
    pub fn new(body: AnswerBody, coder: Option<Coder>) -> SentBody {
        SentBody { body, coder: coder.map(Box::new) }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let SentBody { body, coder } = &mut *self;
        let Some(coder) = coder else { return Pin::new(body).poll_frame(cx) };
        loop {
            if !coder.rest.is_empty() {
                match coder.piece() {
                    Ok(coded) if coded.is_empty() => continue,
                    coded => return Poll::Ready(Some(coded.map(|coded| Frame::data(coded.into())))),
                }
            }
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => coder.rest = frame.into_data().unwrap_or_default(),
                // Without its end the coding is broken, so that a client sees that rows are missing.
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let last = coder.encoder.take().map(Encoder::finish);
                    return Poll::Ready(last.map(|last| last.map(|last| Frame::data(last.into()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.coder {
            None => self.body.is_end_stream(),
            Some(coder) => coder.encoder.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.coder.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::io::Read as _;

    fn decode(coding: Coding, coded: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut plain).map(drop),
            Coding::Brotli => brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain).map(drop),
            Coding::Zstd => zstd::stream::copy_decode(coded, &mut plain),
        }
        .map(|()| plain)
    }

    /// Bytes that repeat themselves, but not too much.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * at / 7 % 251) as u8).collect()
    }

    #[test]
    fn what_is_coded_is_what_was() {
        for coding in Coding::ALL {
            for length in [0, 1, 1000, PIECE] {
                let body = bytes(length);
                let coded = coding.encode(&body).expect("coded");
                assert_eq!(decode(coding, &coded).expect("whole"), body, "{coding:?} of {length}");
                assert!(length < PIECE || coded.len() < length, "{coding:?}");
            }
        }
    }

    #[tokio::test]
    async fn pieces_can_be_read_before_the_end() {
        for coding in Coding::ALL {
            let body = bytes(3 * PIECE + 7);
            let coder = Coder::new(coding).expect("a coder");
            let mut sent = SentBody::new(AnswerBody::new(body.clone(), None, None), Some(coder));
            let (mut all, mut frames) = (Vec::new(), 0);
            while !sent.is_end_stream() {
                let frame = sent.frame().await.expect("a frame").expect("coded");
                all.extend_from_slice(&frame.into_data().expect("data"));
                frames += 1;
                if !sent.is_end_stream() {
                    // The whole of what has come can be read, though there is no end yet.
                    let come = body.len().min(frames * PIECE);
                    assert_eq!(begun(coding, &all), body[..come], "{coding:?}");
                }
            }
            assert!(frames > 1, "{frames}");
            assert_eq!(decode(coding, &all).expect("whole"), body);
            assert!(decode(coding, &all[..all.len() - 1]).is_err(), "an end that is missing is noticed");
        }
    }

    /// As much as can be decoded of a coding that has no end.
    fn begun(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut decoder: Box<dyn io::Read> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(coded).expect("a decoder")),
        };
        let (mut plain, mut room) = (Vec::new(), [0; 1000]);
        while let Ok(read @ 1..) = decoder.read(&mut room) {
            plain.extend_from_slice(&room[..read]);
        }
        plain
    }
}
