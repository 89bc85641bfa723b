//! Receivers that speak TLS, with certificates made for the test.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http_body_util::{Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An authority that nobody knows but who is told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its certificate.
    pub fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Its certificate as a file has it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// What a server of these names shows, which offers these protocols.
    fn server(&self, names: &[&str], protocols: &[&str]) -> ServerConfig {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        config
    }
}

/// A receiver that answers with the version of HTTP that it was asked in, or with
/// too much where the path says so.
pub struct TlsReceiver {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl TlsReceiver {
    /// Starts one of these names, which offers these protocols.
    pub async fn start(authority: &Authority, names: &[&str], protocols: &[&str]) -> Self {
        let config = authority.server(names, protocols);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(acceptor.clone(), stream));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// How many connections it has seen.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream) {
    // Clients that break off are part of the tests.
    if let Ok(stream) = acceptor.accept(stream).await {
        let service = service_fn(answer);
        let server = auto::Builder::new(TokioExecutor::new());
        let _ended = server.serve_connection(TokioIo::new(stream), service).await;
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let version = format!("{:?}", request.version());
    let mut response = Response::new(BoxBody::new(Full::new(version.into())));
    match request.uri().path() {
        "/endless" => {
            let piece = || Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])));
            let pieces = stream::iter(std::iter::repeat_with(piece));
            *response.body_mut() = BoxBody::new(StreamBody::new(pieces));
        }
        "/long-header" => {
            let value = "x".repeat(33 * 1024).parse().unwrap();
            response.headers_mut().insert("x-long", value);
        }
        "/many-headers" => {
            for _ in 0..101 {
                let value = HeaderValue::from_static("y");
                response.headers_mut().append("x-many", value);
            }
        }
        "/hang" => std::future::pending().await,
        _ => {}
    }
    Ok(response)
}
