//! The tripwire, which nothing that was judged reaches.

use std::time::Duration;

use tokio::net::TcpListener;

use super::*;
use crate::resolve::Settings;

fn connector(lets_through: &str, tripwire: Guard) -> Connector {
    let guard = Guard::new(vec![lets_through.parse().unwrap()]);
    let resolver = Resolver::new(guard, &Settings::default()).unwrap();
    Connector {
        tripwire,
        ..Connector::new(resolver, Vec::new()).unwrap()
    }
}

#[tokio::test]
async fn a_connection_to_where_none_may_lead_carries_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let url = url.parse().unwrap();
    let fooled = connector("127.0.0.0/8", Guard::default());
    let refused = fooled.connect(&url, &mut Phases::default()).await;
    let refused = refused.err().expect("the peer is judged, too");
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused:?}");

    let (stream, _) = listener.accept().await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(10), async {
        stream.readable().await?;
        stream.try_read(&mut byte)
    });
    assert_eq!(read.await.unwrap().unwrap(), 0, "it is closed unused");
}
