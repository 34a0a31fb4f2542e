//! A socket of either kind.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::recorder::{Recorder, Tap};
use crate::{Error, recording::Side, wire::Transport};

/// A socket, and who listens to it.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    peer: SocketAddr,
    tap: Option<Tap>,
}

#[derive(Debug)]
enum Socket {
    Tcp {
        stream: TcpStream,
        /// What is still to be sent, so that a frame whose sending was cancelled is sent to its end.
        unsent: BytesMut,
    },
    Udp(UdpSocket),
}

impl Link {
    /// Connects to the first address that accepts.
    pub(super) async fn open(
        transport: Transport,
        addresses: &[SocketAddr],
        wait: Duration,
        recorder: Option<&Recorder>,
    ) -> Result<Self, Error> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for peer in addresses.iter().copied() {
            let opened = match transport {
                Transport::Tcp => timeout(wait, tcp(peer)).await,
                Transport::Udp => timeout(wait, udp(peer)).await,
            };
            match opened {
                Ok(Ok(socket)) => {
                    let tap = recorder.map(|recorder| recorder.open(transport));
                    return Ok(Self { socket, peer, tap });
                }
                Ok(Err(error)) => last = error,
                Err(_) => {
                    let message = format!("no connection within {wait:?}");
                    last = io::Error::new(io::ErrorKind::TimedOut, message);
                }
            }
        }
        Err(Error::io("connecting", last))
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) async fn send(&mut self, bytes: &[u8], wait: Duration) -> Result<(), Error> {
        if let Some(tap) = &self.tap {
            tap.moved(Side::Client, bytes);
        }
        let sent = match &mut self.socket {
            Socket::Tcp { stream, unsent } => {
                unsent.extend_from_slice(bytes);
                timeout(wait, stream.write_all_buf(unsent)).await
            }
            Socket::Udp(socket) => {
                timeout(wait, async { socket.send(bytes).await.map(drop) }).await
            }
        };
        let stuck = || io::Error::new(io::ErrorKind::TimedOut, "the terminal takes no data");
        sent.unwrap_or_else(|_| Err(stuck()))
            .map_err(|error| Error::io("sending", error))
    }

    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (result, is_stream) = match &mut self.socket {
            Socket::Tcp { stream, .. } => (stream.read(buffer).await, true),
            Socket::Udp(socket) => (socket.recv(buffer).await, false),
        };
        if let Some(tap) = &self.tap {
            tap.received(&result, buffer, is_stream);
        }
        result
    }

    /// Sends what the socket takes at once. Best effort: the peer notices a closed socket as well.
    pub(super) fn try_send(&mut self, bytes: &[u8]) {
        if let Some(tap) = &self.tap {
            tap.moved(Side::Client, bytes);
        }
        match &mut self.socket {
            Socket::Tcp { stream, unsent } => {
                unsent.extend_from_slice(bytes);
                while let Ok(sent @ 1..) = stream.try_write(unsent) {
                    unsent.advance(sent);
                }
            }
            Socket::Udp(socket) => drop(socket.try_send(bytes)),
        }
    }
}

async fn tcp(peer: SocketAddr) -> io::Result<Socket> {
    let stream = TcpStream::connect(peer).await?;
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp {
        stream,
        unsent: BytesMut::new(),
    })
}

async fn udp(peer: SocketAddr) -> io::Result<Socket> {
    let any: SocketAddr = if peer.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(peer).await?;
    Ok(Socket::Udp(socket))
}
