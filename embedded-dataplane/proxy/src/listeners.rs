//! The listeners of the process: a predecessor's where there is one, or else its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use ambient_runtime::accept::Failures;
use ambient_ztunnel::handover::{HandoverError, Inheritance};
use ambient_ztunnel::socket::{Destination, Listener, SocketOptions};

use crate::settings::{Listen, Place};

/// Names that listeners are handed over by.
const OUTBOUND: &str = "outbound";
const PLAINTEXT: &str = "plaintext";
const TUNNELS: &str = "tunnels";
const ADMIN: &str = "admin";
const METRICS: &str = "metrics";
const STATUS: &str = "status";

/// All of them.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) outbound: Listener,
    pub(crate) plaintext: Listener,
    pub(crate) tunnels: Listener,
    pub(crate) admin: tokio::net::TcpListener,
    pub(crate) metrics: tokio::net::TcpListener,
    pub(crate) status: tokio::net::TcpListener,
    predecessor: Option<Inheritance>,
}

/// There is no listener.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// It cannot be made.
    #[error("cannot listen for `{name}` at {address}; `--{name}` takes another address")]
    Bind {
        /// What for.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The predecessor listens elsewhere.
    #[error(
        "the predecessor listens for `{name}` at {inherited}, and goes on; `--{name}` has to lead there \
         too, or the predecessor to end before"
    )]
    Other {
        /// What for.
        name: &'static str,
        /// Where.
        inherited: SocketAddr,
    },
    /// The predecessor does not hand over.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A listener cannot be passed on.
    #[error("cannot pass on listeners")]
    Descriptor(#[source] io::Error),
}

impl Listeners {
    /// Takes those of a predecessor, and makes those that are missing.
    ///
    /// # Errors
    ///
    /// When one cannot be made, or the predecessor does not do as it should.
    pub(crate) async fn take(
        listen: &Listen,
        options: &SocketOptions,
        handover: Option<&Path>,
    ) -> Result<Self, ListenError> {
        let mut predecessor = match handover {
            Some(path) => Inheritance::from(path).await?,
            None => None,
        };
        let mut inherited = |name, place| match predecessor.as_mut().and_then(|p| p.take(name)) {
            Some(listener) => alike(name, place, listener).map(Some),
            None => Ok(None),
        };
        let mut one = |name, place: Place, destination| {
            if let Some(listener) = inherited(name, place)? {
                let adopted = tokio::net::TcpListener::from_std(listener);
                let listener = adopted.map_err(ListenError::Descriptor)?;
                return Ok(Listener::of(name, listener, destination, options));
            }
            bind(name, place, |address| {
                Listener::bind(name, address, destination, options)
            })
        };
        let outbound = one(OUTBOUND, listen.outbound, Destination::Original)?;
        let plaintext = one(PLAINTEXT, listen.plaintext, Destination::Original)?;
        let tunnels = one(TUNNELS, listen.tunnels, Destination::Local)?;
        let mut site = |name, place| {
            let listener = match inherited(name, place)? {
                Some(listener) => listener,
                None => bind(name, place, plain)?,
            };
            tokio::net::TcpListener::from_std(listener).map_err(ListenError::Descriptor)
        };
        Ok(Self {
            admin: site(ADMIN, listen.admin)?,
            metrics: site(METRICS, listen.metrics)?,
            status: site(STATUS, listen.status)?,
            outbound,
            plaintext,
            tunnels,
            predecessor,
        })
    }

    /// All of them by their names, to be offered to a successor.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub(crate) fn descriptors(&self) -> Result<Vec<(String, OwnedFd)>, ListenError> {
        let of_relay = [
            (OUTBOUND, &self.outbound),
            (PLAINTEXT, &self.plaintext),
            (TUNNELS, &self.tunnels),
        ];
        let of_sites = [
            (ADMIN, &self.admin),
            (METRICS, &self.metrics),
            (STATUS, &self.status),
        ];
        let of_relay = of_relay.map(|(name, listener)| (name, listener.descriptor()));
        let of_sites = of_sites.map(|(name, listener)| (name, descriptor(listener)));
        let all = of_relay.into_iter().chain(of_sites);
        let all = all.map(|(name, descriptor)| Ok((name.to_owned(), descriptor?)));
        all.collect::<io::Result<_>>()
            .map_err(ListenError::Descriptor)
    }

    /// The ports that nobody is to be led to: of the relay itself, and of its administration. Metrics
    /// and readiness are there for others, who come through the rules like everybody.
    pub(crate) fn refused(&self) -> impl Iterator<Item = u16> {
        let of_relay = [&self.outbound, &self.plaintext, &self.tunnels];
        let of_relay = of_relay.map(Listener::local_addr);
        let all = of_relay.into_iter().chain([self.admin.local_addr()]);
        all.flatten().map(|address| address.port())
    }

    /// How often those of the relay failed to accept, by their names.
    pub(crate) fn failures(&self) -> [(&'static str, Failures); 3] {
        [
            (OUTBOUND, self.outbound.failures()),
            (PLAINTEXT, self.plaintext.failures()),
            (TUNNELS, self.tunnels.failures()),
        ]
    }

    /// What was taken from, which waits to be told that this process accepts.
    pub(crate) fn predecessor(&mut self) -> Option<Inheritance> {
        self.predecessor.take()
    }
}

/// A listener of the predecessor, if it is where this process would listen too.
fn alike(
    name: &'static str,
    place: Place,
    listener: TcpListener,
) -> Result<TcpListener, ListenError> {
    let inherited = listener.local_addr().map_err(ListenError::Descriptor)?;
    let is_alike = |address: &SocketAddr| {
        let port = address.port();
        address.ip() == inherited.ip() && (port == inherited.port() || port == 0)
    };
    if place.addresses().iter().any(is_alike) {
        return Ok(listener);
    }
    Err(ListenError::Other { name, inherited })
}

fn bind<T>(
    name: &'static str,
    place: Place,
    listen: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<T, ListenError> {
    let mut addresses = place.addresses().into_iter().peekable();
    loop {
        let Some(address) = addresses.next() else {
            let address = SocketAddr::from(([0, 0, 0, 0], 0));
            let error = io::ErrorKind::AddrNotAvailable.into();
            return Err(ListenError::Bind {
                name,
                address,
                error,
            });
        };
        match listen(address) {
            Ok(listener) => return Ok(listener),
            // A port that is taken is taken for the other family too.
            Err(error) if addresses.peek().is_some() && !is_taken(&error) => {}
            Err(error) => {
                return Err(ListenError::Bind {
                    name,
                    address,
                    error,
                });
            }
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn plain(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn descriptor(listener: &tokio::net::TcpListener) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd as _;
    listener.as_fd().try_clone_to_owned()
}
