//! Servers that no HTTP library would let us write.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers each connection's first request with `head`, then `chunk` for ever (never, if it is empty), then closes
/// if `close`. Returns the address.
pub(crate) async fn server(head: &'static str, chunk: &'static [u8], close: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, head, chunk, close));
        }
    });
    url
}

async fn serve(mut stream: TcpStream, head: &str, chunk: &[u8], close: bool) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") && !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if stream.write_all(head.as_bytes()).await.is_err() || close {
        return;
    }
    while !chunk.is_empty() && stream.write_all(chunk).await.is_ok() {}
    let _ = stream.read_to_end(&mut request).await;
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/api", listener.local_addr().unwrap())
}
