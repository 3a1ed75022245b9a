//! A connection's socket, of either kind.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket between two runtimes.
#[derive(Debug)]
pub(crate) enum DetachedStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Stream {
    /// Reads into the room that `buffer` has; zero is the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => pin!(stream.read_buf(buffer)).poll(context),
            Stream::Unix(stream) => pin!(stream.read_buf(buffer)).poll(context),
        }
    }

    /// As [`Stream::poll_read`], waiting.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes).await,
            Stream::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    /// Tells the client that nothing more comes.
    pub(crate) async fn shutdown(&mut self) {
        // A client that is gone already has nothing to be told.
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown().await,
            Stream::Unix(stream) => stream.shutdown().await,
        };
    }

    /// Asks whether the client has closed its end, without reading from it; works from any thread.
    pub(crate) fn probe(&self) -> io::Result<impl Fn() -> bool + Send + 'static> {
        let socket = match self {
            Stream::Tcp(stream) => stream.as_fd().try_clone_to_owned(),
            Stream::Unix(stream) => stream.as_fd().try_clone_to_owned(),
        }?;
        Ok(move || {
            let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
            let mut asked = [PollFd::new(&socket, gone)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            // What cannot be asked is taken to be there.
            poll(&mut asked, Some(&now)).map_or(true, |_| !asked[0].revents().intersects(gone))
        })
    }

    /// Takes the socket away from the runtime it was opened in.
    pub(crate) fn detach(self) -> io::Result<DetachedStream> {
        Ok(match self {
            Stream::Tcp(stream) => DetachedStream::Tcp(stream.into_std()?),
            Stream::Unix(stream) => DetachedStream::Unix(stream.into_std()?),
        })
    }
}

impl DetachedStream {
    /// Gives the socket to the runtime that this runs in.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            DetachedStream::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            DetachedStream::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}
