//! A socket of either kind.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::{Error, wire::Transport};

#[derive(Debug)]
pub(super) enum Link {
    Tcp {
        stream: TcpStream,
        peer: SocketAddr,
        /// What is still to be sent, so that a frame whose sending was cancelled is sent to its end.
        unsent: BytesMut,
    },
    Udp {
        socket: UdpSocket,
        peer: SocketAddr,
    },
}

impl Link {
    /// Connects to the first address that accepts.
    pub(super) async fn open(
        transport: Transport,
        addresses: &[SocketAddr],
        wait: Duration,
    ) -> Result<Self, Error> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for peer in addresses.iter().copied() {
            let opened = match transport {
                Transport::Tcp => timeout(wait, tcp(peer)).await,
                Transport::Udp => timeout(wait, udp(peer)).await,
            };
            match opened {
                Ok(Ok(link)) => return Ok(link),
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
        match self {
            Self::Tcp { peer, .. } | Self::Udp { peer, .. } => *peer,
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8], wait: Duration) -> Result<(), Error> {
        let sent = match self {
            Self::Tcp { stream, unsent, .. } => {
                unsent.extend_from_slice(bytes);
                timeout(wait, stream.write_all_buf(unsent)).await
            }
            Self::Udp { socket, .. } => {
                timeout(wait, async { socket.send(bytes).await.map(drop) }).await
            }
        };
        let stuck = || io::Error::new(io::ErrorKind::TimedOut, "the terminal takes no data");
        sent.unwrap_or_else(|_| Err(stuck()))
            .map_err(|error| Error::io("sending", error))
    }

    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, .. } => stream.read(buffer).await,
            Self::Udp { socket, .. } => socket.recv(buffer).await,
        }
    }

    /// Sends what the socket takes at once. Best effort: the peer notices a closed socket as well.
    pub(super) fn try_send(&mut self, bytes: &[u8]) {
        match self {
            Self::Tcp { stream, unsent, .. } => {
                unsent.extend_from_slice(bytes);
                while let Ok(sent @ 1..) = stream.try_write(unsent) {
                    unsent.advance(sent);
                }
            }
            Self::Udp { socket, .. } => drop(socket.try_send(bytes)),
        }
    }
}

async fn tcp(peer: SocketAddr) -> io::Result<Link> {
    let stream = TcpStream::connect(peer).await?;
    stream.set_nodelay(true)?;
    let unsent = BytesMut::new();
    Ok(Link::Tcp {
        stream,
        peer,
        unsent,
    })
}

async fn udp(peer: SocketAddr) -> io::Result<Link> {
    let any: SocketAddr = if peer.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(peer).await?;
    Ok(Link::Udp { socket, peer })
}
