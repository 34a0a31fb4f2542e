//! A socket of either kind.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{Connect, End, recorder::Tap};
use crate::{Error, recording::Side, wire::Transport};

/// A socket, who listens to it, and how long.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    peer: SocketAddr,
    tap: Option<Tap>,
    end: Option<End>,
}

#[derive(Debug)]
enum Socket {
    Tcp {
        stream: TcpStream,
        /// What is still to be sent, so that a frame whose sending was cancelled is sent to its end.
        unsent: BytesMut,
    },
    Udp(UdpSocket),
    /// Its end has come.
    Closed,
}

impl Link {
    /// Connects to the first address that accepts.
    pub(super) async fn open(
        transport: Transport,
        addresses: &[SocketAddr],
        options: &Connect,
    ) -> Result<Self, Error> {
        let wait = options.session.packet_timeout;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for peer in addresses.iter().copied() {
            options.end.as_ref().map_or(Ok(()), End::check)?;
            let opened = match transport {
                Transport::Tcp => timeout(wait, tcp(peer)).await,
                Transport::Udp => timeout(wait, udp(peer)).await,
            };
            match opened {
                Ok(Ok(socket)) => {
                    let recorder = options.recorder.as_ref();
                    return Ok(Self {
                        socket,
                        peer,
                        tap: recorder.map(|recorder| recorder.open(transport)),
                        end: options.end.clone(),
                    });
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

    /// When it ends, as things stand.
    pub(super) fn end(&self) -> Option<Instant> {
        self.end.as_ref().map(End::instant)
    }

    /// Closes the socket if its end has come.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if matches!(self.socket, Socket::Closed) {
            return Err(Error::Ended);
        }
        let checked = self.end.as_ref().map_or(Ok(()), End::check);
        if checked.is_err() {
            self.socket = Socket::Closed;
        }
        checked
    }

    pub(super) async fn send(&mut self, bytes: &[u8], wait: Duration) -> Result<(), Error> {
        self.check()?;
        if let Some(tap) = &self.tap {
            tap.moved(Side::Client, bytes);
        }
        if let Socket::Tcp { unsent, .. } = &mut self.socket {
            unsent.extend_from_slice(bytes);
        }
        let stuck = || io::Error::new(io::ErrorKind::TimedOut, "the terminal takes no data");
        timeout(wait, self.write(bytes))
            .await
            .unwrap_or_else(|_| Err(Error::io("sending", stuck())))
    }

    /// The clock is asked before each write, and nothing is waited for between the two.
    async fn write(&mut self, datagram: &[u8]) -> Result<(), Error> {
        let failed = |error| Error::io("sending", error);
        loop {
            match &self.socket {
                Socket::Tcp { unsent, .. } if unsent.is_empty() => return Ok(()),
                Socket::Tcp { stream, .. } => stream.writable().await.map_err(failed)?,
                Socket::Udp(socket) => socket.writable().await.map_err(failed)?,
                Socket::Closed => {}
            }
            self.check()?;
            let sent = match &mut self.socket {
                Socket::Tcp { stream, unsent } => {
                    stream.try_write(unsent).map(|sent| unsent.advance(sent))
                }
                Socket::Udp(socket) => match socket.try_send(datagram) {
                    Ok(_) => return Ok(()),
                    Err(error) => Err(error),
                },
                Socket::Closed => return Err(Error::Ended),
            };
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
    }

    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (result, is_stream) = match &mut self.socket {
            Socket::Tcp { stream, .. } => (stream.read(buffer).await, true),
            Socket::Udp(socket) => (socket.recv(buffer).await, false),
            // Nobody waits for what cannot come; whoever asked looks at the clock next.
            Socket::Closed => return Err(io::ErrorKind::NotConnected.into()),
        };
        if let Some(tap) = &self.tap {
            tap.received(&result, buffer, is_stream);
        }
        result
    }

    /// Sends what the socket takes at once. Best effort: the peer notices a closed socket as well.
    pub(super) fn try_send(&mut self, bytes: &[u8]) {
        if self.check().is_err() {
            return;
        }
        if let Some(tap) = &self.tap {
            tap.moved(Side::Client, bytes);
        }
        if let Socket::Tcp { unsent, .. } = &mut self.socket {
            unsent.extend_from_slice(bytes);
        }
        while self.check().is_ok() {
            match &mut self.socket {
                Socket::Tcp { stream, unsent } if !unsent.is_empty() => {
                    match stream.try_write(unsent) {
                        Ok(sent @ 1..) => unsent.advance(sent),
                        _ => return,
                    }
                }
                Socket::Udp(socket) => return drop(socket.try_send(bytes)),
                Socket::Tcp { .. } | Socket::Closed => return,
            }
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
