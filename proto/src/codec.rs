//! How messages become bytes: prost's codec with buffers that begin small.
//!
//! A fleet is thousands of streams on which seldom more than a few hundred bytes pass at a time, and each keeps its buffers
//! for as long as it lives. They grow to what passes at once, and stay so.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// What a stream's buffers begin with, in bytes; tonic's own begin with eight times as much.
const BUFFER_BYTES: usize = 1024;
/// Messages that wait for the wire go out together until they have so many bytes: beyond that a piece of the stream, and
/// with it the reader's buffers, would only grow, and save nothing.
const TOGETHER_BYTES: usize = 1024;

/// The codec of all services and clients.
#[derive(Debug)]
pub(crate) struct SmallBuffers<Encode, Decode>(PhantomData<(Encode, Decode)>);

impl<Encode, Decode> Default for SmallBuffers<Encode, Decode> {
    fn default() -> Self {
        SmallBuffers(PhantomData)
    }
}

impl<Encode, Decode> Codec for SmallBuffers<Encode, Decode>
where
    Encode: Message + 'static,
    Decode: Message + Default + 'static,
{
    type Encode = Encode;
    type Decode = Decode;
    type Encoder = ProstEncoder<Encode>;
    type Decoder = ProstDecoder<Decode>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Encode, Decode>::raw_encoder(BufferSettings::new(BUFFER_BYTES, TOGETHER_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Encode, Decode>::raw_decoder(BufferSettings::new(BUFFER_BYTES, TOGETHER_BYTES))
    }
}
