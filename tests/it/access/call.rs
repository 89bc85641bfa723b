//! Any call at all, as bytes: what the descriptors name can be called without a
//! client that was written for it.

use http::uri::PathAndQuery;
use postrider::proto::DESCRIPTOR_SET;
use prost::{
    Message,
    bytes::{Buf, BufMut},
};
use prost_types::FileDescriptorSet;
use tokio_stream::iter;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use crate::support::within;

/// A method that the server has.
#[derive(Debug, Clone)]
pub struct Method {
    pub path: String,
    /// Whether it answers with a stream.
    pub is_stream: bool,
}

/// All methods of the product.
pub fn methods() -> Vec<Method> {
    let set = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            methods.extend(service.method.iter().map(|method| Method {
                path: format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                is_stream: method.server_streaming(),
            }));
        }
    }
    assert!(methods.len() > 30, "the descriptors are read");
    methods
}

/// Calls with this value of `authorization`, and returns the answer; of a stream
/// nothing, once it has begun.
pub async fn call(
    channel: &Channel,
    method: &Method,
    authorization: Option<&str>,
    request: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let mut request = Request::new(iter([request]));
    if let Some(shown) = authorization {
        let shown = shown.parse().expect("it fits a header");
        request.metadata_mut().insert("authorization", shown);
    }
    within(&method.path, async {
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.expect("the server is there");
        let path: PathAndQuery = method.path.parse().unwrap();
        let mut answers = grpc.streaming(request, path, Raw).await?.into_inner();
        if method.is_stream {
            return Ok(Vec::new());
        }
        let answer = answers.message().await?;
        Ok(answer.unwrap_or_default())
    })
    .await
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
